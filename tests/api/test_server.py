"""The server for real: its own process, on a loopback port."""

import os
import signal
import time

import pytest

from tests.serving import Server

BODY = b"\"{'frequency':30, 'recency':100, 'T':215}\""
HEAD = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(BODY)}\r\n".encode()
CLIENTS = 50


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def server(model, home):
    server = Server(model, home)
    try:
        server.workers(2)
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


def status_line(connection):
    with connection, connection.makefile("rb") as answer:
        return answer.readline()


def test_it_answers_over_http_and_refuses_chunks_and_excess(server, posterior):
    code, answer = server.ask(BODY)
    assert code == answer["code"] == 200
    assert float(answer["data"]["prob_alive"]) == posterior.answer(30, 100, 215).alive.mean
    assert server.ask(iter([BODY]), **{"Transfer-Encoding": "chunked"})[0] == 411
    assert server.ask(b" " * 200_000)[0] == 413
    assert server.ask(b"")[1]["reason"] == "the body is empty"


@pytest.mark.parametrize("sent", [HEAD, HEAD + b"\r\n" + BODY[:10]], ids=["headers", "bodies"])
def test_slow_clients_keep_nobody_waiting_and_are_answered_in_the_end(server, sent):
    server.ask(BODY)
    slow = [server.connect(sent) for _ in range(CLIENTS)]
    started = time.monotonic()
    good = [server.ask(BODY)[0] for _ in range(20)]
    seconds = time.monotonic() - started
    for connection in slow:
        connection.sendall((HEAD + b"\r\n" + BODY)[len(sent) :])
    late = [status_line(connection) for connection in slow]
    assert good == [200] * 20
    assert seconds < 2  # as long as headers may take: nobody was waited for
    assert late == [b"HTTP/1.1 200 OK\r\n"] * CLIENTS


def test_headers_that_never_end_end_the_connection(server):
    with server.connect(HEAD) as connection:
        assert connection.recv(100) == b""


def test_a_worker_that_is_killed_is_replaced(server):
    first, _ = server.workers(2)[:2]
    os.kill(first, signal.SIGKILL)
    started = time.monotonic()
    *_, replacement = server.workers(3)
    assert time.monotonic() - started < 2
    assert replacement != first
    assert [server.ask(BODY)[0] for _ in range(20)] == [200] * 20


def test_a_taken_port_is_one_clear_line(server, model, home):
    second = Server(model, home, port=server.port)
    assert second.wait() == 1
    assert second.lines == [
        "starting\n",
        f"cannot listen on 127.0.0.1, port {server.port}: Address already in use; "
        "choose another host or port\n",
    ]


def test_sigterm_stops_it_within_five_seconds_whatever_clients_do(server, home):
    slow = [server.connect(HEAD + b"\r\n" + BODY[:10]) for _ in range(CLIENTS)]
    seconds, code = server.stop()
    for connection in slow:
        connection.close()
    assert code == 0
    assert seconds < 5
    assert "Traceback" not in server.log
    assert "Warning" not in server.log
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("sign", ["starting", "Booting worker"])
def test_sigterm_stops_it_within_five_seconds_while_it_starts(model, home, sign):
    server = Server(model, home)
    server.find(sign)
    seconds, code = server.stop()
    assert seconds < 5
    assert code in (0, -signal.SIGTERM)  # the latter before serve() has begun
    assert "Traceback" not in server.log


def test_a_model_that_is_refused_never_gets_a_port(tmp_path, home):
    path = tmp_path / "broken.clv"
    path.write_bytes(b"PK")
    server = Server(path, home)
    assert server.wait() == 1
    assert len(server.lines) == 2
    assert server.lines[1].startswith(f"{path} is refused: ")

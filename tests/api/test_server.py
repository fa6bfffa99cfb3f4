"""The server for real: its own process, on a loopback port."""

import json
import os
import shutil
import signal
import time

import pytest

from api import predictions
from api.server import serve
from bayes_clv.errors import InputError
from tests.serving import Server

pytestmark = pytest.mark.alone

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


def test_what_is_no_http_is_refused_in_the_envelope(server):
    long = "x" * 9000
    for sent, code in {
        "GARBAGE\r\n\r\n": 400,
        f"GET /{long} HTTP/1.1\r\n\r\n": 414,
        f"GET / HTTP/1.1\r\nName: {long}\r\n\r\n": 431,
        "GET / HTTP/9.1\r\n\r\n": 400,
        "GET / HTTP/1.1\r\nna me: 1\r\n\r\n": 400,
        "POST /predict HTTP/1.1\r\nContent-Length: abc\r\n\r\n": 400,
        "POST /predict HTTP/1.1\r\nContent-Length: -1\r\n\r\n": 400,
        "POST /predict HTTP/1.1\r\nTransfer-Encoding: rot13\r\n\r\n": 501,
    }.items():
        with server.connect(sent.encode()) as connection, connection.makefile("rb") as answer:
            status, *headers = iter(lambda answer=answer: answer.readline().strip(), b"")
            body = json.loads(answer.read())
        assert status.split()[1] == str(code).encode(), sent[:40]
        assert list(body) == ["code", "message", "reason"]
        assert body["code"] == code
        names = {header.split(b":")[0] for header in headers}
        assert {b"X-Request-ID", b"X-Model-Version", b"Content-Length"} <= names
    assert 'status="431"' in server.request("GET", "/metrics")[2].decode()
    assert "xxxx" not in server.log


def test_everything_that_is_logged_is_json(server):
    server.ask(BODY)
    lines = [line for line in server.lines if line != "starting\n"]
    assert len(lines) > 3
    assert all({"time", "level", "message"} <= json.loads(line).keys() for line in lines)


def test_behind_a_proxy_it_answers_the_same(model, home, server):
    with Server(model, home, behind_proxy=True) as proxied:
        assert proxied.ask(BODY) == server.ask(BODY)
        with proxied.connect(b"GARBAGE\r\n\r\n") as connection:
            assert b'"code": 400' in connection.recv(1000)
        seconds, code = proxied.stop()
    assert (code, seconds < 5) == (0, True)
    assert "Traceback" not in proxied.log


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


def test_counts_are_those_of_all_workers(model, home):
    with Server(model, home) as server:
        server.workers(2)
        for _ in range(60):
            server.ask(BODY)
        found = set()
        for _ in range(20):  # whoever answers
            text = server.request("GET", "/metrics")[2].decode()
            found |= {line for line in text.splitlines() if 'route="/predict",status' in line}
    assert found == {'bayes_clv_requests_total{route="/predict",status="200"} 60.0'}


def test_whoever_can_ask_from_elsewhere_needs_a_token(model, home):
    refused = Server(model, home, host="0.0.0.0")
    assert refused.wait() == 1
    assert refused.lines[1:] == [
        "0.0.0.0 can be reached from other machines: set BAYES_CLV_TOKEN to a token that requests "
        "must send, or give --allow-public\n"
    ]
    token = "a-token-that-is-long"
    with Server(model, home, host="0.0.0.0", environment={"BAYES_CLV_TOKEN": token}) as server:
        assert server.ask(BODY)[0] == 401
        assert server.ask(BODY, Authorization=f"Bearer {token}")[0] == 200
        assert token not in server.log
    with Server(model, home, host="0.0.0.0", allow_public=True) as server:
        assert server.ask(BODY)[0] == 200


def test_a_newer_model_that_is_unsound_is_refused_as_at_the_start(
    model, make_posterior, tmp_path, home
):
    path = tmp_path / "model.clv"
    shutil.copy(model, path)
    with Server(path, home) as server:
        version = server.get("/health/ready")["data"]["version"]
        make_posterior(draws=50, complaints=("R-hat is 1.2",)).save(path)
        server.find("the newer model is refused.* the posterior cannot be trusted")
        assert server.get("/health/ready")["data"]["version"] == version


@pytest.mark.parametrize("error", [RuntimeError("no locator available"), OSError("read-only")])
def test_without_a_folder_for_what_is_compiled_it_says_what_to_set(model, monkeypatch, error):
    def fail(posterior):
        raise error

    monkeypatch.setattr(predictions, "warm_up", fail)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(InputError, match="set NUMBA_CACHE_DIR to a folder that can be written"):
        serve(model, port=0)

"""The server for real: its own process, on a loopback port."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BODY = b"\"{'frequency':30, 'recency':100, 'T':215}\""
HEAD = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(BODY)}\r\n".encode()
CLIENTS = 50

PROGRAM = """
import sys
from api.server import serve
from bayes_clv.errors import BayesClvError
print("starting", file=sys.stderr, flush=True)
try:
    serve(sys.argv[1], port=int(sys.argv[2]))
except BayesClvError as error:
    sys.exit(str(error))
"""


class Server:
    """A serving process, and what it has logged so far."""

    def __init__(self, model, home, port=0):
        path = os.pathsep.join([str(ROOT), os.getenv("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(model), str(port)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": path, "HOME": str(home), "XDG_RUNTIME_DIR": ""},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines = []
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stderr))
        self.reader.start()

    @property
    def log(self):
        return "".join(self.lines)

    def find(self, pattern, count=1):
        """What the pattern's group matched in the log, once it did so ``count`` times."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            found = re.findall(pattern, self.log)
            if len(found) >= count:
                return found
            time.sleep(0.02)
        raise AssertionError(f"{pattern} is not in the log:\n{self.log}")

    @property
    def port(self):
        return int(self.find(r"Listening at: http://127\.0\.0\.1:(\d+)")[0])

    def workers(self, count):
        """Process numbers of all workers so far, once there have been ``count``."""
        return [int(pid) for pid in self.find(r"Booting worker with pid: (\d+)", count)]

    def ask(self, body=BODY, **headers):
        """One request; the answer's status and JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST", "/predict", body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def connect(self, sent):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        connection.sendall(sent)
        return connection

    def wait(self):
        code = self.process.wait(20)
        self.reader.join()
        self.process.stderr.close()
        return code

    def stop(self, number=signal.SIGTERM):
        """Seconds until the process is gone, and its exit code."""
        started = time.monotonic()
        self.process.send_signal(number)
        code = self.wait()
        return time.monotonic() - started, code


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
    code, answer = server.ask()
    assert code == answer["code"] == 200
    assert float(answer["data"]["prob_alive"]) == posterior.answer(30, 100, 215).alive.mean
    assert server.ask(iter([BODY]), **{"Transfer-Encoding": "chunked"})[0] == 411
    assert server.ask(b" " * 200_000)[0] == 413
    assert server.ask(b"")[1]["reason"] == "the body is empty"


@pytest.mark.parametrize("sent", [HEAD, HEAD + b"\r\n" + BODY[:10]], ids=["headers", "bodies"])
def test_slow_clients_keep_nobody_waiting_and_are_answered_in_the_end(server, sent):
    server.ask()
    slow = [server.connect(sent) for _ in range(CLIENTS)]
    started = time.monotonic()
    good = [server.ask()[0] for _ in range(20)]
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
    assert [server.ask()[0] for _ in range(20)] == [200] * 20


def test_a_taken_port_is_one_clear_line(server, model, home):
    second = Server(model, home, server.port)
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

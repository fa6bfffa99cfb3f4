"""A serving process of a test's own, and a client that does what it is told."""

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
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CUSTOMER = b'{"frequency": 30, "recency": 100, "T": 215}'

# As `bayes-clv serve`, on any free port, with a route that does nothing, to compare with.
PROGRAM = """
import json, sys
from flask import jsonify
from api import server
from bayes_clv.errors import BayesClvError

make = server.create_app

def create_app(*arguments, **options):
    app = make(*arguments, **options)
    app.get("/hello", endpoint="hello")(lambda: jsonify(code=200, status="success", data="hello"))
    return app

server.create_app = create_app

print("starting", file=sys.stderr, flush=True)
try:
    server.serve(sys.argv[1], **json.loads(sys.argv[2]))
except BayesClvError as error:
    sys.exit(str(error))
"""


class Server:
    """A serving process, and what it has logged so far."""

    def __init__(
        self,
        model: Path | str,
        home: Path | str = "/nonexistent",
        *,
        environment: dict[str, str] | None = None,
        **options: Any,
    ) -> None:
        path = os.pathsep.join([str(ROOT), os.getenv("PYTHONPATH", "")])
        settings = {"PYTHONPATH": path, "HOME": str(home), "XDG_RUNTIME_DIR": ""}
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(model), json.dumps({"port": 0} | options)],
            cwd=ROOT,
            env=os.environ | settings | (environment or {}),
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        self.lines: list[str] = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def __enter__(self) -> "Server":
        self.workers(1)
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.wait()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if '"message": "answered"' not in line:  # one for each of a million requests
                self.lines.append(line)

    @property
    def log(self) -> str:
        return "".join(self.lines)

    def find(self, pattern: str, count: int = 1) -> list[str]:
        """What the pattern's group matched in the log, once it did so ``count`` times."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            found: list[str] = re.findall(pattern, self.log)
            if len(found) >= count:
                return found
            time.sleep(0.02)
        raise AssertionError(f"{pattern} is not in the log:\n{self.log}")

    @property
    def port(self) -> int:
        return int(self.find(r"Listening at: http://[0-9.]+:(\d+)")[0])

    def workers(self, count: int) -> list[int]:
        """Process numbers of all workers so far, once there have been ``count``."""
        return [int(pid) for pid in self.find(r"Booting worker with pid: (\d+)", count)]

    def request(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on a connection of its own; the answer's status, headers and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def ask(
        self, body: bytes | Iterable[bytes] = CUSTOMER, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """POST /predict; the answer's status and JSON."""
        status, _, content = self.request("POST", "/predict", body, headers)
        return status, json.loads(content)

    def get(self, path: str) -> Any:
        """The JSON of an answer to GET."""
        return json.loads(self.request("GET", path)[2])

    def connect(self, sent: bytes) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        connection.sendall(sent)
        return connection

    def wait(self) -> int:
        code = self.process.wait(30)
        self.reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code

    def stop(self, number: int = signal.SIGTERM) -> tuple[float, int]:
        """Seconds until the process is gone, and its exit code."""
        started = time.monotonic()
        self.process.send_signal(number)
        code = self.wait()
        return time.monotonic() - started, code

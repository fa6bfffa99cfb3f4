"""Load for a server, from a process of its own: ``python -m tests.service.load '{"port": …}'``.

Many connections that are kept alive, each of which sends its next request when it has the last
answer; raw sockets, so that the client costs the machine little. Prints what came of it as JSON.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import gevent
import numpy as np
from gevent import socket


@dataclass
class Settings:
    """What to send, and for how long.

    Attributes
    ----------
    requests
        Whole requests, as text; each connection takes them in turn.
    expected
        For an answer with the header X-Model-Version of this key, what must be in its body.
    retries
        How often a request is sent again after its connection was lost.
    until_done
        Send every request once, instead of going on for ``seconds``.
    """

    port: int
    requests: list[str]
    connections: int = 32
    seconds: float = 5.0
    retries: int = 0
    expected: dict[str, str] = field(default_factory=dict)
    until_done: bool = False


class Connection:
    """One connection, opened again when it is lost or the server says it will close it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.socket: Any = None
        self.rest = b""

    def ask(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (names in lower case) and body."""
        if self.socket is None:
            self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=30)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.rest = b""
        try:
            self.socket.sendall(request)
            while b"\r\n\r\n" not in self.rest:
                self._more()
            head, _, self.rest = self.rest.partition(b"\r\n\r\n")
            status, *lines = head.decode("latin-1").split("\r\n")
            pairs = (line.partition(": ") for line in lines)
            headers = {name.lower(): value for name, _, value in pairs}
            length = int(headers["content-length"])
            while len(self.rest) < length:
                self._more()
            body, self.rest = self.rest[:length], self.rest[length:]
        except (OSError, ValueError):
            self.close()
            raise
        if headers.get("connection") == "close":
            self.close()
        return int(status.split()[1]), headers, body

    def _more(self) -> None:
        received = self.socket.recv(65536)
        if not received:
            raise ConnectionError("closed by the server")
        self.rest += received

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
            self.socket = None


@dataclass
class Tally:
    """What came of it."""

    statuses: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    lost: int = 0
    retried: int = 0
    mistagged: int = 0

    def answers(self, elapsed: float) -> dict[str, Any]:
        times = np.array(self.seconds or [np.nan]) * 1e3
        median, p99 = np.quantile(times, [0.5, 0.99])
        return {
            "answered": len(self.seconds),
            "rate": len(self.seconds) / elapsed,
            "median_ms": float(median),
            "p99_ms": float(p99),
            "max_ms": float(times.max()),
            "statuses": dict(self.statuses),
            "versions": dict(self.versions),
            "lost": self.lost,
            "retried": self.retried,
            "mistagged": self.mistagged,
        }


def run(settings: Settings) -> dict[str, Any]:
    """Load the server and return the tally."""
    tally = Tally()
    began = time.perf_counter()
    deadline = began + settings.seconds
    requests = [request.encode("latin-1") for request in settings.requests]
    shared = iter(requests)

    def own(number: int) -> Iterator[bytes]:
        while time.perf_counter() < deadline:
            number += 1
            yield requests[number % len(requests)]

    def client(number: int) -> None:
        connection = Connection(settings.port)
        for request in shared if settings.until_done else own(number):
            _exchange(connection, request, settings, tally)
        connection.close()

    gevent.joinall([gevent.spawn(client, n) for n in range(settings.connections)], raise_error=True)
    return tally.answers(time.perf_counter() - began)


def _exchange(connection: Connection, request: bytes, settings: Settings, tally: Tally) -> None:
    for attempt in range(settings.retries + 1):
        tally.retried += attempt > 0
        sent = time.perf_counter()
        try:
            status, headers, body = connection.ask(request)
        except OSError:
            connection.close()
            continue
        tally.seconds.append(time.perf_counter() - sent)
        tally.statuses[str(status)] += 1
        version = headers.get("x-model-version", "")
        tally.versions[version] += 1
        if settings.expected and settings.expected.get(version, "\0") not in body.decode():
            tally.mistagged += 1
        return
    tally.lost += 1


if __name__ == "__main__":
    print(json.dumps(run(Settings(**json.loads(sys.stdin.read())))))

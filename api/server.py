"""Serving for real: gunicorn, with workers that wait for many clients at once.

The model is loaded and checked once, before the port is opened and the workers are forked, so a
refused file or a taken port stops the command in one line, and the workers share the draws.
"""

import os
import signal
import socket
import sys
from typing import Any, NoReturn

import gevent
import gevent.socket
from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.workers.ggevent import GeventWorker

from api import loaded
from api.app import create_app
from bayes_clv.errors import InputError

_REQUEST_SECONDS = 15  # for a body to arrive and its answer to leave
_SETTINGS = {
    "preload_app": True,
    "timeout": 30,  # a worker without a sign of life for so long is replaced
    "graceful_timeout": 3,
    "keepalive": 2,  # also the time in which all headers have to arrive
    "control_socket_disable": True,  # it would write into the home directory
    # Until it has handlers of its own, a new worker would leave SIGTERM to a copy of the parent's.
    "post_fork": lambda _parent, _worker: signal.signal(signal.SIGTERM, signal.SIG_DFL),
}


def serve(
    model: loaded.Model, host: str = "127.0.0.1", port: int = 8080, workers: int = 2
) -> NoReturn:
    """Answer until SIGTERM or SIGINT, then leave with SystemExit.

    Raises
    ------
    ArtifactError
        When the model is refused.
    InputError
        When ``host`` and ``port`` cannot be listened on, or there are no workers.
    """
    signal.signal(signal.SIGTERM, _leave)  # as process 1 of a container it would be ignored
    if workers < 1:
        raise InputError(f"workers must be at least 1: {workers}")
    app = create_app(model)
    _Server(app, {"bind": f"fd://{_listen(host, port)}", "workers": workers}).run()
    sys.exit()


class Worker(GeventWorker):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's gevent worker, which does not patch the standard library and hangs up on dawdlers.

    Patching has to come before the patched modules are imported, and the parent has imported them.
    The service needs none: all that a request ever waits for is its own client's socket.
    """

    sockets: list[Any]

    def patch(self) -> None:
        """Hand gevent the listening sockets, and no more."""
        self.sockets = [
            gevent.socket.socket(s.FAMILY, socket.SOCK_STREAM, fileno=s.sock.detach())
            for s in self.sockets
        ]

    def handle_request(self, *request: Any) -> None:
        """Answer one request in time or close its connection."""
        with gevent.Timeout(_REQUEST_SECONDS, False):
            super().handle_request(*request)
            return
        raise StopIteration  # gunicorn's word for "close this connection"


class _Server(BaseApplication):  # type: ignore[misc]
    def __init__(self, app: Flask, settings: dict[str, Any]) -> None:
        self.app = app
        self.settings = _SETTINGS | {"worker_class": Worker} | settings
        super().__init__()

    def load_config(self) -> None:
        for name, value in self.settings.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return self.app


def _listen(host: str, port: int) -> int:
    """Return the descriptor of a listening socket; gunicorn itself would try for five seconds."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048).detach()
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None) or 0
        why = os.strerror(number) if number > 0 else "there is no such host or port"
        raise InputError(
            f"cannot listen on {host}, port {port}: {why}; choose another host or port"
        ) from None


def _leave(*_: object) -> NoReturn:
    sys.exit()

"""The production server: gunicorn, with workers that serve many clients concurrently.

The model is loaded and checked once, before the port is opened and the workers are forked. A
refused file or an occupied port therefore stops the command with one line, and the workers share
the memory of the draws. A newer file is loaded in the same way: the parent checks it, forks workers
that serve it, and lets the old workers finish their requests. A worker thus serves one model
throughout, and a refused file changes nothing.
"""

import gc
import ipaddress
import json
import logging
import os
import signal
import socket
import sys
import time
from http import HTTPStatus
from typing import Any, NoReturn

import gevent
import gevent.socket
from flask import Flask
from gevent.threadpool import ThreadPool
from gunicorn import util
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.http import errors
from gunicorn.workers.ggevent import GeventWorker
from gunicorn.workers.gthread import ThreadWorker

from api import loaded, logs, metrics, predictions, tokens, trace
from api.app import create_app
from bayes_clv.errors import InputError

MAX_WORKERS = 32
_REQUEST_SECONDS = 15  # to receive the body and send the answer
_LINGER_SECONDS = 1.0
_SHARED_MEMORY = "/dev/shm"
_SETTINGS = {
    "preload_app": True,
    "timeout": 30,  # seconds without a heartbeat after which a worker is replaced
    "graceful_timeout": 3,
    "keepalive": 2,  # seconds; also the time limit for all headers to arrive
    "threads": 4,  # per worker behind a proxy
    "logger_class": logs.ServerLogger,
    "control_socket_disable": True,  # it would write to the home directory
    # Workers send heartbeats by touching a file, which a busy disk must not delay.
    "worker_tmp_dir": _SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK) else None,
}

log = logging.getLogger("api.server")


def serve(
    model: loaded.Model,
    host: str = "127.0.0.1",
    port: int = 8080,
    workers: int = 2,
    *,
    behind_proxy: bool = False,
    allow_public: bool = False,
    allow_unsound: bool = False,
) -> NoReturn:
    """Serve until SIGTERM or SIGINT, then raise SystemExit.

    Parameters
    ----------
    behind_proxy
        Whether a buffering proxy, which receives complete requests and answers before it passes
        them on, is in front. Workers then use a few threads, which is faster, but would be blocked
        by slow clients.
    allow_public
        Whether other machines may send requests without a token.
    allow_unsound
        Whether to serve a posterior that failed its diagnostics.

    Raises
    ------
    ArtifactError, UnsoundPosterior
        If the model is refused.
    InputError
        If the server cannot listen on ``host`` and ``port``, other machines could send requests
        without a token, or ``workers`` is out of range.
    """
    signal.signal(signal.SIGTERM, _leave)  # process 1 of a container would otherwise ignore it
    if not 1 <= workers <= MAX_WORKERS:
        raise InputError(f"workers must be from 1 to {MAX_WORKERS}: {workers}")
    app = create_app(model, allow_unsound=allow_unsound)
    if not (allow_public or tokens.required(app) or _is_this_machine(host)):
        raise InputError(
            f"{host} can be reached from other machines: set {tokens.ENVIRONMENT_VARIABLE} to a "
            "token that requests must send, or give --allow-public"
        )
    _warm_up(app)
    _share_memory()
    logs.configure()
    settings = {
        "bind": f"fd://{_listen(host, port)}",
        "workers": workers,
        "worker_class": ProxiedWorker if behind_proxy else Worker,
    }
    _Server(app, settings).run()
    sys.exit()


class _Refusing:
    """Answers requests that gunicorn cannot read or refuses, in the service's envelope."""

    wsgi: Flask

    def handle_error(self, request: object, client: Any, address: object, error: Any) -> None:
        """Refuse a request that did not reach the app."""
        if not isinstance(error, Exception):  # the worker is shutting down
            return
        status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
        identifier = trace.new_id()
        fields = {"request_id": identifier, "status": status, "error": type(error).__name__}
        log.warning(
            "refused a connection",
            extra={"fields": fields},
            exc_info=error if status == HTTPStatus.INTERNAL_SERVER_ERROR else None,
        )
        metrics.of(self.wsgi).observe(metrics.NO_ROUTE, status, 0.0)
        posterior = loaded.of(self.wsgi).posterior
        phrase = HTTPStatus(status).phrase
        reason = f"the request cannot be read ({type(error).__name__})"
        body = json.dumps({"code": status, "message": phrase, "reason": reason})
        headers = (
            f"HTTP/1.1 {status} {phrase}",
            "Connection: close",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            f"{trace.REQUEST_ID}: {identifier}",
            *([f"{trace.MODEL_VERSION}: {posterior.version}"] if posterior else []),
        )
        try:
            util.write_nonblock(client, "\r\n".join([*headers, "", body]).encode())
            _drain(client)
        except OSError:
            log.debug("the client closed the connection")


class Worker(_Refusing, GeventWorker):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's gevent worker, without patching, and with a time limit per request.

    The standard library would have to be patched before its modules are imported, but the parent
    has already imported them. The service does not need patching: a request waits only for its own
    client's socket and for a thread that scores a batch.
    """

    sockets: list[Any]

    def patch(self) -> None:
        """Turn the listening sockets into gevent sockets; patch nothing else."""
        self.sockets = [
            gevent.socket.socket(s.FAMILY, socket.SOCK_STREAM, fileno=s.sock.detach())
            for s in self.sockets
        ]

    def load_wsgi(self) -> None:
        """Score batches one at a time in a thread, so that other requests do not wait for them."""
        super().load_wsgi()
        pool = ThreadPool(1)
        self.wsgi.extensions[predictions.IN_BACKGROUND] = lambda work, *arguments: pool.apply(
            work, arguments
        )

    def handle_request(self, *request: Any) -> None:
        """Answer one request in time or close its connection; then let other requests run."""
        in_time = False
        with gevent.Timeout(_REQUEST_SECONDS, False):
            super().handle_request(*request)
            in_time = True
        if not in_time:
            raise StopIteration  # tells gunicorn to close the connection
        # Without this, a client that pipelines requests would be served before all others.
        gevent.sleep(0)


class ProxiedWorker(_Refusing, ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker, for a port that only a buffering proxy can reach."""


class _Server(BaseApplication):  # type: ignore[misc]
    def __init__(self, app: Flask, settings: dict[str, Any]) -> None:
        self.app = app
        self.settings = _SETTINGS | {"pre_fork": _give_row, "post_fork": _begin_work} | settings
        super().__init__()

    def load_config(self) -> None:
        for name, value in self.settings.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return self.app

    def run(self) -> None:
        _Parent(self).run()


class _Parent(Arbiter):  # type: ignore[misc]
    """gunicorn's parent process, which also loads newer model files."""

    app: _Server

    def wait_for_signals(self, timeout: float = 1.0) -> list[int]:
        """Return the signals; a changed model file counts as SIGHUP, several SIGHUPs as one."""
        signals: list[int] = super().wait_for_signals(timeout)
        others = [number for number in signals if number != signal.SIGHUP]
        reload = len(others) < len(signals) or loaded.of(self.app.app).is_outdated()
        return others + [signal.SIGHUP] * reload

    def handle_hup(self) -> None:
        """Load and check the current file, and replace the workers unless it is refused."""
        served, counts = loaded.of(self.app.app), metrics.of(self.app.app)
        before = served.posterior
        try:
            served.refresh()
        except loaded.Refused as error:
            counts.add("refusals")
            counts.set("newer_file_refused", 1)
            log.error("the newer model is refused, the previous one stays in use: %s", error)
            return
        counts.set("newer_file_refused", 0)
        _share_memory()
        if before and served.posterior and before.version != served.posterior.version:
            counts.add("swaps")
            versions = {"before": before.version, "model_version": served.posterior.version}
            log.info("a newer model takes over", extra={"fields": versions})
        super().handle_hup()


_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (errors.InvalidResponseHeader, 500),  # this and the next are faults of the app
    (errors.InvalidResponseHeaderName, 500),
    (errors.LimitRequestLine, 414),
    (errors.LimitRequestHeaders, 431),
    (errors.UnsupportedTransferCoding, 501),
    (errors.ExpectationFailed, 417),
    (errors.ForbiddenProxyRequest, 403),
    (errors.ParseException, 400),
)


def _drain(client: socket.socket) -> None:
    """Read what still arrives for a moment: closing with unread bytes could destroy the answer."""
    client.shutdown(socket.SHUT_WR)
    client.settimeout(_LINGER_SECONDS)
    until = time.monotonic() + _LINGER_SECONDS
    while client.recv(65_536) and time.monotonic() < until:
        pass


def _give_row(parent: _Parent, worker: Any) -> None:
    """Choose the row of the metrics in which a new worker counts."""
    worker.row = metrics.free_row({other.row for other in parent.WORKERS.values()})


def _begin_work(parent: _Parent, worker: Any) -> None:
    # Until a new worker installs its own handlers, SIGTERM would call the parent's handler in it.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    metrics.of(parent.app.app).use_row(worker.row)
    # A replaced worker may finish its requests; when the server stops, the parent allows less time.
    worker.cfg.set("graceful_timeout", _REQUEST_SECONDS)


def _warm_up(app: Flask) -> None:
    posterior = loaded.of(app).posterior
    if posterior is None:
        return
    try:
        predictions.warm_up(posterior)
    except (RuntimeError, OSError) as error:  # Numba finds no folder for compiled code
        raise InputError(
            f"cannot compile ({error}); set NUMBA_CACHE_DIR to a folder that can be written"
        ) from None


def _share_memory() -> None:
    """Exclude all present objects from garbage collection in new workers.

    The collector writes to the objects that it visits, and a memory page that is written to is no
    longer shared between processes.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(host: str, port: int) -> int:
    """Return the descriptor of a listening socket; gunicorn itself would retry for 5 seconds."""
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
    os._exit(0)  # an exception might be caught by a library; nothing needs to be closed yet

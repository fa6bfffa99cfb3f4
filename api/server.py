"""The production server: gunicorn, with workers that wait for many clients at once.

The model is loaded and checked once, before the port is opened and the workers are forked, so a
refused file or a taken port stops the command in one line, and the workers share the draws. A
newer file is taken over in the same way: the parent checks it, forks workers that answer from it,
and lets the old ones finish what they have begun. So a worker answers from one model as long as it
lives, and a file that is refused changes nothing.
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
_REQUEST_SECONDS = 15  # for a body to arrive and its answer to leave
_LINGER_SECONDS = 1.0
_SHARED_MEMORY = "/dev/shm"
_SETTINGS = {
    "preload_app": True,
    "timeout": 30,  # a worker without a sign of life for so long is replaced
    "graceful_timeout": 3,
    "keepalive": 2,  # also the time in which all headers have to arrive
    "threads": 4,  # of a worker behind a proxy
    "logger_class": logs.ServerLogger,
    "control_socket_disable": True,  # it would write into the home directory
    # Workers show signs of life by touching a file, which a busy disk must not hold up.
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
    """Answer until SIGTERM or SIGINT, then leave with SystemExit.

    Parameters
    ----------
    behind_proxy
        Whether a proxy in front reads requests and answers whole before it passes them on: workers
        then wait in a few threads, which is faster, but slow clients could hold those up.
    allow_public
        Whether other machines may send requests without a token.
    allow_unsound
        Whether a posterior that failed its diagnostics is served.

    Raises
    ------
    ArtifactError, UnsoundPosterior
        When the model is refused.
    InputError
        When ``host`` and ``port`` cannot be listened on, other machines could send requests without
        a token, or the number of workers is out of range.
    """
    signal.signal(signal.SIGTERM, _leave)  # as process 1 of a container it would be ignored
    if not 1 <= workers <= MAX_WORKERS:
        raise InputError(f"workers must be from 1 to {MAX_WORKERS}: {workers}")
    app = create_app(model, allow_unsound=allow_unsound)
    if not (allow_public or tokens.required(app) or _is_this_machine(host)):
        raise InputError(
            f"{host} can be reached from elsewhere: set {tokens.ENVIRONMENT_VARIABLE} to a token "
            "that requests must bear, or say --allow-public"
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
    """Answers what is no HTTP, or no HTTP that gunicorn takes, in the service's envelope."""

    wsgi: Flask

    def handle_error(self, request: object, client: Any, address: object, error: Any) -> None:
        """Answer a request that did not reach the app."""
        if not isinstance(error, Exception):  # the worker is leaving
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
        reason = f"this is no request that can be read ({type(error).__name__})"
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
            _read_on(client)
        except OSError:
            log.debug("the client has gone")


class Worker(_Refusing, GeventWorker):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's gevent worker, without patches of the standard library, and with time limits.

    Patching has to come before the patched modules are imported, and the parent has imported them.
    The service needs no patches: a request waits only for its own client's socket, and for a thread
    that scores a batch.
    """

    sockets: list[Any]

    def patch(self) -> None:
        """Give gevent the listening sockets, and nothing else."""
        self.sockets = [
            gevent.socket.socket(s.FAMILY, socket.SOCK_STREAM, fileno=s.sock.detach())
            for s in self.sockets
        ]

    def load_wsgi(self) -> None:
        """Score batches in a thread, one piece at a time, so that other requests do not wait."""
        super().load_wsgi()
        pool = ThreadPool(1)
        self.wsgi.extensions[predictions.IN_BACKGROUND] = lambda work, *arguments: pool.apply(
            work, arguments
        )

    def handle_request(self, *request: Any) -> None:
        """Answer one request in time or close its connection; then let the others have a turn."""
        in_time = False
        with gevent.Timeout(_REQUEST_SECONDS, False):
            super().handle_request(*request)
            in_time = True
        if not in_time:
            raise StopIteration  # gunicorn's word for "close this connection"
        # A client that has its next request there already would be answered again and again.
        gevent.sleep(0)


class ProxiedWorker(_Refusing, ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker, for a port that only a buffering proxy reaches."""


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
    """gunicorn's parent process, which takes over a newer model file."""

    app: _Server

    def wait_for_signals(self, timeout: float = 1.0) -> list[int]:
        """Treat a changed file as a hang-up, and several hang-ups as one."""
        signals: list[int] = super().wait_for_signals(timeout)
        others = [number for number in signals if number != signal.SIGHUP]
        hang_up = len(others) < len(signals) or loaded.of(self.app.app).is_outdated()
        return others + [signal.SIGHUP] * hang_up

    def handle_hup(self) -> None:
        """Check the file as it is now, and replace the workers unless it is refused."""
        served, counts = loaded.of(self.app.app), metrics.of(self.app.app)
        before = served.posterior
        try:
            served.refresh()
        except loaded.Refused as error:
            counts.add("refusals")
            counts.set("newer_file_refused", 1)
            log.error("the newer model is refused, the one before it answers: %s", error)
            return
        counts.set("newer_file_refused", 0)
        _share_memory()
        if before and served.posterior and before.version != served.posterior.version:
            counts.add("swaps")
            versions = {"before": before.version, "model_version": served.posterior.version}
            log.info("a newer model takes over", extra={"fields": versions})
        super().handle_hup()


_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (errors.InvalidResponseHeader, 500),  # the app's fault, as is the next
    (errors.InvalidResponseHeaderName, 500),
    (errors.LimitRequestLine, 414),
    (errors.LimitRequestHeaders, 431),
    (errors.UnsupportedTransferCoding, 501),
    (errors.ExpectationFailed, 417),
    (errors.ForbiddenProxyRequest, 403),
    (errors.ParseException, 400),
)


def _read_on(client: socket.socket) -> None:
    """Read the rest for a moment: closing with unread bytes would discard the answer."""
    client.shutdown(socket.SHUT_WR)
    client.settimeout(_LINGER_SECONDS)
    until = time.monotonic() + _LINGER_SECONDS
    while client.recv(65_536) and time.monotonic() < until:
        pass


def _give_row(parent: _Parent, worker: Any) -> None:
    """Choose where a new worker will count."""
    worker.row = metrics.free_row({other.row for other in parent.WORKERS.values()})


def _begin_work(parent: _Parent, worker: Any) -> None:
    # Until it has handlers of its own, a new worker would leave SIGTERM to a copy of the parent's.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    metrics.of(parent.app.app).use_row(worker.row)
    # A worker that is replaced may finish what it has begun; one that is stopped has less time,
    # which the parent sees to.
    worker.cfg.set("graceful_timeout", _REQUEST_SECONDS)


def _warm_up(app: Flask) -> None:
    posterior = loaded.of(app).posterior
    if posterior is None:
        return
    try:
        predictions.warm_up(posterior)
    except (RuntimeError, OSError) as error:  # Numba finds no folder for what it compiles
        raise InputError(
            f"cannot compile ({error}); set NUMBA_CACHE_DIR to a folder that can be written"
        ) from None


def _share_memory() -> None:
    """Exclude existing objects from the garbage collector of new workers.

    The collector writes to each object that it visits, and a page that is written to is no longer
    shared.
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
    os._exit(0)  # an exception could end up in whatever library is busy, and nothing is open yet

"""For every request: an id, security headers, a line in the log, and a count."""

import logging
import re
import secrets
import time

from flask import Flask, Response, current_app, g, request

from api import loaded, metrics

REQUEST_ID = "X-Request-ID"
MODEL_VERSION = "X-Model-Version"
_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_VALID_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
# A page may load only this service's own style sheets, images and script files.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_DATA_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_PAGE_HEADERS = _DATA_HEADERS | {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
}
_FILE_HEADERS = _PAGE_HEADERS | {"Cache-Control": "no-cache"}  # cached; revalidated by ETag

log = logging.getLogger("api.requests")


def register(app: Flask) -> None:
    """Add the handlers that run before and after every request of the app."""
    app.before_request(_begin)
    app.after_request(_end)


def new_id() -> str:
    """Return a new random request id."""
    return secrets.token_hex(12)


def _begin() -> None:
    g.began = time.perf_counter()
    given = request.headers.get(REQUEST_ID, "")
    g.request_id = given if _VALID_ID.fullmatch(given) else new_id()


def _end(response: Response) -> Response:
    if "model_version" not in g:
        loaded.find()
    response.headers[REQUEST_ID] = g.request_id
    if g.model_version is not None:
        response.headers[MODEL_VERSION] = g.model_version
    for name, value in _headers(response).items():
        response.headers[name] = value

    seconds = time.perf_counter() - g.began
    route = metrics.NO_ROUTE if request.url_rule is None else request.url_rule.rule
    counts = metrics.of(current_app)
    counts.observe(route, response.status_code, seconds)
    customers = g.get("customers", 0)
    if customers:
        counts.add("customers", customers)
    if log.isEnabledFor(logging.INFO):
        fields = {
            "request_id": g.request_id,
            "method": request.method if request.method in _METHODS else "other",
            "route": route,
            "status": response.status_code,
            "milliseconds": round(1e3 * seconds, 3),
            "customers": customers,
            "model_version": g.model_version,
        }
        log.info("answered", extra={"fields": fields})
    return response


def _headers(response: Response) -> dict[str, str]:
    if request.endpoint == "static" and response.status_code in (200, 304):
        return _FILE_HEADERS
    return _DATA_HEADERS if response.mimetype == "application/json" else _PAGE_HEADERS

"""The bearer token, where one is required (RFC 6750)."""

import hmac
import os

from flask import Flask, Response, current_app, request

from api.envelope import refusal
from api.wire import wants_page
from bayes_clv.errors import InputError

ENVIRONMENT_VARIABLE = "BAYES_CLV_TOKEN"
MIN_LENGTH = 16
_KEY = "bayes_clv_token"
# These routes hold no data: probes, documentation, and files of the page.
OPEN = frozenset({"health.live", "health.ready", "openapi.openapi", "docs.docs", "static"})
_ASKS = "home.index"


def register(app: Flask, token: str | None) -> None:
    """Require the token; by default the environment's, if it has one.

    Raises
    ------
    InputError
        When the token is too short, or cannot be sent.
    """
    token = os.environ.get(ENVIRONMENT_VARIABLE) if token is None else token
    if not token:
        return
    if len(token) < MIN_LENGTH or not (token.isascii() and token.isprintable()) or " " in token:
        raise InputError(
            f"{ENVIRONMENT_VARIABLE} must be at least {MIN_LENGTH} printable ASCII characters "
            f"without spaces; this one has {len(token)}"
        )
    expected = token.encode()

    def check() -> Response | None:
        if request.endpoint in OPEN or is_asked_for():
            return None
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        same = hmac.compare_digest(given.strip().encode(errors="replace"), expected)
        if same and scheme.lower() == "bearer":
            return None
        response = refusal(401, "Unauthorized", "send the header Authorization: Bearer <token>")
        response.headers["WWW-Authenticate"] = 'Bearer realm="bayes_clv"'
        return response

    app.before_request(check)
    app.extensions[_KEY] = True


def is_asked_for() -> bool:
    """Whether the dashboard is opened without the token; the page then asks for it."""
    bare = "Authorization" not in request.headers
    return required(current_app) and bare and request.endpoint == _ASKS and wants_page()


def required(app: Flask) -> bool:
    """Whether the app requires a token."""
    return _KEY in app.extensions

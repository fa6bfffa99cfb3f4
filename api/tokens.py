"""The optional bearer token (RFC 6750)."""

import hmac
import os

from flask import Flask, Response, current_app, request

from api.envelope import refusal
from api.wire import wants_page
from bayes_clv.errors import InputError

ENVIRONMENT_VARIABLE = "BAYES_CLV_TOKEN"
MIN_LENGTH = 16
_KEY = "bayes_clv_token"
# Endpoints that need no token, since their answers hold no data.
OPEN = frozenset({"health.live", "health.ready", "openapi.openapi", "docs.docs", "static"})
_TOKEN_PAGE = "home.index"


def register(app: Flask, token: str | None) -> None:
    """Require the token; by default that of the environment variable, if it is set.

    Raises
    ------
    InputError
        If the token is too short, or has characters that a header cannot hold.
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
        if request.endpoint in OPEN or needs_token_page():
            return None
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        matches = hmac.compare_digest(given.strip().encode(errors="replace"), expected)
        if matches and scheme.lower() == "bearer":
            return None
        response = refusal(401, "Unauthorized", "send the header Authorization: Bearer <token>")
        response.headers["WWW-Authenticate"] = 'Bearer realm="bayes_clv"'
        return response

    app.before_request(check)
    app.extensions[_KEY] = True


def needs_token_page() -> bool:
    """Whether a browser requests the dashboard without a token: the answer is a form for it."""
    bare = "Authorization" not in request.headers
    return required(current_app) and bare and request.endpoint == _TOKEN_PAGE and wants_page()


def required(app: Flask) -> bool:
    """Whether the app requires a token."""
    return _KEY in app.extensions

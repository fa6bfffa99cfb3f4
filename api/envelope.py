"""The JSON envelope of every answer: ``code``, the HTTP status, then data or the reason."""

from typing import Any

from flask import Flask, Response, current_app, jsonify, request
from werkzeug.exceptions import HTTPException, InternalServerError, MethodNotAllowed, NotFound

from api.words import shown

MAX_ECHO = 1_000  # characters of a refused body in the answer


def success(data: dict[str, Any]) -> Response:
    """Answer 200 with data."""
    return jsonify(code=200, status="success", data=data)


def refusal(code: int, message: object, reason: str) -> Response:
    """Answer with a status of failure, its name or the body that was sent, and the reason."""
    response = jsonify(code=code, message=message, reason=reason)
    response.status_code = code
    return response


def invalid_request(text: str, reason: str) -> Response:
    """Answer 503, as the first version of this service did, for a body that cannot be scored."""
    echo = text[:MAX_ECHO].encode(errors="replace").decode()
    return refusal(503, {"INVALID REQUEST": echo}, reason)


def register(app: Flask) -> None:
    """Make every failure of the app answer in the envelope."""
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _failure)


def _http_error(error: HTTPException) -> Response:
    response = refusal(error.code or 500, error.name, _reason(error))
    if isinstance(error, MethodNotAllowed):
        response.allow.update(error.valid_methods or ())
    return response


def _reason(error: HTTPException) -> str:
    match error:
        case NotFound() if request.url_rule is None:
            return f"there is no route {shown(request.path)}; GET / lists the routes"
        case MethodNotAllowed():
            allowed = ", ".join(sorted(error.valid_methods or ()))
            return f"method {shown(request.method)} is not allowed, only {allowed}"
        case _:
            return error.description or error.name


def _failure(error: Exception) -> Response:
    current_app.logger.error("%s %s failed", request.method, request.path, exc_info=error)
    reason = "the server failed on this request; its log gives the reason"
    return refusal(500, InternalServerError().name, reason)

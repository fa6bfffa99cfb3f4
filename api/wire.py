"""Reads request bodies: from bytes to text to fields. Nothing in a body is evaluated.

Routes under ``/v1`` accept JSON only (``read_json``). ``POST /predict`` also accepts a dict in
Python's notation, which the first version of this service accepted, and either of the two wrapped
in a JSON string (``unwrap``, ``read_object``).
"""

import ast
import json
import re
import warnings
from collections.abc import Iterable
from typing import Any, NoReturn

from flask import abort, request

from api.words import named, shown
from bayes_clv.errors import InputError

type Fields = dict[str, Any]

MAX_DEPTH = 16


def wants_page() -> bool:
    """Whether the Accept header prefers HTML to JSON, as browsers' headers do."""
    wanted = request.accept_mimetypes.best_match(("application/json", "text/html"))
    return wanted == "text/html"


def read_body(limit: int) -> bytes:
    """Return the body of the request, whatever its media type.

    Raises
    ------
    HTTPException
        411 without a Content-Length (gunicorn would pass a chunked body cut at the limit as if it
        were complete), 413 beyond ``limit`` bytes, 400 if fewer bytes arrive than announced.
    """
    length = request.content_length
    if length is None:
        abort(411, description="send a Content-Length; a chunked body is not accepted")
    if length > limit:
        abort(413, description=f"a body may hold at most {limit:,} bytes, not {length:,}")
    body: bytes = request.environ["wsgi.input"].read(length)
    if len(body) < length:
        abort(400, description="the connection was lost before the whole body arrived")
    return body


def require_json() -> None:
    """Refuse a request whose headers do not declare an uncompressed JSON body.

    Raises
    ------
    HTTPException
        415 if the media type is not JSON, or the body is compressed.
    """
    if not request.is_json:
        abort(415, description="send JSON, with the header Content-Type: application/json")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        abort(415, description="send the body uncompressed, without a Content-Encoding")


def read_json(body: bytes) -> object:
    """Return the value of a JSON document (RFC 8259); its fields are not checked.

    Raises
    ------
    InputError
        If the bytes are not UTF-8 or not JSON, are nested deeper than ``MAX_DEPTH``, give a field
        twice, or hold NaN or Infinity.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("the body is not UTF-8") from None
    if not text.strip():
        raise InputError("the body is empty")
    if _depth(text) > MAX_DEPTH:
        raise InputError(f"the body is nested deeper than {MAX_DEPTH} levels")
    try:
        value: object = _STRICT.decode(text)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"the body is not JSON ({error})") from None
    return value


def unwrap(body: bytes) -> str:
    """Return the body's text or, if that is a JSON string, the text inside the string.

    Bytes that are not UTF-8 become lone surrogates, which ``read_object`` refuses.
    """
    text = body.decode("utf-8-sig", "surrogateescape")
    if not text.lstrip().startswith('"'):
        return text
    try:
        return str(json.loads(text))
    except ValueError:
        return text


def read_object(text: str) -> Fields:
    """Return the fields of an object in JSON or in Python's notation; values are not checked.

    Raises
    ------
    InputError
        If the text is neither, gives a field twice, or holds NaN or Infinity.
    """
    if not text.strip():
        raise InputError("the body is empty")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError("the body is not UTF-8") from None
    try:
        value = _JSON.decode(text)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        return _read_dict(text, error)
    if not isinstance(value, dict):
        raise InputError(f"the body must be an object, not {shown(value)}")
    return value


def _read_dict(text: str, json_error: Exception) -> Fields:
    """Read a flat dict of constants from its syntax tree, without evaluating it."""
    try:
        with warnings.catch_warnings(action="ignore"):  # Python's warnings about the parsed text
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        tree = None
    if not isinstance(tree, ast.Dict):
        why = f" ({json_error})" if isinstance(json_error, json.JSONDecodeError) else ""
        raise InputError(f"the body is neither a JSON object{why} nor a dict in Python's notation")
    pairs = zip(map(_name, tree.keys), tree.values, strict=True)
    return _unique((name, _constant(name, value)) for name, value in pairs)


def _name(node: ast.expr | None) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    raise InputError("the name of a field must be quoted text")


def _constant(name: str, node: ast.expr) -> object:
    match node:
        case ast.Constant(value):
            return value
        case ast.UnaryOp(ast.USub(), ast.Constant(int() | float() as value)):
            return -value
    raise InputError(f"{named(name)} must be a plain number or quoted text, not an expression")


def _unique(pairs: Iterable[tuple[str, object]]) -> Fields:
    fields: Fields = {}
    for name, value in pairs:
        name = name.encode(errors="backslashreplace").decode()  # Pydantic fails on a lone surrogate
        if name in fields:
            raise InputError(f"{named(name)} is given twice")
        fields[name] = value
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise InputError(f"{name} is not a number in JSON")


def _integer(digits: str) -> float:
    """Return an integer, or infinity for more than 400 digits.

    JSON has no limit on digits, but Python raises an error beyond 4,300.
    """
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


def _depth(text: str) -> int:
    """Return how deep brackets are nested outside quoted text, whether or not they match."""
    depth = deepest = 0
    for bracket in _BRACKET.findall(_QUOTED.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


_MOST_DIGITS = 400
_QUOTED = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")
_JSON = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)
_STRICT = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_int=_integer
)

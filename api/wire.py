"""Reading bodies: bytes, text, fields. Nothing in them is believed, and nothing evaluated.

An object may come as JSON, or as a dict in Python's notation, which is what the first version of
this service took; either may be wrapped in a JSON string.
"""

import ast
import json
import warnings
from collections.abc import Iterable
from typing import Any, NoReturn

from flask import abort, request

from api.words import named, shown
from bayes_clv.errors import InputError

type Fields = dict[str, Any]


def read_body(limit: int) -> bytes:
    """Return the body of the request, whatever type it claims to have.

    Raises
    ------
    HTTPException
        411 without a length (gunicorn would hand over a chunked body cut at the limit, as if it
        were whole), 413 beyond ``limit`` bytes.
    """
    length = request.content_length
    if length is None:
        abort(411, description="give a Content-Length; a body in chunks is not read")
    if length > limit:
        abort(413, description=f"a body may hold at most {limit:,} bytes, not {length:,}")
    request.max_content_length = limit + 1  # so that Werkzeug turns a lost connection into a 400
    return request.get_data(cache=False)


def unwrap(body: bytes) -> str:
    """Return the body's text or, where that is a JSON string, the text inside it.

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
        When the text is neither, names a field twice, or holds NaN or Infinity.
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
    """Read a flat dict of constants from its syntax tree, which no one evaluates."""
    try:
        with warnings.catch_warnings(action="ignore"):  # Python's, about the style of the source
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
        name = name.encode(errors="backslashreplace").decode()  # Pydantic stops at a lone surrogate
        if name in fields:
            raise InputError(f"{named(name)} is given twice")
        fields[name] = value
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise InputError(f"{name} is not a number in JSON")


_JSON = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)

"""``GET /docs``: the OpenAPI document as an HTML page, without scripts or other servers."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, current_app, make_response, render_template, request

from api import loaded, tokens
from api.openapi import document

_JSON = "application/json"

blueprint = Blueprint("docs", __name__)


@blueprint.get("/docs")
def docs() -> Response:
    """Show every route with its fields, an example command, and its refusals."""
    described = document(loaded.find(), secured=tokens.required(current_app))
    page = render_template(
        "docs.html",
        about=described["info"]["description"].split("\n\n"),
        operations=list(_operations(described, request.host_url.rstrip("/"))),
        secured=tokens.required(current_app),
        variable=tokens.ENVIRONMENT_VARIABLE,
    )
    return make_response(page)


@dataclass(frozen=True, slots=True)
class Field:
    """A row of a table of fields; ``need`` is "required" or the default."""

    name: str
    type: str
    description: str
    need: str


@dataclass(frozen=True, slots=True)
class Section:
    """One operation as the page shows it."""

    method: str
    path: str
    summary: str
    description: str
    command: str
    request_fields: list[Field]
    answer_fields: list[Field]
    refusals: dict[str, str]


def _operations(described: dict[str, Any], host: str) -> Iterator[Section]:
    schemas = described["components"]["schemas"]
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            body = operation.get("requestBody", {"content": {}})["content"]
            answer = operation["responses"]["200"]["content"]
            refusals = operation["responses"].items()
            yield Section(
                method.upper(),
                path,
                operation["summary"],
                operation["description"],
                _command(operation, f"{host}{path}"),
                [*map(_parameter, operation.get("parameters", [])), *_body(body, schemas)],
                [field for field in _body(answer, schemas) if field.name.startswith("data.")],
                {status: each["description"] for status, each in refusals if status != "200"},
            )


def _command(operation: dict[str, Any], address: str) -> str:
    parts = ["curl"]
    if "security" in operation:
        parts.append(f'-H "Authorization: Bearer ${tokens.ENVIRONMENT_VARIABLE}"')
    if "requestBody" in operation:
        example = json.dumps(operation["requestBody"]["content"][_JSON]["example"], indent=2)
        parts += ['-H "Content-Type: application/json"', f"-d {shlex.quote(example)}"]
    return " \\\n  ".join([*parts, address])


def _parameter(parameter: dict[str, Any]) -> Field:
    schema, description = parameter["schema"], parameter["description"]
    return Field(f"?{parameter['name']}=", _type(schema, {}), description, _need(schema))


def _body(content: dict[str, Any], schemas: dict[str, Any]) -> Iterator[Field]:
    if _JSON in content:
        yield from _fields(_schema(content, schemas), schemas)


def _schema(content: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    return _resolved(content[_JSON]["schema"], schemas)


def _fields(schema: dict[str, Any], schemas: dict[str, Any], within: str = "") -> Iterator[Field]:
    """Yield every field of an object, each followed by the fields of the objects inside it."""
    for name, given in schema.get("properties", {}).items():
        field = _resolved(given, schemas)
        path = f"{within}{name}"
        description = given.get("description") or field.get("description", "")
        need = "required" if name in schema.get("required", ()) else _need(given)
        yield Field(path, _type(given, schemas), description, need)
        if field.get("type") == "array":
            yield from _fields(_resolved(field["items"], schemas), schemas, f"{path}[].")
        for each in (field, *given.get("anyOf", ())):  # anyOf: an object that may be null
            yield from _fields(_resolved(each, schemas), schemas, f"{path}.")


def _resolved(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        resolved: dict[str, Any] = schemas[schema["$ref"].rpartition("/")[2]]
        return resolved
    return schema


def _type(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(json.dumps(value, ensure_ascii=False) for value in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(_type(each, schemas) for each in schema["anyOf"])
    if "const" in schema:
        return json.dumps(schema["const"])
    return str(_resolved(schema, schemas).get("type", "any"))


def _need(schema: dict[str, Any]) -> str:
    return f"default {json.dumps(schema['default'])}" if "default" in schema else ""

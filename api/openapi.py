"""``GET /openapi.json``: an OpenAPI 3.1 document, made from the schemas that requests must fit."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, current_app, jsonify
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api import answers, loaded, tokens
from api.schemas import Batch, BatchCustomer, ComparisonQuery, Customer
from bayes_clv.posterior.posterior import Posterior

_REFERENCE = "#/components/schemas/{model}"
_JSON, _TEXT = "application/json", "text/plain"
_WHY = {
    400: "the body is not JSON, nests too deep, names a field twice, or holds NaN or Infinity",
    401: "the bearer token is missing or wrong",
    404: "there is no such thing",
    411: "the body came without a Content-Length",
    413: "the body or the batch is over its limit",
    415: "the body is not of type application/json, or is compressed",
    422: "a field is wrong; the reason names it, the rule and the value",
    500: "the server failed",
    503: "no model is ready",
}
_ABOUT = """\
Which customers are still yours? Send what a customer has done so far (frequency, recency, T) \
and get the probability that they are still alive, the probability that they buy again within a \
horizon, and the number of purchases to expect, each with a credible interval. All durations are \
in days.

Every answer is a JSON object with "code", which is the HTTP status. An answer holds "status" and \
"data"; a refusal holds "message" and "reason", one line that says what to change. The header \
X-Model-Version names the model that gave the answer. X-Request-ID is the request's own, where it \
came with one of up to 128 letters, digits and any of . _ : - and else a new one."""

blueprint = Blueprint("openapi", __name__)


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """Answer with the document."""
    return jsonify(document(loaded.find(), secured=tokens.required(current_app)))


@dataclass(frozen=True, slots=True)
class Operation:
    """A route as its document has it.

    Attributes
    ----------
    summary, description
        What it is for.
    answer
        The shape of ``data``, or the media type of what is no JSON.
    body, query
        The schemas of the body and of the query.
    refusals
        The statuses that it may answer with, besides 200 and those of every route.
    unscored
        Whether its 503 also stands for a body that cannot be scored.
    """

    method: str
    path: str
    endpoint: str
    summary: str
    description: str
    answer: type[BaseModel] | str
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    refusals: Sequence[int] = ()
    unscored: bool = False


OPERATIONS = (
    Operation(
        "post",
        "/v1/predictions",
        "predictions.predictions",
        "Score a batch of customers",
        "For up to 1,000 customers: the probability of being alive, the probability of buying "
        "within the horizon, and the expected purchases within it. The answers come in the order "
        "of the customers.",
        answers.Predictions,
        body=Batch,
        refusals=(400, 411, 413, 415, 422, 503),
    ),
    Operation(
        "get",
        "/v1/segments",
        "segments.segments",
        "Compare churn between segments",
        "The customers that the model was fitted to, by segment, at the end of the data.",
        answers.Comparison,
        query=ComparisonQuery,
        refusals=(404, 422, 503),
    ),
    Operation(
        "get",
        "/v1/model",
        "model.model",
        "Tell which model answers",
        "The data window, the rows kept and rejected, priors, diagnostics and version.",
        answers.Model,
        refusals=(503,),
    ),
    Operation(
        "post",
        "/predict",
        "predict.predict",
        "Score one customer, as the first version of this service did",
        "Probabilities are decimal text. The body may also be the older form, a JSON string (or "
        "raw text) that holds the object in Python's single quotes. Whatever keeps a customer from "
        "being scored is answered with 503, what was sent, and the reason.",
        answers.Alone,
        body=Customer,
        refusals=(411, 413),
        unscored=True,
    ),
    Operation(
        "get",
        "/health/live",
        "health.live",
        "Does the process run?",
        "For a supervisor. Needs no token.",
        answers.Alive,
    ),
    Operation(
        "get",
        "/health/ready",
        "health.ready",
        "Can it answer?",
        "For a load balancer: there is a model, and it has just answered a question. Needs no "
        "token.",
        answers.Ready,
        refusals=(503,),
    ),
    Operation(
        "get",
        "/metrics",
        "metrics.metrics",
        "Count for Prometheus",
        "Requests by route and status, their durations, customers scored, and model files taken "
        "over or refused, over all workers.",
        _TEXT,
    ),
)


def document(posterior: Posterior | None, *, secured: bool) -> dict[str, Any]:
    """Return the document; the names of segments are those of the model, if there is one.

    Parameters
    ----------
    posterior
        The model that answers.
    secured
        Whether requests must send a token.
    """
    bodies: list[type[BaseModel]] = [Customer, Batch]
    results = [*map(_answer_model, OPERATIONS), answers.Refusal, answers.UnscoredRequest]
    references, definitions = models_json_schema(
        [(model, "validation") for model in bodies]
        + [(model, "serialization") for model in results if model is not None],
        ref_template=_REFERENCE,
    )
    schemas = definitions["$defs"]
    if posterior is not None:
        names = [*posterior.answerable, None]
        for model in (Customer, BatchCustomer):
            segment = schemas[model.__name__]["properties"]["segment"]
            segment |= {"enum": names, "anyOf": [{"type": "string"}, {"type": "null"}]}
    reference = {model: schema for (model, _), schema in references.items()}
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        path = paths.setdefault(operation.path, {})
        path[operation.method] = _operation(operation, reference, secured=secured)
    scheme = {"type": "http", "scheme": "bearer"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "bayes_clv", "version": "1", "description": _ABOUT},
        "paths": paths,
        "components": {"schemas": schemas}
        | ({"securitySchemes": {"token": scheme}} if secured else {}),
    }


def _operation(operation: Operation, reference: dict[Any, Any], *, secured: bool) -> dict[str, Any]:
    guarded = secured and operation.endpoint not in tokens.OPEN
    refusals = {*operation.refusals, 500} | ({401} if guarded else set())
    model = _answer_model(operation)
    content = (
        {_JSON: {"schema": reference[model]}} if model else {operation.answer: {"schema": _PLAIN}}
    )
    responses: dict[str, Any] = {"200": {"description": "the answer", "content": content}}
    for status in sorted(refusals):
        responses[str(status)] = _refusal(_WHY[status], reference[answers.Refusal])
    if operation.unscored:
        why = "the customer cannot be scored, or no model is ready"
        responses["503"] = _refusal(why, reference[answers.UnscoredRequest])
    described: dict[str, Any] = {
        "operationId": operation.endpoint.replace(".", "_"),
        "summary": operation.summary,
        "description": operation.description,
        "responses": responses,
    }
    if operation.query is not None:
        described["parameters"] = list(_parameters(operation.query))
    if operation.body is not None:
        extra: Any = operation.body.model_config["json_schema_extra"]
        content = {_JSON: {"schema": reference[operation.body], "example": extra["examples"][0]}}
        described["requestBody"] = {"required": True, "content": content}
    if guarded:
        described["security"] = [{"token": []}]
    return described


def _answer_model(operation: Operation) -> type[BaseModel] | None:
    if isinstance(operation.answer, str):
        return None
    return answers.Success[operation.answer]  # type: ignore[name-defined]


def _parameters(query: type[BaseModel]) -> Iterable[dict[str, Any]]:
    for name, schema in query.model_json_schema()["properties"].items():
        described = {"description": schema.pop("description")}
        yield {"name": name, "in": "query", "schema": schema} | described


def _refusal(why: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": why, "content": {_JSON: {"schema": schema}}}


_PLAIN = {"type": "string"}

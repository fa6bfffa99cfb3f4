"""``GET /openapi.json``: an OpenAPI 3.1 document, generated from the schemas of the requests."""

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
    400: "the body is not JSON, is nested too deep, gives a field twice, or holds NaN or Infinity",
    401: "the bearer token is missing or wrong",
    404: "the model holds no comparison of its segments",
    411: "the request has no Content-Length",
    413: "the body or the batch is larger than its limit",
    415: "the body is not of type application/json, or is compressed",
    422: "a field is invalid; the reason names the field, the rule and the value",
    500: "the server failed",
    503: "no model is ready",
}
_ABOUT = """\
Which customers have left? Send a customer's purchase history (frequency, recency, T) and get the \
probability that they are still alive, the probability that they buy again within a horizon, and \
the expected number of purchases, each with a credible interval. All durations are in days.

Every answer is a JSON object with "code", the HTTP status. A success also holds "status" and \
"data". A refusal also holds "message" and "reason", one line that tells what to change. The \
header X-Model-Version names the model that gave the answer. The header X-Request-ID repeats the \
id of the request, if that consists of 1 to 128 letters, digits and characters . _ : - and is a \
new id otherwise."""

blueprint = Blueprint("openapi", __name__)


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """Return the OpenAPI document."""
    return jsonify(document(loaded.find(), secured=tokens.required(current_app)))


@dataclass(frozen=True, slots=True)
class Operation:
    """The documentation of a route.

    Attributes
    ----------
    summary, description
        The purpose of the route.
    answer
        The schema of ``data``, or the media type of an answer that is not JSON.
    body, query
        The schemas of the request's body and query.
    refusals
        Statuses of failure, besides those that every route may answer with.
    unscored
        Whether a 503 may also mean that the customer cannot be scored.
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
        "within the horizon, and the expected purchases within it. The predictions are in the "
        "order of the customers.",
        answers.Predictions,
        body=Batch,
        refusals=(400, 411, 413, 415, 422, 503),
    ),
    Operation(
        "get",
        "/v1/segments",
        "segments.segments",
        "Compare churn between segments",
        "The segments of the customers that the model was fitted to, at the end of the data.",
        answers.Comparison,
        query=ComparisonQuery,
        refusals=(404, 422, 503),
    ),
    Operation(
        "get",
        "/v1/model",
        "model.model",
        "Describe the model",
        "The data window, rows kept and rejected, priors, diagnostics and version.",
        answers.Model,
        refusals=(503,),
    ),
    Operation(
        "post",
        "/predict",
        "predict.predict",
        "Score one customer, as the first version of this service did",
        "Probabilities are decimal text. The body may also have the older form: a JSON string (or "
        "raw text) that holds the object in Python's single quotes. If a customer cannot be "
        "scored, the answer is a 503 with the body that was sent and the reason.",
        answers.Alone,
        body=Customer,
        refusals=(411, 413),
        unscored=True,
    ),
    Operation(
        "get",
        "/health/live",
        "health.live",
        "Is the process running?",
        "For a process supervisor. No token is needed.",
        answers.Alive,
    ),
    Operation(
        "get",
        "/health/ready",
        "health.ready",
        "Can the service answer?",
        "For a load balancer: a model is loaded and has just answered a test question. No token "
        "is needed.",
        answers.Ready,
        refusals=(503,),
    ),
    Operation(
        "get",
        "/metrics",
        "metrics.metrics",
        "Metrics for Prometheus",
        "Requests by route and status, their durations, customers scored, and newer model files "
        "loaded or refused, summed over all workers.",
        _TEXT,
    ),
)


def document(posterior: Posterior | None, *, secured: bool) -> dict[str, Any]:
    """Return the OpenAPI document.

    Parameters
    ----------
    posterior
        The served model, whose segment names are listed; None if there is none.
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

"""``POST /v1/predictions``: all predictions for a batch of customers."""

from collections.abc import Callable
from typing import Any

import pandas as pd
from flask import Blueprint, Response, abort, current_app, g

from api import loaded
from api.answers import ModelName, Prediction, Predictions
from api.answers import ValueTerms as AnswerTerms
from api.envelope import success
from api.schemas import HORIZON, MAX_CUSTOMERS, Batch, BatchCustomer
from api.schemas import ValueTerms as RequestTerms
from api.wire import read_body, read_json, require_json
from bayes_clv.errors import InputError
from bayes_clv.posterior.discounting import ValueTerms
from bayes_clv.posterior.every_answer import expectations
from bayes_clv.posterior.posterior import Posterior

MAX_BYTES = 512 * 1024
IN_BACKGROUND = "bayes_clv_in_background"  # the app extension that scores in a background thread

blueprint = Blueprint("predictions", __name__)


@blueprint.post("/v1/predictions")
def predictions() -> Response:
    """Score a batch of customers."""
    posterior = loaded.current()
    batch = _read(posterior)
    run = current_app.extensions.get(IN_BACKGROUND, _at_once)
    terms = _terms(batch.value) if posterior.has_spend else None
    answers = run(score, posterior, batch.customers, batch.horizon_days, batch.level, terms)
    g.customers = len(answers)
    return success(
        Predictions(
            model=ModelName.of(posterior),
            horizon_days=batch.horizon_days,
            level=batch.level,
            value_terms=None if terms is None else AnswerTerms(**terms.to_dict()),
            predictions=answers,
        ).model_dump()
    )


def score(
    posterior: Posterior,
    customers: list[BatchCustomer],
    horizon: float,
    level: float,
    terms: ValueTerms | None = None,
) -> list[Prediction]:
    """Return the predictions for each customer, in the order of the customers."""
    frame = pd.DataFrame([customer.model_dump(exclude={"customer_id"}) for customer in customers])
    if posterior.rule.kind == "column":  # who is in no segment is meant to be in the population
        frame["segment"] = frame["segment"].fillna(posterior.answerable[-1])
    answers = expectations(posterior, frame, horizon, terms, level=level)
    rows = {name: _rows(answer) for name, answer in answers.items()}
    unknown: dict[str, Any] = {"expected_spend": None, "expected_value": None}
    return [
        Prediction.model_validate(
            unknown
            | {"customer_id": customer.customer_id, "segment": segment}
            | {name: rows[name][k] for name in rows}
        )
        for k, (customer, segment) in enumerate(
            zip(customers, answers["prob_alive"]["segment"], strict=True)
        )
    ]


def warm_up(posterior: Posterior) -> None:
    """Score a test customer, so that the compiled code is loaded before the first request."""
    customer = BatchCustomer(frequency=2, recency=30, T=60)
    score(posterior, [customer], HORIZON, 0.9, ValueTerms() if posterior.has_spend else None)


def _read(posterior: Posterior) -> Batch:
    body = read_body(MAX_BYTES)
    require_json()
    try:
        value = read_json(body)
    except InputError as error:
        abort(400, description=str(error))
    match value:
        case {"customers": list() as customers} if len(customers) > MAX_CUSTOMERS:
            abort(
                413,
                description=f"customers may hold at most {MAX_CUSTOMERS:,}, not {len(customers):,}",
            )
    try:
        return Batch.read(value, posterior.answerable)
    except InputError as error:
        abort(422, description=str(error))


def _terms(requested: RequestTerms | None) -> ValueTerms | None:
    if requested is None:
        return None
    return ValueTerms(requested.horizon_days, requested.annual_discount_rate, requested.margin)


def _rows(answer: pd.DataFrame) -> list[dict[str, float]]:
    names = ("mean", "lower", "upper")
    columns = (answer[name].tolist() for name in names)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _at_once[**P, R](work: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
    return work(*arguments, **named)

"""``POST /predict``: P(alive) and P(purchase) of one customer."""

import numpy as np
from flask import Blueprint, Response

from api import loaded
from api.envelope import invalid_request, success
from api.schemas import Customer
from api.wire import read_body, read_object, unwrap
from bayes_clv.errors import InputError
from bayes_clv.posterior.estimates import Answer, Estimate

MAX_BYTES = 16 * 1024

blueprint = Blueprint("predict", __name__)


@blueprint.post("/predict")
def predict() -> Response:
    """Score one customer, or answer 503 with the reason why they cannot be scored."""
    posterior = loaded.current()
    text = unwrap(read_body(MAX_BYTES))
    try:
        segments = posterior.answerable
        customer = Customer.read(read_object(text), segments)
        answer = posterior.answer(**customer.model_dump())
    except InputError as error:
        return invalid_request(text, str(error))
    return success(_as_text(answer))


def _as_text(answer: Answer) -> dict[str, object]:
    alive, purchase = _decimals(answer.alive), _decimals(answer.purchase)
    return {
        "prob_alive": alive.pop("mean"),
        "credible_interval": {"level": _decimal(answer.level), **alive},
        "segment": answer.segment,
        "prob_purchase": {"horizon_days": f"{answer.horizon:g}", **purchase},
        "dropout": answer.dropout.value,
    }


def _decimals(estimate: Estimate) -> dict[str, str]:
    return {
        "mean": _decimal(estimate.mean),
        "lower": _decimal(estimate.lower),
        "upper": _decimal(estimate.upper),
    }


def _decimal(value: float) -> str:
    """Return the shortest decimal text, without an exponent, that parses to the same number."""
    text = repr(value)
    return np.format_float_positional(value, trim="0") if "e" in text else text

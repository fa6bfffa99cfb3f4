"""``POST /predict``: is this customer still alive?"""

import numpy as np
from flask import Blueprint, Response

from api import loaded
from api.envelope import invalid_request, success
from api.schemas import Customer
from api.wire import read_body, read_object, unwrap
from bayes_clv.errors import InputError
from bayes_clv.posterior import Answer
from bayes_clv.segments.rules import POPULATION_NAME

MAX_BYTES = 16 * 1024

blueprint = Blueprint("predict", __name__)


@blueprint.post("/predict")
def predict() -> Response:
    """Score one customer, or say what keeps it from being scored."""
    posterior = loaded.current()
    text = unwrap(read_body(MAX_BYTES))
    try:
        segments = (*posterior.segment_names, POPULATION_NAME)
        customer = Customer.read(read_object(text), segments)
        answer = posterior.answer(**customer.model_dump())
    except InputError as error:
        return invalid_request(text, str(error))
    return success(_in_words(answer))


def _in_words(answer: Answer) -> dict[str, object]:
    return {
        "prob_alive": _decimal(answer.mean),
        "credible_interval": {
            "level": _decimal(answer.level),
            "lower": _decimal(answer.lower),
            "upper": _decimal(answer.upper),
        },
        "segment": answer.segment,
    }


def _decimal(value: float) -> str:
    """Return the shortest decimal that reads back as the same number, without an exponent."""
    return np.format_float_positional(value, trim="0")

"""``GET /v1/model``: what answers here, where it comes from, and whether it can be trusted."""

from math import isfinite
from typing import Any

from flask import Blueprint, Response

from api import loaded
from api.answers import Model
from api.envelope import success

blueprint = Blueprint("model", __name__)


@blueprint.get("/v1/model")
def model() -> Response:
    """Tell the data window, the priors, the diagnostics and the version."""
    facts = loaded.current().facts()
    return success(Model(**_finite(facts)).model_dump())


def _finite(value: Any) -> Any:
    """The same with null in the place of numbers that JSON does not know."""
    match value:
        case dict():
            return {name: _finite(part) for name, part in value.items()}
        case list():
            return [_finite(part) for part in value]
        case float() if not isfinite(value):
            return None
    return value

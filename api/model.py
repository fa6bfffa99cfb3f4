"""``GET /v1/model``: the model, where it comes from, and whether it can be trusted."""

from math import isfinite
from typing import Any

from flask import Blueprint, Response

from api import loaded
from api.answers import Model
from api.envelope import success

blueprint = Blueprint("model", __name__)


@blueprint.get("/v1/model")
def model() -> Response:
    """Answer with the data window, the priors, the diagnostics and the version."""
    facts = loaded.current().facts()
    return success(Model(**_finite(facts)).model_dump())


def _finite(value: Any) -> Any:
    """Replace NaN and infinity, which JSON does not have, by null."""
    match value:
        case dict():
            return {name: _finite(part) for name, part in value.items()}
        case list():
            return [_finite(part) for part in value]
        case float() if not isfinite(value):
            return None
    return value

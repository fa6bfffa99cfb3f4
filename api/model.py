"""``GET /v1/model``: the served model, its data and settings, and its diagnostics."""

from math import isfinite
from typing import Any

from flask import Blueprint, Response

from api import loaded
from api.answers import Model
from api.envelope import success

blueprint = Blueprint("model", __name__)


@blueprint.get("/v1/model")
def model() -> Response:
    """Return data window, priors, diagnostics and version of the model."""
    facts = loaded.current().facts()
    return success(Model(**_finite(facts)).model_dump())


def _finite(value: Any) -> Any:
    """Replace numbers that are not finite, which JSON does not allow, by None."""
    match value:
        case dict():
            return {name: _finite(part) for name, part in value.items()}
        case list():
            return [_finite(part) for part in value]
        case float() if not isfinite(value):
            return None
    return value

"""``GET /v1/segments``: the comparison of churn between segments."""

from flask import Blueprint, Response, abort, request

from api import loaded
from api.answers import Comparison, ModelName
from api.envelope import success
from api.schemas import ComparisonQuery
from bayes_clv.errors import InputError
from bayes_clv.posterior.posterior import Posterior

blueprint = Blueprint("segments", __name__)


@blueprint.get("/v1/segments")
def segments() -> Response:
    """Compare churn between the segments at the end of the data."""
    posterior = loaded.current()
    fields = {
        name: values[0] if len(values) == 1 else values for name, values in request.args.lists()
    }
    try:
        query = ComparisonQuery.read(fields)
    except InputError as error:
        abort(422, description=str(error))
    if not posterior.has_comparison:
        abort(404, description="this model holds no comparison of its segments")
    return success(comparison(posterior, query.level).model_dump())


def comparison(posterior: Posterior, level: float) -> Comparison:
    """Return the comparison stored in the posterior, with intervals of mass ``level``."""
    compared = posterior.compare_segments(level=level).to_dict()
    return Comparison(model=ModelName.of(posterior), **compared)

"""What an orchestrator asks: does the process run, and can it answer?"""

from flask import Blueprint, Response

from api import loaded
from api.envelope import success

blueprint = Blueprint("health", __name__, url_prefix="/health")


@blueprint.get("/live")
def live() -> Response:
    """Answer 200 while the process runs."""
    return success({"alive": True})


@blueprint.get("/ready")
def ready() -> Response:
    """Answer 200 once there is a model, sound or not, else 503."""
    facts = loaded.facts(loaded.current())
    return success({name: facts[name] for name in ("version", "dropout", "data_end", "sound")})

"""Health checks for an orchestrator: the process is running, and a model can answer."""

from flask import Blueprint, Response, current_app

from api import loaded, metrics
from api.envelope import success

_PROBE = (1.0, 30.0, 100.0)  # frequency, recency, T

blueprint = Blueprint("health", __name__, url_prefix="/health")


@blueprint.get("/live")
def live() -> Response:
    """Answer 200 while the process runs."""
    return success({"alive": True})


@blueprint.get("/ready")
def ready() -> Response:
    """Answer 200 if a model, sound or not, can answer a test question now, else 503."""
    posterior = loaded.current()
    posterior.answer(*_PROBE)
    facts = loaded.facts(posterior)
    return success(
        {name: facts[name] for name in ("version", "dropout", "data_end", "sound")}
        | {"newer_file_refused": newer_file_refused()}
    )


def newer_file_refused() -> bool:
    """Whether the model's file was replaced by one that was refused."""
    return metrics.of(current_app).total("newer_file_refused") > 0

"""``GET /``: what there is here."""

from flask import Blueprint, Response, current_app

from api import loaded
from api.envelope import success

blueprint = Blueprint("home", __name__)


@blueprint.get("/")
def index() -> Response:
    """List the routes, and say which model answers."""
    posterior = loaded.find()
    routes = [
        f"{method} {rule.rule}"
        for rule in current_app.url_map.iter_rules()
        if rule.endpoint != "static"
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]
    return success({"routes": routes, "model": posterior and loaded.facts(posterior)})

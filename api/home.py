"""``GET /``: the dashboard for browsers, the list of routes for programs."""

from flask import Blueprint, Response, current_app, make_response

from api import dashboard, loaded, tokens
from api.envelope import success
from api.wire import wants_page

blueprint = Blueprint("home", __name__)


@blueprint.get("/")
def index() -> Response:
    """Show the dashboard, or list the routes with facts about the model."""
    if tokens.needs_token_page():
        response = make_response(dashboard.locked())
    elif wants_page():
        response = make_response(dashboard.page(loaded.find()))
    else:
        response = success(_facts())
    response.vary.add("Accept")
    return response


def _facts() -> dict[str, object]:
    posterior = loaded.find()
    routes = [
        f"{method} {rule.rule}"
        for rule in current_app.url_map.iter_rules()
        if rule.endpoint != "static"
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]
    return {"routes": routes, "model": posterior and loaded.facts(posterior)}

"""The app factory."""

from flask import Flask

from api import envelope, health, home, loaded, predict


def create_app(model: loaded.Model = None) -> Flask:
    """Build the app.

    Parameters
    ----------
    model
        A model file, a posterior, or None for the file that BAYES_CLV_MODEL names; without any, the
        app runs, is not ready, and says so.

    Raises
    ------
    ArtifactError
        When the file is refused.
    """
    app = Flask("api", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of Flask's default provider
    app.url_map.merge_slashes = False  # what is not a route is a 404, never a redirect
    loaded.load(app, model)
    envelope.register(app)
    for routes in (home, health, predict):
        app.register_blueprint(routes.blueprint)
    return app

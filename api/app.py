"""The app factory."""

from flask import Flask

from api import (
    docs,
    envelope,
    health,
    home,
    loaded,
    metrics,
    model,
    openapi,
    predict,
    predictions,
    segments,
    tokens,
    trace,
)

_ROUTES = (home, docs, openapi, health, metrics, predict, predictions, segments, model)


def create_app(
    model: loaded.Model = None, *, token: str | None = None, allow_unsound: bool = True
) -> Flask:
    """Build the app.

    Parameters
    ----------
    model
        A model file, a posterior, or None for the file that BAYES_CLV_MODEL names. Without a model
        the app runs but is not ready, and its routes answer 503.
    token
        The bearer token that requests must send; by default BAYES_CLV_TOKEN. Empty: none.
    allow_unsound
        Whether to serve a posterior that failed its diagnostics.

    Raises
    ------
    ArtifactError, UnsoundPosterior
        If the model file is refused.
    InputError
        If the token is invalid.
    """
    app = Flask("api")
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of Flask's default provider
    app.url_map.merge_slashes = False  # an unknown path is a 404, never a redirect
    loaded.load(app, model, allow_unsound=allow_unsound)
    envelope.register(app)
    trace.register(app)
    tokens.register(app, token)
    for routes in _ROUTES:
        app.register_blueprint(routes.blueprint)
    metrics.register(app)
    return app

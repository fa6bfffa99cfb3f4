"""The posterior that the app answers from."""

import os
from os import PathLike
from typing import Any

from flask import Flask, abort, current_app

from bayes_clv.artifact import load_posterior
from bayes_clv.posterior import Posterior

ENVIRONMENT_VARIABLE = "BAYES_CLV_MODEL"
_KEY = "bayes_clv"

type Model = str | PathLike[str] | Posterior | None


def load(app: Flask, model: Model) -> None:
    """Give the app its posterior, or none where neither ``model`` nor the environment names one.

    Raises
    ------
    ArtifactError
        When the file is refused: a server must not start with the wrong model.
    """
    if model is None:
        model = os.environ.get(ENVIRONMENT_VARIABLE) or None
    app.extensions[_KEY] = load_posterior(model) if isinstance(model, str | PathLike) else model


def find() -> Posterior | None:
    """Return the app's posterior, if it has one."""
    posterior: Posterior | None = current_app.extensions[_KEY]
    return posterior


def current() -> Posterior:
    """Return the app's posterior; a route calls this once, so that one model gives the answer."""
    return find() or abort(503, description="no model is ready")


def facts(posterior: Posterior) -> dict[str, Any]:
    """Say where the posterior comes from and whether it can be trusted, JSON-ready."""
    record = posterior.record
    return {
        "version": posterior.version,
        "model": posterior.dropout.model_name,
        "dropout": posterior.dropout.value,
        "source": record.source,
        "data_start": record.start.isoformat(),
        "data_end": record.end.isoformat(),
        "customers": record.n_customers,
        "segments": list(posterior.segment_names),
        "sound": posterior.diagnostics.sound,
    }

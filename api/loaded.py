"""The posterior that the app serves, and its model file."""

import os
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from flask import Flask, abort, current_app, g

from bayes_clv.errors import ArtifactError, UnsoundPosterior
from bayes_clv.posterior.posterior import Posterior, load_posterior

ENVIRONMENT_VARIABLE = "BAYES_CLV_MODEL"
_KEY = "bayes_clv"

type Model = str | PathLike[str] | Posterior | None

# Identifies a version of a file without reading it; None if there is no file.
type Stamp = tuple[int, ...] | None


@dataclass
class Served:
    """The posterior that is served, and the file to reload it from.

    Attributes
    ----------
    posterior
        The posterior; None if there is none yet.
    path
        The model file to watch, if there is one.
    allow_unsound
        Whether to serve a posterior that failed its diagnostics.
    stamp
        The version of the file at the last attempt to load it.
    """

    posterior: Posterior | None
    path: Path | None = None
    allow_unsound: bool = True
    stamp: Stamp = None

    def is_outdated(self) -> bool:
        """Whether the file has changed since the last attempt to load it."""
        return self.path is not None and _stamp(self.path) != self.stamp

    def refresh(self) -> None:
        """Load the file and serve its posterior; a refused file changes nothing.

        Raises
        ------
        ArtifactError, UnsoundPosterior
            If the file is refused; ``is_outdated`` is then false until the file changes again.
        """
        if self.path is None:
            return
        self.stamp = _stamp(self.path)  # before reading: a change during the read is then detected
        posterior = load_posterior(self.path)
        if not self.allow_unsound:
            posterior.diagnostics.require_sound("to serve it nevertheless, give --allow-unsound")
        self.posterior = posterior


Refused = (ArtifactError, UnsoundPosterior)


def load(app: Flask, model: Model, *, allow_unsound: bool = True) -> None:
    """Load the posterior of the app, if ``model`` or the environment variable names one.

    Raises
    ------
    ArtifactError, UnsoundPosterior
        If the file is refused: a server must not start with the wrong model.
    """
    if model is None:
        model = os.environ.get(ENVIRONMENT_VARIABLE) or None
    if isinstance(model, str | PathLike):
        served = Served(None, Path(model), allow_unsound)
        served.refresh()
    else:
        served = Served(model)
    app.extensions[_KEY] = served


def of(app: Flask) -> Served:
    """Return the served posterior and its file."""
    served: Served = app.extensions[_KEY]
    return served


def find() -> Posterior | None:
    """Return the app's posterior, if any; its version becomes a header of the answer."""
    posterior = of(current_app).posterior
    g.model_version = posterior and posterior.version
    return posterior


def current() -> Posterior:
    """Return the app's posterior, or abort with 503.

    A route calls this once, so that the whole answer comes from one model.
    """
    return find() or abort(503, description="no model is ready")


def facts(posterior: Posterior) -> dict[str, Any]:
    """Return the posterior's version, model, data and soundness, as JSON-ready values."""
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


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns

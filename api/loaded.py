"""The posterior that the app serves, and the file that it came from."""

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

# Inode, size and time of a file: a change of the file changes them. None where there is no file.
type Stamp = tuple[int, ...] | None


@dataclass
class Served:
    """The posterior that is served, and the file that a newer one would come from.

    Attributes
    ----------
    posterior
        The posterior; None where there is none yet.
    path
        The file to watch, if there is one.
    allow_unsound
        Whether a posterior that failed its diagnostics may take over.
    stamp
        The state of the file when it was last tried.
    """

    posterior: Posterior | None
    path: Path | None = None
    allow_unsound: bool = True
    stamp: Stamp = None

    def is_outdated(self) -> bool:
        """Whether the file has changed since it was last tried."""
        return self.path is not None and _stamp(self.path) != self.stamp

    def refresh(self) -> None:
        """Load the file as it is now; a file that fails a check changes nothing.

        Raises
        ------
        ArtifactError, UnsoundPosterior
            When the file is refused; it is not tried again until it changes.
        """
        if self.path is None:
            return
        self.stamp = _stamp(self.path)  # taken before reading: a change meanwhile is read again
        posterior = load_posterior(self.path)
        if not self.allow_unsound:
            posterior.diagnostics.require_sound("--allow-unsound serves it all the same")
        self.posterior = posterior


Refused = (ArtifactError, UnsoundPosterior)


def load(app: Flask, model: Model, *, allow_unsound: bool = True) -> None:
    """Give the app its posterior, or none where neither ``model`` nor the environment names one.

    Raises
    ------
    ArtifactError, UnsoundPosterior
        When the file is refused: a server must not start with the wrong model.
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
    """Return what the app serves."""
    served: Served = app.extensions[_KEY]
    return served


def find() -> Posterior | None:
    """Return the app's posterior, if it has one; the answer will be tagged with its version."""
    posterior = of(current_app).posterior
    g.model_version = posterior and posterior.version
    return posterior


def current() -> Posterior:
    """Return the app's posterior; a route calls this once, so that one model gives the answer."""
    return find() or abort(503, description="no model is ready")


def facts(posterior: Posterior) -> dict[str, Any]:
    """The model in short: version, source, window of days, segments, verdict; JSON-ready."""
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

"""Output streams, progress bars, and the handling of errors, for all commands."""

import datetime as dt
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from bayes_clv.errors import BayesClvError, BayesClvWarning, InputError, UnsoundPosterior

BAD_INPUT, UNSOUND = 2, 3  # exit codes

out, err = Console(), Console(stderr=True)


@contextmanager
def errors() -> Iterator[None]:
    """Turn errors of this package and of engines into one line and an exit code.

    Warnings of this package become a line, too.
    """
    try:
        with _warnings():
            yield
    except BayesClvError as error:
        _complain(str(error))
        code = UNSOUND if isinstance(error, UnsoundPosterior) else BAD_INPUT
        raise typer.Exit(code) from None
    except Exception as error:
        from bayes_clv.data.engines import failures, one_line

        if not isinstance(error, failures()):
            raise
        _complain(f"the engine that holds the log failed: {one_line(error)}")
        raise typer.Exit(BAD_INPUT) from None


@contextmanager
def _warnings() -> Iterator[None]:
    """Print warnings of this package as one line each, without the place in the code."""

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if not issubclass(category, BayesClvWarning):
            elsewhere(message, category, *where, **more)
            return
        words = f"Warning: {message}"
        err.print(words, style="yellow", highlight=False, markup=False, soft_wrap=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", BayesClvWarning)
        elsewhere, warnings.showwarning = warnings.showwarning, show
        yield


def _complain(words: str) -> None:
    err.print(f"Error: {words}", style="red", highlight=False, markup=False, soft_wrap=True)


class Steps:
    """A progress bar over many steps, such as the fits of a backtest."""

    def __init__(self, what: str) -> None:
        columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), what)
        self._bar = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=err)
        self._task = self._bar.add_task("reading", total=None)

    def __enter__(self) -> "Steps":
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def update(self, words: str, done: int, total: int) -> None:
        """Show the current step, and how many of ``total`` are done."""
        self._bar.update(self._task, description=words, completed=done, total=total)


def check_figure(path: Path) -> None:
    """Raise InputError if no figure can be written to ``path``; called before other work."""
    from matplotlib.figure import Figure

    endings = Figure().canvas.get_supported_filetypes()
    if path.suffix.lstrip(".").lower() not in endings:
        raise InputError(f"--plot {path} must end in one of {', '.join(sorted(endings))}")
    if not path.parent.is_dir():
        raise InputError(f"--plot {path} cannot be written: there is no folder {path.parent}")


def write_figure(axes: Any, path: Path) -> None:
    """Write the figure of ``axes`` to ``path``."""
    try:
        axes.flat[0].figure.savefig(path, dpi=150, bbox_inches="tight")
    except (OSError, ValueError) as error:
        raise InputError(f"--plot {path} cannot be written: {error}") from None
    err.print(f"Figure written to {path}", highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print JSON on stdout."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.date) else value.item()

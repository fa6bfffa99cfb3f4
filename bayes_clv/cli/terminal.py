"""Output streams, progress bars, and the handling of errors, for all commands."""

import datetime as dt
import json
import sys
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import resources
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
from rich.text import Text

from bayes_clv.cli.log_options import CDNOW, Reader
from bayes_clv.errors import BayesClvError, BayesClvWarning, UnsoundPosterior, shown

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
    err.print(f"Error: {shown(words)}", style="red", highlight=False, markup=False, soft_wrap=True)


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


def say(console: Console, words: str) -> None:
    """Print one line as it is: nothing in it is markup, and it is not wrapped."""
    console.print(words, highlight=False, markup=False, soft_wrap=True)


def status(words: str) -> AbstractContextManager[object]:
    """Show on stderr what is being done."""
    return err.status(Text(shown(words)))


def inputs_of(read: Reader, *sources: str | None) -> list[str]:
    """Return what a command reads: its sources, and the Parquet file that an engine is told of."""
    inputs = [source for source in sources if source is not None]
    if CDNOW in inputs:
        inputs.append(str(resources.files("bayes_clv") / "data" / "cdnow.parquet"))
    table = read.options.get("table")
    if table and ("/" in table or table.endswith(".parquet")):  # as engines.find_table
        inputs.append(table)
    return inputs


def print_json(value: Any) -> None:
    """Print JSON on stdout; what stdout cannot encode is escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=_plain)
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2, default=_plain)
    typer.echo(text)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.date) else value.item()

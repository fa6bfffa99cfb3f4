"""Progress of a fit: reported in words, or shown as bars with the time that each stage takes."""

from collections.abc import Callable
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class Stages:
    """The stages of a fit, one after the other: a context manager that shows them.

    Parameters
    ----------
    show
        Show progress on standard error: in a terminal as bars, elsewhere as a line of text for each
        stage that begins.
    tell
        Called with the name of each stage that begins.
    """

    def __init__(
        self, *, show: bool = False, tell: Callable[[str], None] = lambda words: None
    ) -> None:
        console = Console(stderr=True)
        self._tell = tell
        self._words = show and not console.is_terminal
        self._bars = Progress(
            TextColumn("{task.description}", style="dim", markup=False),
            BarColumn(),
            _Count(),
            TextColumn("{task.fields[note]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not (show and console.is_terminal),
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end()
        self._bars.stop()

    def begin(self, words: str, total: int | None = None) -> None:
        """Begin a stage of ``total`` steps (None: unknown), and end the one before."""
        self._end()
        self._tell(words)
        if self._words:
            self._bars.console.print(f"{words} …", style="dim", markup=False, soft_wrap=True)
        self._task = self._bars.add_task(words, total=total, note="")

    def warn(self, words: str) -> None:
        """Show a warning, unless it is empty."""
        if words and (self._words or not self._bars.disable):
            line = Text(f"Warning: {words}", style="yellow")
            self._bars.console.print(line, soft_wrap=True)

    def update(self, completed: int, note: str = "") -> None:
        """Set the number of steps that are done; any thread may call this."""
        if self._task is not None:
            self._bars.update(self._task, completed=completed, note=note)

    def _end(self) -> None:
        if self._task is not None:
            task = next(it for it in self._bars.tasks if it.id == self._task)
            self._bars.update(self._task, total=task.completed or 1, completed=task.completed or 1)
            self._task = None


class _Count(ProgressColumn):
    """Steps that are done, of how many; blank where the total is unknown."""

    def render(self, task: Task) -> Text:
        """Return the text."""
        if task.total is None or task.total == 1:
            return Text("")
        return Text(f"{task.completed:,.0f}/{task.total:,.0f}", style="progress.download")

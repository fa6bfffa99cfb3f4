"""Tables for people, for programs and for RESULTS.md, and the command line of every benchmark."""

import datetime as dt
import json
import os
import platform
import re
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.harness import Row

RESULTS = Path(__file__).with_name("RESULTS.md")
_PREFACE = """# Results

Each section is written by the command that it names, with the machine, the versions and the date of
the measurement; none is written by hand. `make bench ARGS="--full --write"` repeats all of them
except Engines, Shops, Silence and Soundness.
"""
_WIDTH_OF_FILES = 200
_VERSIONS = ("numpy", "numba", "pymc", "nutpie", "duckdb", "pandas")


@dataclass(frozen=True, slots=True)
class Column:
    """A heading and the format of its numbers; text is shown as it is, and None as a dash."""

    heading: str
    format: str = ""

    def show(self, value: object) -> str:
        if value is None:
            return "–"
        return value if isinstance(value, str) else format(value, self.format)


@dataclass(frozen=True)
class Report:
    """One table.

    Attributes
    ----------
    title, columns, rows
        A column shows the values that the rows have under its name.
    notes
        What a reader needs to know to judge the figures.
    """

    title: str
    columns: dict[str, Column]
    rows: list[Row]
    notes: list[str] = field(default_factory=list)

    def shown(self) -> dict[str, Column]:
        """The columns with values; without the peers, some have none."""
        return {
            name: column
            for name, column in self.columns.items()
            if any(row.get(name) is not None for row in self.rows)
        }

    def cells(self) -> list[list[str]]:
        return [
            [column.show(row.get(name)) for name, column in self.shown().items()]
            for row in self.rows
        ]

    def for_people(self) -> Table:
        table = Table(
            title=self.title,
            title_justify="left",
            caption="\n".join(self.notes),
            caption_justify="left",
            box=SIMPLE_HEAD,
            pad_edge=False,
            padding=(0, 1, 0, 0),
        )
        cells = self.cells()
        for position, column in enumerate(self.shown().values()):
            width = max(len(row[position]) for row in cells)
            justify = "right" if position else "left"
            table.add_column(column.heading, justify=justify, min_width=width, vertical="bottom")
        for row in cells:
            table.add_row(*row)
        return table

    def for_programs(self) -> dict[str, Any]:
        return {"title": self.title, "rows": self.rows, "notes": self.notes}

    def in_markdown(self) -> str:
        headings = [column.heading for column in self.shown().values()]
        lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *self.cells()]
        table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
        return "\n\n".join([f"### {self.title}", table, *self.notes])


def parser(description: str) -> ArgumentParser:
    """Return the options that all benchmarks share."""
    parser = ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="the sizes in RESULTS.md")
    parser.add_argument("--no-peer", dest="peer", action="store_false", help="leave out the peers")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--write", action="store_true", help="write the section in RESULTS.md")
    return parser


def run(name: str, arguments: Namespace, measure: Callable[[Namespace], list[Report]]) -> None:
    """Measure, and print or write the tables, as `arguments` say."""
    reports = measure(arguments)
    if arguments.json:
        tables = [report.for_programs() for report in reports]
        print(json.dumps({"benchmark": name, **machine(), "tables": tables}, indent=2))
    else:
        console = Console(width=None if sys.stdout.isatty() else _WIDTH_OF_FILES)
        for report in reports:
            console.print(report.for_people(), "")
    if arguments.write:
        _write(name, reports)


def ratio_to(rows: list[Row], name: str, base: Row) -> list[Row]:
    """Give each row ``ratio_NAME``: its value divided by the value of `base`."""
    return [row | {f"ratio_{name}": row[name] / base[name]} for row in rows]


def machine() -> dict[str, Any]:
    """The date, the machine and the versions of a measurement."""
    try:
        cpu = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        processor = cpu[1] if cpu else platform.machine()
    except OSError:
        processor = platform.processor() or platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "machine": f"{processor}, {os.cpu_count()} cores, {memory:.0f} GB, {platform.system()}",
        "versions": {"Python": platform.python_version()}
        | {name: version(name) for name in _VERSIONS},
    }


def _write(name: str, reports: list[Report]) -> None:
    """Replace the benchmark's section of RESULTS.md, or append it."""
    made = machine()
    versions = ", ".join(f"{name} {number}" for name, number in made["versions"].items())
    # Names only: folders are private.
    given = [Path(it).name for it in sys.argv[1:] if it not in ("--write", "--json")]
    options = "".join(f" {it}" for it in given)
    section = "\n\n".join(
        [
            f"## {name.capitalize()}",
            f"`python -m benchmarks.{name}{options}`, {made['date']}: {made['machine']}; "
            f"{versions}.",
            *(report.in_markdown() for report in reports),
        ]
    )
    text = RESULTS.read_text() if RESULTS.exists() else _PREFACE
    _, *sections = re.split(r"\n(?=## )", text.rstrip("\n"))
    kept = {part.splitlines()[0]: part.rstrip("\n") for part in sections}
    kept[section.splitlines()[0]] = section
    RESULTS.write_text("\n\n".join([_PREFACE.rstrip("\n"), *kept.values()]) + "\n")

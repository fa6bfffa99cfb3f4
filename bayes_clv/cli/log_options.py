"""The options for reading a log, shared by all commands that read one."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from bayes_clv.errors import InputError

if TYPE_CHECKING:  # imports DuckDB and pandas, which --help does not need
    from bayes_clv.data.transactions import Transactions

CDNOW = "cdnow"
_PANEL = "How the log is read"

Log = Annotated[
    str,
    typer.Argument(
        metavar="TRANSACTIONS",
        help="CSV, TSV, TXT, Parquet or XLSX file; a folder or a pattern of text or Parquet files; "
        "the URL of an engine (duckdb://…, "
        "postgresql://…, spark://…) with --table; or "
        f'"{CDNOW}" for the embedded data.',
    ),
]


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads a log with the given options: arguments of `read_transactions` by name."""

    options: Mapping[str, Any]

    @property
    def given(self) -> list[str]:
        """Options that were given, as a user types them."""
        return [_FLAGS.get(name, f"--{name.replace('_', '-')}") for name in self._named]

    @property
    def _named(self) -> list[str]:
        return [name for name, value in self.options.items() if value]

    def __call__(
        self, source: str, *, segment: str | None = None, writable: bool = False
    ) -> "Transactions":
        """Read the log; ``writable`` if a table will be created in its engine."""
        from bayes_clv.data.datasets import load_cdnow
        from bayes_clv.data.engines import connect, is_url
        from bayes_clv.data.reading import read_transactions

        if writable and not is_url(source):
            raise InputError("--out-table needs a log in an engine, given by URL and --table")
        if source == CDNOW:
            given = [*self.given, *(["--segment"] if segment else [])]
            if given:
                raise InputError(f"the embedded data take no options: {', '.join(given)}")
            return load_cdnow()
        options = {name: self.options[name] for name in self._named} | {"segment": segment}
        if options.pop("net_refunds", False):
            options["refunds"] = "net"
        with Console(stderr=True).status("reading the log …"):
            return read_transactions(
                connect(source, writable=True) if writable else source, **options
            )


def _option(name: str, kind: Any, help: str, *flags: str) -> inspect.Parameter:
    described = typer.Option(*flags, help=help, rich_help_panel=_PANEL)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=False if kind is bool else None,
        annotation=Annotated[kind, described],
    )


_FLAGS = {"keep_zero_amounts": "--keep-zero"}
_TEXT, _TEXTS = str | None, list[str] | None
_OPTIONS = (
    _option("customer", _TEXT, "Column of the customer's id."),
    _option("date", _TEXT, "Column of the date."),
    _option("amount", _TEXT, "Column of the amount paid."),
    _option("quantity", _TEXT, "Column of the quantity, with --price."),
    _option("price", _TEXT, "Column of the unit price."),
    _option("invoice", _TEXT, "Column of the invoice, to find returns."),
    _option("table", _TEXT, "Table or Parquet file of the engine, or sheet of the file."),
    _option("time_zone", _TEXT, "Time zone for days of an engine's instants, e.g. Europe/Paris."),
    _option("header_row", int | None, "Line that names the columns, from 1."),
    _option("encoding", _TEXT, "Encoding of text files, e.g. cp1250."),
    _option(
        "date_format",
        _TEXTS,
        "Format of dates in text: e.g. %d/%m/%Y, or excel, unix, unix-ms. May be given several "
        "times; the first that reads a date counts.",
    ),
    _option("decimal_mark", _TEXT, "Decimal mark of numbers in text: . or ,"),
    _option(
        "no_customer",
        _TEXTS,
        "Id that stands for no customer, e.g. guest. May be given several times.",
    ),
    _option("start", _TEXT, "First day that is believed, to set wrong dates aside."),
    _option("end", _TEXT, "Observation end; default: the last purchase."),
    _option("allow_rejected", bool, "Go on although much of the log cannot be read."),
    _option("keep_zero_amounts", bool, "Keep purchases that cost nothing.", "--keep-zero"),
    _option("net_refunds", bool, "Subtract refunds from spend.", "--net-refunds"),
)


def reading(command: Callable[..., None]) -> Callable[..., None]:
    """Add these options to a command, which receives them as one `Reader`, argument ``read``."""
    own = [
        parameter
        for parameter in inspect.signature(command).parameters.values()
        if parameter.name != "read"
    ]

    @wraps(command)
    def wrapped(**given: Any) -> None:
        options = {option.name: given.pop(option.name) for option in _OPTIONS}
        command(**given, read=Reader(options))

    parameters = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in (*own, *_OPTIONS)
    ]
    wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {each.name: each.annotation for each in parameters}
    return wrapped

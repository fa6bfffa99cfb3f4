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
    """Reads a log with the given options."""

    options: Mapping[str, Any]

    @property
    def given(self) -> list[str]:
        """Names of the options that were given."""
        return [name for name, value in self.options.items() if value]

    def __call__(
        self, source: str, *, segment: str | None = None, writable: bool = False
    ) -> "Transactions":
        """Read the log; ``writable`` if a table will be created in its engine."""
        with Console(stderr=True).status("reading the log …"):
            return _read(source, segment, writable, **self.options)


def _option(help: str, *names: str) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=_PANEL)


def _read(
    source: str,
    segment: str | None,
    writable: bool,
    *,
    customer: Annotated[str | None, _option("Column of the customer's id.")] = None,
    date: Annotated[str | None, _option("Column of the date.")] = None,
    amount: Annotated[str | None, _option("Column of the amount paid.")] = None,
    quantity: Annotated[str | None, _option("Column of the quantity, with --price.")] = None,
    price: Annotated[str | None, _option("Column of the unit price.")] = None,
    invoice: Annotated[str | None, _option("Column of the invoice, to find returns.")] = None,
    table: Annotated[
        str | None, _option("Table or Parquet file of the engine, or sheet of the file.")
    ] = None,
    time_zone: Annotated[
        str | None, _option("Time zone for days of an engine's instants, e.g. Europe/Paris.")
    ] = None,
    header_row: Annotated[int | None, _option("Line that names the columns, from 1.")] = None,
    encoding: Annotated[str | None, _option("Encoding of text files, e.g. cp1250.")] = None,
    date_format: Annotated[str | None, _option("Format of dates in text, e.g. %d/%m/%Y.")] = None,
    end: Annotated[str | None, _option("Observation end; default: the last purchase.")] = None,
    keep_zero: Annotated[bool, _option("Keep purchases that cost nothing.", "--keep-zero")] = False,
    net_refunds: Annotated[bool, _option("Subtract refunds from spend.", "--net-refunds")] = False,
) -> "Transactions":
    from bayes_clv.data.datasets import load_cdnow
    from bayes_clv.data.engines import connect, is_url
    from bayes_clv.data.reading import read_transactions

    columns = {
        "customer": customer,
        "date": date,
        "amount": amount,
        "quantity": quantity,
        "price": price,
        "invoice": invoice,
        "segment": segment,
    }
    where = {"table": table, "time_zone": time_zone, "encoding": encoding}
    dates = {"date_format": date_format, "end": end}
    if writable and not is_url(source):
        raise InputError("--out-table needs a log in an engine, given by URL and --table")
    if source == CDNOW:
        flags = {"header_row": header_row, "keep_zero": keep_zero, "net_refunds": net_refunds}
        given = [name for name, value in (columns | where | dates | flags).items() if value]
        if given:
            raise InputError(f"the embedded data take no options: {', '.join(given)}")
        return load_cdnow()
    return read_transactions(
        connect(source, writable=True) if writable else source,
        **columns,
        **where,
        **dates,
        header_row=header_row,
        keep_zero_amounts=keep_zero,
        refunds="net" if net_refunds else "ignore",
    )


_OPTIONS = [
    parameter
    for parameter in inspect.signature(_read).parameters.values()
    if parameter.kind is parameter.KEYWORD_ONLY
]


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

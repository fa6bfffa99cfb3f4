"""From a raw transaction log to clean purchases, with every rejected row accounted for.

>>> import pandas as pd
>>> log = pd.DataFrame(
...     {
...         "Customer ID": [13085.0, 13085.0, None],
...         "Invoice": ["489434", "C489449", "489435"],
...         "InvoiceDate": ["2009-12-01 07:45", "2009-12-01 10:33", "2009-12-01 07:46"],
...         "Quantity": [12, -12, 6],
...         "Price": [6.95, 6.95, 2.1],
...     }
... )
>>> read_transactions(log).ledger
Ledger(rows_in=3, rejected=(('no customer', 1), ('cancelled', 1)))
"""

import dataclasses
import datetime as dt
import os
from collections.abc import Mapping, Sequence
from typing import Literal

import ibis.expr.types as ir
import pandas as pd
from ibis.backends import BaseBackend

from bayes_clv.data.cleaning import Rules, has_amounts, judge
from bayes_clv.data.columns import currency_column, find_columns, other_ids
from bayes_clv.data.dates import as_date
from bayes_clv.data.engines import failures, one_line
from bayes_clv.data.far_days import distrust
from bayes_clv.data.ledger import Ledger
from bayes_clv.data.loading import Loaded, Source, store
from bayes_clv.data.numbers import Mark
from bayes_clv.data.report import ReadingReport
from bayes_clv.data.settling import purchases, settle
from bayes_clv.data.settling import refunds as find_refunds
from bayes_clv.data.sources import open_source
from bayes_clv.data.suspicions import by_day, suspicions
from bayes_clv.data.transactions import Transactions
from bayes_clv.errors import InputError

# Share of the orders with a customer of their own above which the id may be that of the order.
MOST_PEOPLE = 0.9

__all__ = ["Ledger", "Transactions", "read_transactions"]


def read_transactions(
    source: (
        str
        | os.PathLike[str]
        | Sequence[str | os.PathLike[str]]
        | pd.DataFrame
        | ir.Table
        | BaseBackend
    ),
    *,
    customer: str | None = None,
    date: str | None = None,
    amount: str | None = None,
    quantity: str | None = None,
    price: str | None = None,
    invoice: str | None = None,
    segment: str | None = None,
    table: str | None = None,
    time_zone: str | None = None,
    header_row: int | None = None,
    encoding: str | None = None,
    start: dt.date | str | None = None,
    end: dt.date | str | None = None,
    date_format: str | Sequence[str] | None = None,
    decimal_mark: Mark | None = None,
    no_customer: str | Sequence[str] = (),
    keep_zero_amounts: bool = False,
    refunds: Literal["ignore", "net"] = "ignore",
    allow_rejected: bool = False,
) -> Transactions:
    """Read a transaction log and keep its purchases.

    Rows that are not purchases are counted by reason; `bayes_clv.data.cleaning` lists the rules.
    Several rows of one customer on one day stay separate here; `bayes_clv.data.rfm` merges them.

    Parameters
    ----------
    source
        A .csv, .tsv, .txt (also .gz, .zst or .bz2 after that), .parquet or .xlsx file; a folder, a
        pattern such as ``data/*.csv`` or a list of text or Parquet files with the same columns; a
        pandas DataFrame, an Ibis table, or, together with `table`, an Ibis connection or a URL
        (``duckdb://shop.db``, ``postgresql://…``, ``spark://…``; see
        :func:`bayes_clv.data.engines.connect`). Parquet, Ibis tables and engines are queried in
        place; other sources are copied.
    customer, date, amount, quantity, price, invoice
        Names of columns; columns that are not named are found by their usual names, ignoring case
        and punctuation. The amount is what was paid for the row: the amount column, or quantity ×
        price. A log without amounts is accepted.
    segment
        Column of your own segments, read as text.
    table
        Table of a connection, or a Parquet file that its engine reads; or sheet of a workbook
        (default: all sheets that have the header of the first one with data).
    time_zone
        For a connection whose dates are instants: the zone that defines their day, from now on and
        for all tables of the connection. Default: the session's zone; UTC in a Spark session that
        is started here.
    header_row
        Line of a text file, or row of a sheet, that has the names of the columns, counted from 1;
        default: found. What is above it is counted in the ledger.
    encoding
        Encoding of text files, e.g. ``cp1250``. Default: the one of their byte order mark, else
        UTF-8, else Windows-1252 (`bayes_clv.data.encodings` has the rule).
    start
        The first day that is believed; earlier rows are rejected. Default: the first purchase that
        is not far from all others (see :mod:`bayes_clv.data.far_days`). Give it to set wrong dates
        aside, not to shorten a log: a customer's first purchase should be the first that they made.
    end
        Observation end; later rows are rejected. Default: the last purchase that is neither after
        today nor far from all others.
    date_format
        Format of dates in text, where it cannot be detected: a strptime format, e.g. ``%d/%m/%Y``;
        or ``excel``, ``unix``, ``unix-ms``, ``unix-us``, ``unix-ns`` for days since 1899-12-30 and
        for seconds since 1970-01-01. Of several, the first that reads a date counts. A time of day
        is dropped, and no time zone is converted: the day is the one in the column's own zone (in a
        database that stores instants: the session's zone).
    decimal_mark
        ``"."`` or ``","``, where the text of numbers does not show which one it is.
    no_customer
        Ids that stand for no customer, e.g. ``guest``. Words that programs write for null need not
        be given.
    keep_zero_amounts
        Keep purchases that cost nothing, as the published analyses of CDNOW do.
    refunds
        How refunds (rejected rows with a negative amount) change spend. ``"ignore"``: spend is what
        was paid. ``"net"``: a refund is subtracted from the customer's last purchase day on or
        before it; that day keeps a spend of at least 0 and remains a purchase. At a landmark only
        refunds up to the landmark count. The ledger counts the rows in both cases.
    allow_rejected
        Go on, with a warning, where more than 20 % of the rows, customers or money are rejected
        because they cannot be read.

    Returns
    -------
    Transactions
        The purchases, in the engine that holds them, and the ledger.

    Raises
    ------
    InputError
        The source cannot be read, a column cannot be found, too many rows cannot be read, or no row
        is a purchase; the message is one line that says what to do.
    """
    named = {
        "customer": customer,
        "date": date,
        "amount": amount,
        "quantity": quantity,
        "price": price,
        "invoice": invoice,
        "segment": segment,
    }
    _check_names(named | {"table": table, "time_zone": time_zone})
    rules = _rules(
        start=start,
        end=end,
        date_formats=_several("date_format", date_format),
        decimal=decimal_mark,
        no_customer=_several("no_customer", no_customer),
        keep_zero_amounts=keep_zero_amounts,
        refunds=refunds,
        allow_rejected=allow_rejected,
    )
    log = open_source(source, table, time_zone, header_row=header_row, encoding=encoding)
    roles = find_columns(log.columns, named, log.name)
    try:
        return _read(log, roles, rules, converted=amount is not None or price is not None)
    except failures() as error:
        raise InputError(f"{log.name} cannot be read: {one_line(error)}") from error


def _read(log: Source, roles: dict[str, int], rules: Rules, *, converted: bool) -> Transactions:
    """Load the columns that play a role, and those that could tell of a mistake."""
    others = {f"other_{i}": i for i in other_ids(log.columns, roles)}
    currency = currency_column(log.columns, roles)
    asked = {} if currency is None else {"currency": currency}
    loaded = log.load(roles | others | asked)
    doubt = _several_currencies(loaded, given=converted)
    report = ReadingReport({role: log.columns[i] for role, i in roles.items()})
    report = _with_remarks(report, loaded, {name: log.columns[i] for name, i in others.items()})
    told = (*report.warnings, *doubt)  # names of columns and currencies, no values of customers
    report = dataclasses.replace(report, warnings=told, without_values=told)
    return _clean(loaded, rules, log.name, report)


def _several_currencies(loaded: Loaded, *, given: bool) -> tuple[str, ...]:
    """Look at the column of currencies, if there is one and amounts are read.

    Returns a warning if the caller has named the column of amounts, which may be converted already.

    Raises
    ------
    InputError
        There are several currencies, and the column of amounts was not ``given``.
    """
    table = loaded.table
    if "currency" not in table.columns or not has_amounts(table):
        return ()
    named = table.currency.cast("string").strip().upper().nullif("")
    found = table.select(named=named).filter(lambda rows: rows.named.notnull()).distinct()
    names = sorted(row["named"] for row in found.limit(100).to_pyarrow().to_pylist())
    if len(names) < 2:
        return ()
    words = f"amounts are in several currencies: {', '.join(names[:5])}"
    if not given:
        raise InputError(
            f"{words}; convert them into one, or name a column of converted amounts with amount= "
            "(--amount)"
        )
    return (f"{words}; they are added up as if they were one",)


def _with_remarks(
    report: ReadingReport, loaded: Loaded, others: Mapping[str, str]
) -> ReadingReport:
    """Add what reading decided, and a warning if another column looks like the customer's id."""
    remarks, warnings = [*loaded.remarks], [*report.warnings]
    if not has_amounts(loaded.table):
        remarks.append("no column of amounts was found: name it with amount= (--amount)")
    if others:
        table = loaded.table
        orders = table.invoice.nunique() if "invoice" in table.columns else table.customer.count()
        counts = {name: table[name].nunique() for name in ("customer", *others)}
        (found,) = table.aggregate(orders=orders, **counts).to_pyarrow().to_pylist()
        people = found["customer"]
        repeating = [name for name in others if 0 < found[name] < MOST_PEOPLE * people]
        if repeating and people > 1 and people >= MOST_PEOPLE * found["orders"]:
            warnings.append(
                f"nearly every order has its own {report.columns['customer']!r}, but "
                f"{others[repeating[0]]!r} repeats: if that is the customer, name it with "
                "customer= (--customer)"
            )
    return dataclasses.replace(report, remarks=tuple(remarks), warnings=tuple(warnings))


def _check_names(names: Mapping[str, object]) -> None:
    for name, value in names.items():
        if not (value is None or isinstance(value, str)):
            raise InputError(f"{name} must be a name, as text: {value!r}")


def _rules(
    *,
    start: dt.date | str | None,
    end: dt.date | str | None,
    decimal: Mark | None,
    refunds: object,
    keep_zero_amounts: bool,
    allow_rejected: bool,
    date_formats: tuple[str, ...],
    no_customer: tuple[str, ...],
) -> Rules:
    """Check the options that decide about rows."""
    for name, value in (
        ("keep_zero_amounts", keep_zero_amounts),
        ("allow_rejected", allow_rejected),
    ):
        if not isinstance(value, bool):
            raise InputError(f"{name} must be True or False: {value!r}")
    if not (isinstance(refunds, str) and refunds in ("ignore", "net")):
        raise InputError(f'refunds must be "ignore" or "net": {refunds!r}')
    if decimal not in (None, ".", ","):
        raise InputError(f'decimal_mark (--decimal-mark) must be "." or ",": {decimal!r}')
    return Rules(
        start=None if start is None else as_date(start, "start"),
        end=None if end is None else as_date(end, "end"),
        decimal=decimal,
        net_refunds=refunds == "net",
        keep_zero_amounts=keep_zero_amounts,
        allow_rejected=allow_rejected,
        date_formats=date_formats,
        no_customer=no_customer,
    )


def _several(name: str, given: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return one text or several as a tuple."""
    several = (given,) if isinstance(given, str) else given or ()
    if not isinstance(several, Sequence) or not all(isinstance(each, str) for each in several):
        raise InputError(f"{name} must be a text or a list of texts: {given!r}")
    return tuple(several)


def _clean(log: Loaded, rules: Rules, name: str, report: ReadingReport) -> Transactions:
    judged = judge(log.table, dataclasses.replace(rules, untyped=log.untyped))
    rows = store(judged.table) if log.worth_storing else judged.table
    rows, days, doubts = distrust(rows, by_day(rows), start=rules.start, end=rules.end)
    outcome = settle(days, log.rejected, rules, name)
    doubts += suspicions(rows, log.rejected, name, allow_rejected=rules.allow_rejected, days=days)
    priced = has_amounts(log.table)
    return Transactions(
        table=purchases(rows),
        ledger=outcome.ledger,
        start=outcome.first,
        end=rules.end or outcome.last,
        has_amounts=priced,
        source=name,
        refunds=find_refunds(rows) if rules.net_refunds and priced else None,
        report=dataclasses.replace(
            report,
            notations=judged.notations,
            examples=outcome.examples,
            warnings=(*report.warnings, *(each.told for each in doubts)),
            without_values=(*report.without_values, *(each.stored for each in doubts)),
        ),
    )

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
from collections.abc import Sequence
from typing import Literal

import ibis.expr.types as ir
import pandas as pd
from ibis.backends import BaseBackend

from bayes_clv.data.cleaning import Rules, has_amounts, judge, purchases, settle
from bayes_clv.data.cleaning import refunds as find_refunds
from bayes_clv.data.columns import find_columns
from bayes_clv.data.dates import as_date
from bayes_clv.data.engines import failures, one_line
from bayes_clv.data.ledger import Ledger
from bayes_clv.data.loading import Loaded, store
from bayes_clv.data.report import ReadingReport
from bayes_clv.data.sources import open_source
from bayes_clv.data.transactions import Transactions
from bayes_clv.errors import InputError

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
    end: dt.date | str | None = None,
    date_format: str | None = None,
    keep_zero_amounts: bool = False,
    refunds: Literal["ignore", "net"] = "ignore",
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
    end
        Observation end; later rows are rejected. Default: the last purchase.
    date_format
        strptime format of dates in text, e.g. ``%d/%m/%Y``, where it cannot be detected. A time of
        day is dropped, and no time zone is converted: the day is the one in the column's own zone
        (in a database that stores instants: the session's zone).
    keep_zero_amounts
        Keep purchases that cost nothing, as the published analyses of CDNOW do.
    refunds
        How refunds (rejected rows with a negative amount) change spend. ``"ignore"``: spend is what
        was paid. ``"net"``: a refund is subtracted from the customer's last purchase day on or
        before it; that day keeps a spend of at least 0 and remains a purchase. At a landmark only
        refunds up to the landmark count. The ledger counts the rows in both cases.

    Returns
    -------
    Transactions
        The purchases, in the engine that holds them, and the ledger.

    Raises
    ------
    InputError
        The source cannot be read, a column cannot be found, or no row is a purchase; the message
        is one line that says what to do.
    """
    if refunds not in ("ignore", "net"):
        raise InputError(f'refunds must be "ignore" or "net": {refunds!r}')
    rules = Rules(None if end is None else as_date(end, "end"), date_format, keep_zero_amounts)
    log = open_source(source, table, time_zone, header_row=header_row, encoding=encoding)
    named = {
        "customer": customer,
        "date": date,
        "amount": amount,
        "quantity": quantity,
        "price": price,
        "invoice": invoice,
        "segment": segment,
    }
    roles = find_columns(log.columns, named, log.name)
    try:
        report = ReadingReport({role: log.columns[i] for role, i in roles.items()})
        return _clean(log.load(roles), rules, log.name, report, net=refunds == "net")
    except failures() as error:
        raise InputError(f"{log.name} cannot be read: {one_line(error)}") from error


def _clean(
    log: Loaded, rules: Rules, name: str, report: ReadingReport, *, net: bool
) -> Transactions:
    judged = judge(log.table, dataclasses.replace(rules, untyped=log.untyped))
    if log.worth_storing:
        judged = store(judged)
    outcome = settle(judged, log.rejected, rules, name)
    priced = has_amounts(log.table)
    return Transactions(
        table=purchases(judged),
        ledger=outcome.ledger,
        start=outcome.first,
        end=rules.end or outcome.last,
        has_amounts=priced,
        source=name,
        refunds=find_refunds(judged) if net and priced else None,
        report=dataclasses.replace(
            report,
            examples={each.reason: each.example for each in log.rejected if each.example},
            remarks=log.remarks,
        ),
    )

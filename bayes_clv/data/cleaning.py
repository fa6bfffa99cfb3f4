"""Which rows of a log are purchases: one CASE gives every row its reason for rejection, or null.

The rules, in the order in which they apply (malformed lines of a text file are counted earlier):

no customer
    The customer is blank, NaN, or a word that programs write for a missing value (`MISSING`).
no date, unreadable date
    The date is blank; or it is neither a date nor text in the log's date format.
cancelled
    The invoice is a C before a number, e.g. C489449. The letter counts only where the log has plain
    numbers as well: in a shop that calls all its orders C0001, C0002, … none of them is cancelled.
not a sale
    The quantity is zero or less (a return, a write-off); or the invoice is another letter before a
    number, in a log with plain numbers (A563185 is 'Adjust bad debt' at the retailer of Online
    Retail II); or the stock code marks bookkeeping (`BOOKKEEPING`). Postage, gift vouchers and
    manual entries are kept, because a customer pays for them. One-letter codes are kept too: D is a
    discount at that retailer, but elsewhere such codes are products.
unreadable amount
    The amount (or quantity or price, if it is their product) is missing, not a number or not
    finite.
not positive amount
    The amount is below zero; or it is zero, unless such rows are to be kept.
after the end
    The date is later than the observation end.
before the start, after today, far from all others
    The date is before the day that the caller gave as the first; or nothing supports it: see
    :mod:`bayes_clv.data.far_days`, which judges these dates once all others are known.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from bayes_clv.data.dates import with_days
from bayes_clv.data.far_days import AFTER_TODAY, BEFORE_START, FAR
from bayes_clv.data.ledger import Ledger
from bayes_clv.data.report import SOURCE_REASONS, Rejected
from bayes_clv.errors import InputError

NO_CUSTOMER = "no customer"
NO_DATE = "no date"
UNREADABLE_DATE = "unreadable date"
CANCELLED = "cancelled"
NOT_A_SALE = "not a sale"
UNREADABLE_AMOUNT = "unreadable amount"
NOT_POSITIVE = "not positive amount"
AFTER_END = "after the end"
REASONS = (
    *SOURCE_REASONS,
    NO_CUSTOMER,
    NO_DATE,
    UNREADABLE_DATE,
    CANCELLED,
    NOT_A_SALE,
    UNREADABLE_AMOUNT,
    NOT_POSITIVE,
    AFTER_END,
    BEFORE_START,
    AFTER_TODAY,
    FAR,
)

MISSING = r"(?i)^\s*(nan|nat|null|none|na|n/a|<na>)?\s*$"
NO_SEGMENT = "missing"
BOOKKEEPING = (
    r"(?i)^\s*(adjust(ment)?[0-9]*|(bank|amazon) ?(charges?|fees?)|bad ?debt|fees?|discount"
    r"|test[0-9]*)\s*$"
)
_NUMBERED = r"^\s*[0-9]+\s*$"
_CANCELLED = r"^\s*[Cc][-_ ]?[0-9]+\s*$"
_LETTERED = r"^\s*[A-Za-z][-_ ]?[0-9]+\s*$"
_NUMBER = r"^\s*[+-]?([0-9]{1,40}([.][0-9]{0,40})?|[.][0-9]{1,40})([eE][+-]?[0-9]{1,2})?\s*$"
# The product of two numbers up to this is finite: some engines stop where a product overflows.
_LARGEST = 1e150
# Up to this number float64 represents all integers exactly.
_LARGEST_WHOLE_FLOAT = 2**53


@dataclass(frozen=True)
class Rules:
    """The caller's options: observation end, date format, and whether amounts of 0 are kept."""

    end: dt.date | None
    date_format: str | None
    keep_zero_amounts: bool
    # True for text files, which have no types: there 13085.0 is the customer 13085, written by a
    # program that stored ids as floats. Text of any other source is not changed.
    untyped: bool = False


@dataclass(frozen=True)
class Outcome:
    """The ledger, and the first and last date of the kept rows."""

    ledger: Ledger
    first: dt.date
    last: dt.date


def judge(raw: ir.Table, rules: Rules) -> ir.Table:
    """Add to every row its reason for rejection, or null, and derive the columns of a clean log.

    Parameters
    ----------
    raw
        Columns are named by their roles: customer, date, amount, quantity, price, invoice,
        stock_code, segment; any but the first two may be absent.

    Returns
    -------
    ibis.Table
        customer_id, date, amount, segment if there is one, reason (string), and shown: the text
        of a value that cannot be read, else null.

    Raises
    ------
    InputError
        A column's type does not suit its role; see also `with_days`.
    """
    raw = with_days(raw, rules.date_format)
    customer = _customer(raw, rules.untyped)
    amount = _amount(raw)
    # Two steps, so that the conditions refer to the results and not to copies of their formulas.
    columns = {"no_customer": _is_missing(raw.customer), "customer_id": customer, "amount": amount}
    columns |= {"date_in": raw.date, "date": raw.day}
    columns |= {role: raw[role] for role in ("invoice", "stock_code") if role in raw.columns}
    columns |= {f"{role}_in": raw[role] for role in ("amount", "price") if role in raw.columns}
    if "quantity" in raw.columns:
        columns |= {"quantity_in": raw.quantity, "quantity": _number(raw.quantity, "quantity")}
    if "segment" in raw.columns:
        columns["segment"] = _segment(raw.segment)
    rows = raw.select(**columns)
    lettered = _uses_letters(raw)
    tests = {
        NO_CUSTOMER: rows.no_customer,
        NO_DATE: _is_missing(rows.date_in),
        UNREADABLE_DATE: rows.date.isnull(),
        CANCELLED: _is_cancelled(rows, lettered),
        NOT_A_SALE: _is_no_sale(rows, lettered),
        UNREADABLE_AMOUNT: _is_unreadable(rows, has_amounts(raw)),
        NOT_POSITIVE: rows.amount < 0 if rules.keep_zero_amounts else rows.amount <= 0,
        AFTER_END: rows.date > rules.end if rules.end else ibis.literal(False),
    }
    reason = ibis.cases(
        *((tests[reason].fill_null(False), reason) for reason in REASONS if reason in tests),
        else_=ibis.null("string"),
    )
    kept = [c for c in ("customer_id", "date", "amount", "segment") if c in rows.columns]
    rows = rows.mutate(reason=reason)
    return rows.select(*kept, "reason", shown=_shown(rows))


def settle(
    days: Sequence[Mapping[str, Any]], rejected: Sequence[Rejected], rules: Rules, source: str
) -> Outcome:
    """Add up the rows by reason.

    Parameters
    ----------
    days
        From :func:`bayes_clv.data.suspicions.by_day`: rows by reason and date.
    rejected
        What the source holds that is not a row.

    Raises
    ------
    InputError
        There is no row, or none is kept.
    """
    counts: dict[str | None, int] = {}
    dates: dict[str | None, list[dt.date]] = {}
    for day in days:
        reason = day["reason"]
        counts[reason] = counts.get(reason, 0) + day["rows"]
        dates.setdefault(reason, []).extend([day["date"]] if day["date"] else [])
    counts |= {each.reason: each.rows for each in rejected}
    ledger = Ledger(
        rows_in=sum(counts.values()),
        rejected=tuple((reason, counts[reason]) for reason in REASONS if counts.get(reason)),
    )
    if not ledger.rows_in:
        raise InputError(f"{source} is empty: it holds no transactions")
    if not ledger.rows_kept:
        if AFTER_END in dates:
            raise InputError(
                f"end ({rules.end}) must not be before the first date of {source}, "
                f"{min(dates[AFTER_END])}"
            )
        reasons = ", ".join(f"{count} {reason}" for reason, count in ledger.rejected)
        raise InputError(
            f"no row of {source} is a purchase; {ledger.rows_in} rows were rejected: {reasons}"
        )
    return Outcome(ledger, min(dates[None]), max(dates[None]))


def purchases(judged: ir.Table) -> ir.Table:
    """Return the rows that no rule rejects."""
    return judged.filter(judged.reason.isnull()).drop("reason", "shown")


def refunds(judged: ir.Table) -> ir.Table:
    """Return the refunds, each with the purchase day that it reduces.

    A refund is a row with an amount below zero that was rejected as cancelled, not a sale or not
    positive. It reduces the customer's last purchase day on or before its own date; a refund
    without such a day is left out.

    Returns
    -------
    ibis.Table
        customer_id, date (the purchase day), refunded (the day of the refund) and amount (above 0),
        one row for each such pair of days.
    """
    is_refund = (judged.amount < 0) & judged.reason.isin([CANCELLED, NOT_A_SALE, NOT_POSITIVE])
    rows = judged.filter(judged.reason.isnull() | is_refund)
    rows = rows.select(
        "customer_id",
        refunded=rows.date,
        bought=ibis.ifelse(rows.reason.isnull(), rows.date, ibis.null("date")),
        amount=ibis.ifelse(rows.reason.isnull(), 0.0, -rows.amount),
    )
    # The window includes all rows of the same day, so a refund can reduce its own day.
    so_far = ibis.range_window(
        group_by="customer_id", order_by="refunded", preceding=None, following=0
    )
    rows = rows.mutate(date=rows.bought.max().over(so_far))
    refunded = rows.filter((rows.amount > 0) & rows.date.notnull())
    return refunded.group_by("customer_id", "date", "refunded").aggregate(
        amount=refunded.amount.sum()
    )


def has_amounts(raw: ir.Table) -> bool:
    """Whether the log has an amount column, or price and quantity."""
    return "amount" in raw.columns or {"price", "quantity"} <= set(raw.columns)


def _customer(raw: ir.Table, untyped: bool) -> ir.Value:
    column = raw.customer
    dtype = column.type()
    if dtype.is_integer():
        return column
    if dtype.is_floating() or dtype.is_decimal():
        return _whole(raw)
    text = _trim(column.cast("string"))
    return text.re_replace(r"^([0-9]+)[.]0+$", r"\1") if untyped else text


def _trim(text: ir.StringValue) -> ir.StringValue:
    """Strip white space only where there is some: a search is several times cheaper."""
    return ibis.ifelse(text.re_search(r"^\s|\s$"), text.strip(), text)


def _whole(raw: ir.Table) -> ir.IntegerValue:
    """Return float ids as integers: missing ids turn a column of integers into floats."""
    column = raw.customer.cast("float64")
    finite = column.between(-_LARGEST, _LARGEST)
    exact = (column == column.floor()) & column.between(-_LARGEST_WHOLE_FLOAT, _LARGEST_WHOLE_FLOAT)
    (odd,) = raw.aggregate(odd=column.max(where=finite & ~exact)).to_pyarrow()["odd"].to_pylist()
    if odd is not None:
        raise InputError(
            f"customer ids must be text or whole numbers below 2**53; one is {odd!r}; "
            "store them as text, or name another column with customer= (--customer)"
        )
    return ibis.ifelse(finite, column, ibis.null("float64")).cast("int64")


def _segment(column: ir.Value) -> ir.StringValue:
    text = _trim(column.cast("string")).nullif("")
    return text.fill_null(NO_SEGMENT)


def _amount(raw: ir.Table) -> ir.FloatingValue:
    """Return the amount paid: the amount column, else quantity × price, else null."""
    if not has_amounts(raw):
        return ibis.null("float64")
    if "amount" in raw.columns:
        return _number(raw.amount, "amount")
    return _number(raw.quantity, "quantity") * _number(raw.price, "price")


def _number(column: ir.Value, role: str) -> ir.FloatingValue:
    """Return a float64, or null where the value is missing, not a number or not finite."""
    dtype = column.type()
    if dtype.is_string():
        column = ibis.ifelse(column.re_search(_NUMBER), column, ibis.null("string"))
    elif not dtype.is_numeric() or dtype.is_boolean():
        raise InputError(
            f"the {role} column must hold numbers; its type is {dtype}; "
            f"name another with {role}= (--{role})"
        )
    number = column.cast("float64")
    return ibis.ifelse(number.between(-_LARGEST, _LARGEST), number, ibis.null("float64"))


def _is_missing(column: ir.Value) -> ir.BooleanValue:
    dtype = column.type()
    if dtype.is_string():
        return column.isnull() | column.re_search(MISSING)
    if dtype.is_floating():  # ~between is true for NaN on every engine; isnan may not exist
        return column.isnull() | ~column.between(-_LARGEST, _LARGEST)
    return column.isnull()


def _shown(rows: ir.Table) -> ir.StringValue:
    """Return the text that could not be read as a date or as a number, else null."""
    texts = [(rows.reason == UNREADABLE_DATE, rows.date_in)]
    # The amount column goes before quantity × price; of these two, the one that is no number.
    for role in ("amount", "quantity", "price"):
        if f"{role}_in" in rows.columns:
            column = rows[f"{role}_in"]
            unread = ~_is_missing(column) & _number(column, role).isnull()
            texts.append(((rows.reason == UNREADABLE_AMOUNT) & unread, column))
    cases = [(test.fill_null(False), column.cast("string")) for test, column in texts]
    return ibis.cases(*cases, else_=ibis.null("string"))


def _uses_letters(raw: ir.Table) -> bool:
    """Whether the log has plain invoice numbers, so that a letter before one has a meaning."""
    if "invoice" not in raw.columns or not raw.invoice.type().is_string():
        return False
    numbered = raw.invoice.re_search(_NUMBERED).fill_null(False)
    return bool(raw.aggregate(any=numbered.any()).to_pyarrow()["any"][0].as_py())


def _is_cancelled(rows: ir.Table, lettered: bool) -> ir.BooleanValue:
    return rows.invoice.re_search(_CANCELLED) if lettered else ibis.literal(False)


def _is_no_sale(rows: ir.Table, lettered: bool) -> ir.BooleanValue:
    faults = [ibis.literal(False)]
    if "quantity" in rows.columns:
        faults.append(rows.quantity <= 0)
    if lettered:
        faults.append(rows.invoice.re_search(_LETTERED))
    if "stock_code" in rows.columns and rows.stock_code.type().is_string():
        faults.append(rows.stock_code.re_search(BOOKKEEPING))
    return ibis.or_(*(fault.fill_null(False) for fault in faults))


def _is_unreadable(rows: ir.Table, priced: bool) -> ir.BooleanValue:
    unreadable = rows.amount.isnull() if priced else ibis.literal(False)
    if "quantity" in rows.columns:  # may be missing beside an amount, but not unreadable
        unreadable = unreadable | (rows.quantity.isnull() & ~_is_missing(rows.quantity_in))
    return unreadable

"""Which rows of a log are purchases: one CASE gives every row its reason for rejection, or null.

The rules, in the order in which they apply (what a source rejects is counted earlier):

no customer
    The customer is blank, NaN, a word that programs write for a missing value (`MISSING`), or one
    of the values that the caller gives.
totals row
    The customer is a word such as Total, in a row without a date or in one row only.
no date, unreadable date
    The date is blank; or it is neither a date nor text in the log's date format.
cancelled
    The invoice is a C before a number, e.g. C489449, and plain numbers are the rule: in a shop that
    calls all its orders C0001, C0002, … none of them is cancelled.
not a sale
    The quantity is zero or less (a return, a write-off); or the invoice is another letter before a
    number, and such invoices are rare (A563185 is 'Adjust bad debt' at the retailer of Online
    Retail II); or the stock code marks bookkeeping (`BOOKKEEPING`). Postage, gift vouchers and
    manual entries are kept, because a customer pays for them. One-letter codes are kept too: D is a
    discount at that retailer, but elsewhere such codes are products.
no amount, unreadable amount
    The amount (or quantity or price, if it is their product) is missing; or it is not a number, not
    finite or beyond 10^18, which no purchase costs.
not positive amount
    The amount is below zero; or it is zero, unless such rows are to be kept.
after the end
    The date is later than the observation end.
before the start, after today, far from all others
    The date is before the day that the caller gave as the first; or nothing supports it: see
    :mod:`bayes_clv.data.far_days`, which judges these dates once all others are known.
"""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from bayes_clv.data.dates import with_days
from bayes_clv.data.far_days import AFTER_TODAY, BEFORE_START, FAR
from bayes_clv.data.ids import TOTAL, IdFacts, as_ids, as_segments, look_at_ids
from bayes_clv.data.numbers import Mark, NumberNotation, number_notations, within
from bayes_clv.data.report import SOURCE_REASONS
from bayes_clv.errors import InputError

NO_CUSTOMER = "no customer"
TOTALS = "totals row"
NO_DATE = "no date"
UNREADABLE_DATE = "unreadable date"
CANCELLED = "cancelled"
NOT_A_SALE = "not a sale"
NO_AMOUNT = "no amount"
UNREADABLE_AMOUNT = "unreadable amount"
NOT_POSITIVE = "not positive amount"
AFTER_END = "after the end"
REASONS = (
    *SOURCE_REASONS,
    NO_CUSTOMER,
    TOTALS,
    NO_DATE,
    UNREADABLE_DATE,
    CANCELLED,
    NOT_A_SALE,
    NO_AMOUNT,
    UNREADABLE_AMOUNT,
    NOT_POSITIVE,
    AFTER_END,
    BEFORE_START,
    AFTER_TODAY,
    FAR,
)

# What programs write for null: SQL and COPY, R, pandas, SAS, Excel in several languages, C and
# JavaScript.
MISSING = (
    r"(?i)^\s*([(<\[]?(nan|nat|null|none|nil|na|n/a|n[.]a[.]|k[.]a[.]|undefined|blank|empty"
    r"|not set)[)>\]]?|-nan|-?1[.]#(ind|qnan)|\\{1,2}n|-+|[.]|''"
    r"|#(n/?a|nv|n/d|null!|ref!|value!|name[?]|div/0!|num!|bezug!|wert!))?\s*$"
)
BOOKKEEPING = (
    r"(?i)^\s*(adjust(ment)?[0-9]*|(bank|amazon) ?(charges?|fees?)|bad ?debt|fees?|discount"
    r"|test[0-9]*)\s*$"
)
_NUMBERED = r"^\s*[0-9]+\s*$"
_CANCELLED = r"^\s*[Cc][-_ ]?[0-9]+\s*$"
_LETTERED = r"^\s*[A-Za-z][-_ ]?[0-9]+\s*$"
# Where a letter before a number is an exception. Every third invoice may be cancelled: more would
# be no shop. Other letters mark 6 of 525,461 rows of Online Retail II; where they are more than one
# row in twenty, they may as well be the orders of a second channel.
MOST_CANCELLED = 1 / 3
MOST_LETTERED, FEW_LETTERED = 1 / 20, 3


@dataclass(frozen=True)
class Rules:
    """The caller's options.

    Parameters
    ----------
    start, end
        First day that is believed, and observation end.
    date_formats
        Formats of dates in text.
    keep_zero_amounts
        Whether amounts of 0 are kept.
    decimal
        The decimal mark of numbers in text.
    no_customer
        Ids that stand for no customer.
    net_refunds
        Whether refunds reduce spend.
    allow_rejected
        Whether to go on where too much cannot be read.
    untyped
        True for text files, which have no types: there 13085.0 is the customer 13085, written by a
        program that stored ids as floats. Text of any other source is not changed.
    """

    start: dt.date | None = None
    end: dt.date | None = None
    date_formats: tuple[str, ...] = ()
    keep_zero_amounts: bool = False
    decimal: Mark | None = None
    no_customer: tuple[str, ...] = ()
    net_refunds: bool = False
    allow_rejected: bool = False
    untyped: bool = False


@dataclass(frozen=True)
class Judged:
    """Rows with their reasons, and how their text was read.

    Parameters
    ----------
    table
        customer_id, date, amount, segment if there is one, reason (string; null for a purchase) and
        shown (string: of a rejected row the value that says why).
    notations
        Role -> notation, for people.
    """

    table: ir.Table
    notations: Mapping[str, str]


def judge(raw: ir.Table, rules: Rules) -> Judged:
    """Add to every row its reason for rejection, or null, and derive the columns of a clean log.

    Parameters
    ----------
    raw
        Columns are named by their roles: customer, date, amount, quantity, price, invoice,
        stock_code, segment; any but the first two may be absent.

    Raises
    ------
    InputError
        A column's type does not suit its role; see also `with_days` and `number_notations`.
    """
    numbers = number_notations(raw, ("amount", "quantity", "price"), MISSING, rules.decimal)
    notations = {role: notation.text for role, notation in numbers.items()}
    raw, notations["date"] = with_days(raw, rules.date_formats)
    ids = look_at_ids(raw)
    # Two steps, so that the conditions refer to the results and not to copies of their formulas.
    rows = raw.select(**_columns(raw, numbers, ids, rules))
    lettered, priced = _letters(raw), has_amounts(raw)
    tests = {
        NO_CUSTOMER: rows.no_customer,
        TOTALS: _is_totals_row(rows, ids.totals),
        NO_DATE: _where(rows.date.isnull(), is_missing(rows.date_in)),
        UNREADABLE_DATE: rows.date.isnull(),
        CANCELLED: _matches(rows, "invoice", _CANCELLED) & lettered.cancelled,
        NOT_A_SALE: _is_no_sale(rows, lettered),
        NO_AMOUNT: _where(rows.amount.isnull(), _lacks_amount(rows, priced)),
        UNREADABLE_AMOUNT: _is_unreadable(rows, priced),
        NOT_POSITIVE: rows.amount < 0 if rules.keep_zero_amounts else rows.amount <= 0,
        AFTER_END: rows.date > rules.end if rules.end else ibis.literal(False),
    }
    reason = ibis.cases(
        *((tests[reason].fill_null(False), reason) for reason in REASONS if reason in tests),
        else_=ibis.null("string"),
    )
    rows = rows.mutate(reason=reason)
    kept = [c for c in ("customer_id", "date", "amount", "segment", "reason") if c in rows.columns]
    return Judged(rows.select(*kept, shown=_shown(rows)), notations)


def has_amounts(raw: ir.Table) -> bool:
    """Whether the log has an amount column, or price and quantity."""
    return "amount" in raw.columns or {"price", "quantity"} <= set(raw.columns)


def _columns(
    raw: ir.Table, numbers: Mapping[str, NumberNotation], found: IdFacts, rules: Rules
) -> dict[str, ir.Value]:
    """Return the columns from which a row is judged."""
    ids = as_ids(raw.customer, untyped=rules.untyped, are_digits=found.are_digits)
    no_customer = ids.isnull() if found.are_digits else is_missing(raw.customer) | ids.isnull()
    if rules.no_customer:
        no_customer = no_customer | ids.cast("string").isin(rules.no_customer)
    columns = {
        "no_customer": no_customer,
        "customer_id": ids,
        "amount": _amount(raw, numbers),
        "date": raw.day,
    }
    columns |= {f"{role}_in": raw[role] for role in raw.columns if role in _SHOWN}
    columns |= {role: raw[role] for role in ("invoice", "stock_code") if role in raw.columns}
    if "quantity" in raw.columns:
        columns["quantity"] = _number(raw, "quantity", numbers)
    if "segment" in raw.columns:
        columns["segment"] = as_segments(raw.segment, untyped=rules.untyped)
    return columns


_SHOWN = ("customer", "date", "amount", "quantity", "price")


def _shown(rows: ir.Table) -> ir.StringValue:
    """Return of a rejected row the value that says why."""

    def text(*names: str) -> ir.StringValue:
        found = [rows[name].cast("string") for name in names if name in rows.columns]
        return ibis.coalesce(*found, ibis.null("string"))

    paid = text("amount_in", "price_in")
    negative = unread = ibis.literal(False)
    if "quantity" in rows.columns:
        negative = rows.quantity <= 0
        unread = _where(rows.quantity.isnull(), ~is_missing(rows.quantity_in))
    booked = _matches(rows, "stock_code", BOOKKEEPING).fill_null(False)
    no_sale = ibis.ifelse(booked, text("stock_code"), text("invoice"))
    shown = {
        NO_CUSTOMER: text("customer_in"),
        TOTALS: text("customer_in"),
        UNREADABLE_DATE: text("date_in"),
        CANCELLED: text("invoice"),
        NOT_A_SALE: ibis.ifelse(negative, text("quantity_in"), no_sale),
        UNREADABLE_AMOUNT: ibis.ifelse(unread, text("quantity_in"), paid),
        NOT_POSITIVE: paid,
        AFTER_END: rows.date.cast("string"),
    }
    none = ibis.null("string")
    value = ibis.cases(
        *((rows.reason == reason, value.strip()) for reason, value in shown.items()), else_=none
    )
    return ibis.ifelse(rows.reason.isnull(), none, value).nullif("")


def _amount(raw: ir.Table, numbers: Mapping[str, NumberNotation]) -> ir.FloatingValue:
    """Return the amount paid: the amount column, else quantity × price, else null."""
    if not has_amounts(raw):
        return ibis.null("float64")
    if "amount" in raw.columns:
        return _number(raw, "amount", numbers)
    return within(_number(raw, "quantity", numbers) * _number(raw, "price", numbers))


def _number(raw: ir.Table, role: str, numbers: Mapping[str, NumberNotation]) -> ir.FloatingValue:
    """Return a float64, or null where the value is missing, not a number or not finite."""
    column = raw[role]
    dtype = column.type()
    if role in numbers:
        return numbers[role].value(column)
    if dtype.is_null() or dtype.is_unknown():  # a column without any value
        return ibis.null("float64")
    if not dtype.is_numeric() or dtype.is_boolean():
        raise InputError(
            f"the {role} column must hold numbers; its type is {dtype}; "
            f"name another with {role}= (--{role})"
        )
    return within(column.cast("float64"))


def is_missing(column: ir.Value) -> ir.BooleanValue:
    """Whether a value is null, NaN or text that programs write for null."""
    dtype = column.type()
    if dtype.is_string():
        return column.isnull() | column.re_search(MISSING)
    if dtype.is_floating():  # ~between is true for NaN on every engine; isnan may not exist
        is_nan = ~column.between(-1e308, 1e308) & (column.abs() != ibis.literal(math.inf))
        return column.isnull() | is_nan
    return column.isnull()


def _where(condition: ir.BooleanValue, test: ir.BooleanValue) -> ir.BooleanValue:
    """Return both; the test is computed only where the condition holds, unlike by ``&``."""
    return ibis.ifelse(condition, test, False)


def _lacks_amount(rows: ir.Table, priced: bool) -> ir.BooleanValue:
    """Whether a value from which the amount is computed is missing."""
    if not priced:
        return ibis.literal(False)
    needed = ("amount_in",) if "amount_in" in rows.columns else ("price_in", "quantity_in")
    return ibis.or_(*(is_missing(rows[name]) for name in needed))


def _is_totals_row(rows: ir.Table, once: Sequence[str]) -> ir.BooleanValue:
    """Whether the customer is a word for a total, which has no date or occurs only ``once``."""
    if not rows.customer_in.type().is_string():
        return ibis.literal(False)
    undated = is_missing(rows.date_in) & rows.customer_in.re_search(TOTAL)
    is_total = _where(rows.date.isnull(), undated)
    return is_total | rows.customer_in.isin(once) if once else is_total


@dataclass(frozen=True)
class _Letters:
    """Whether C before a number, and other letters before numbers, mean something."""

    cancelled: bool = False
    no_sale: bool = False


def _letters(raw: ir.Table) -> _Letters:
    if "invoice" not in raw.columns or not raw.invoice.type().is_string():
        return _Letters()
    counts = {
        name: raw.invoice.re_search(pattern).sum()
        for name, pattern in (("plain", _NUMBERED), ("c", _CANCELLED), ("any", _LETTERED))
    }
    (found,) = raw.aggregate(**counts).to_pyarrow().to_pylist()
    plain, c = found["plain"] or 0, found["c"] or 0
    other = (found["any"] or 0) - c
    every = plain + c + other
    return _Letters(
        cancelled=0 < c <= MOST_CANCELLED * every and c < plain,
        no_sale=0 < other <= max(FEW_LETTERED, MOST_LETTERED * every) and 2 * other <= plain,
    )


def _matches(rows: ir.Table, column: str, pattern: str) -> ir.BooleanValue:
    if column not in rows.columns or not rows[column].type().is_string():
        return ibis.literal(False)
    return rows[column].re_search(pattern)


def _is_no_sale(rows: ir.Table, lettered: _Letters) -> ir.BooleanValue:
    faults = [_matches(rows, "stock_code", BOOKKEEPING)]
    if "quantity" in rows.columns:
        faults.append(rows.quantity <= 0)
    if lettered.no_sale:
        other = _matches(rows, "invoice", _LETTERED) & ~_matches(rows, "invoice", _CANCELLED)
        faults.append(other)
    return ibis.or_(*(fault.fill_null(False) for fault in faults))


def _is_unreadable(rows: ir.Table, priced: bool) -> ir.BooleanValue:
    unreadable = rows.amount.isnull() if priced else ibis.literal(False)
    if "quantity" in rows.columns:  # may be missing beside an amount, but not unreadable
        unread = _where(rows.quantity.isnull(), ~is_missing(rows.quantity_in))
        unreadable = unreadable | unread
    return unreadable

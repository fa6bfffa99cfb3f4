"""Which rows of a log are purchases: one CASE gives every row its first fault, or none.

The rules, in the order in which they apply (a text file's malformed lines never get this far):

no customer
    Blank, NaN, or a word that programs write for a missing value (`MISSING`).
no date, unreadable date
    Blank; or neither a date nor text in the log's date format.
cancelled
    The invoice is a C before a number, e.g. C489449. A letter means something only where the log
    has plain numbers as well: a shop that calls all its orders C0001, C0002, … cancelled none.
not a sale
    The quantity is zero or less (a return, a write-off); or the invoice is another letter before a
    number, where plain numbers are usual (A563185 is 'Adjust bad debt' at the retailer of Online
    Retail II); or the stock code says that the line is bookkeeping (`BOOKKEEPING`). Postage, gift
    vouchers and manual entries stay: a customer pays for them. So do one-letter codes, among them
    that retailer's D for discount: elsewhere they are products.
unreadable amount
    Amount, or quantity or price where it is their product, missing, not a number or not finite.
not positive amount
    Below zero; or zero, unless such rows are to be kept.
after the end
    Later than the observation end.
"""

import datetime as dt
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from bayes_clv.data.dates import with_days
from bayes_clv.data.ledger import Ledger
from bayes_clv.errors import InputError

MALFORMED = "malformed line"
NO_CUSTOMER = "no customer"
NO_DATE = "no date"
UNREADABLE_DATE = "unreadable date"
CANCELLED = "cancelled"
NOT_A_SALE = "not a sale"
UNREADABLE_AMOUNT = "unreadable amount"
NOT_POSITIVE = "not positive amount"
AFTER_END = "after the end"
REASONS = (
    MALFORMED,
    NO_CUSTOMER,
    NO_DATE,
    UNREADABLE_DATE,
    CANCELLED,
    NOT_A_SALE,
    UNREADABLE_AMOUNT,
    NOT_POSITIVE,
    AFTER_END,
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
# Finite, and so is the product of any two: some engines stop where a product overflows.
_LARGEST = 1e150
# The integers that a float64 tells apart.
_LARGEST_WHOLE_FLOAT = 2**53


@dataclass(frozen=True)
class Rules:
    """What the caller chose: the observation end, how dates are written, whether 0 is a sale."""

    end: dt.date | None
    date_format: str | None
    keep_zero_amounts: bool
    # A text file knows no types: 13085.0 there is the customer 13085, written by a program that
    # held ids as floats. Text of any other source is left as it is.
    untyped: bool = False


@dataclass(frozen=True)
class Outcome:
    """The ledger, and the first and last purchase among the rows that were kept."""

    ledger: Ledger
    first: dt.date
    last: dt.date


def judge(raw: ir.Table, rules: Rules) -> ir.Table:
    """Give every row its reason to be rejected, or null, beside the columns of a clean log.

    Parameters
    ----------
    raw
        Columns are named by their roles: customer, date, amount, quantity, price, invoice,
        stock_code, segment; any but the first two may be absent.

    Returns
    -------
    ibis.Table
        customer_id, date, amount, segment if there is one, and reason (string).

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
    return rows.select(*kept, reason=reason)


def settle(judged: ir.Table, malformed: int, rules: Rules, source: str) -> Outcome:
    """Count the reasons in one query.

    Raises
    ------
    InputError
        There is no row, or none is kept.
    """
    groups = judged.group_by("reason").aggregate(
        rows=judged.count(), first=judged.date.min(), last=judged.date.max()
    )
    by_reason = {row["reason"]: row for row in groups.to_pyarrow().to_pylist()}
    counts = {reason: row["rows"] for reason, row in by_reason.items()} | {MALFORMED: malformed}
    ledger = Ledger(
        rows_in=sum(counts.values()),
        rejected=tuple((reason, counts[reason]) for reason in REASONS if counts.get(reason)),
    )
    if not ledger.rows_in:
        raise InputError(f"{source} is empty: it holds no transactions")
    if not ledger.rows_kept:
        if AFTER_END in by_reason:
            raise InputError(
                f"end ({rules.end}) must not be before the first date of {source}, "
                f"{by_reason[AFTER_END]['first']}"
            )
        rejected = ", ".join(f"{count} {reason}" for reason, count in ledger.rejected)
        raise InputError(f"no row of {source} is a purchase; of {ledger.rows_in}: {rejected}")
    return Outcome(ledger, by_reason[None]["first"], by_reason[None]["last"])


def purchases(judged: ir.Table) -> ir.Table:
    """Return the rows that no rule rejects."""
    return judged.filter(judged.reason.isnull()).drop("reason")


def refunds(judged: ir.Table) -> ir.Table:
    """Return what was paid back, and for which purchase day.

    A row that was rejected as cancelled, no sale or not positive and has an amount below zero is
    money that went back to a customer. It belongs to the customer's last purchase day on or before
    its own; where there is none it is left out.

    Returns
    -------
    ibis.Table
        customer_id, date (the purchase day), refunded (the day on which the money went back) and
        amount (above 0), one row for each such pair of days.
    """
    back = (judged.amount < 0) & judged.reason.isin([CANCELLED, NOT_A_SALE, NOT_POSITIVE])
    rows = judged.filter(judged.reason.isnull() | back)
    rows = rows.select(
        "customer_id",
        refunded=rows.date,
        bought=ibis.ifelse(rows.reason.isnull(), rows.date, ibis.null("date")),
        amount=ibis.ifelse(rows.reason.isnull(), 0.0, -rows.amount),
    )
    # Rows of one day are peers, so a refund sees the purchases of its own day.
    so_far = ibis.range_window(
        group_by="customer_id", order_by="refunded", preceding=None, following=0
    )
    rows = rows.mutate(date=rows.bought.max().over(so_far))
    paid_back = rows.filter((rows.amount > 0) & rows.date.notnull())
    return paid_back.group_by("customer_id", "date", "refunded").aggregate(
        amount=paid_back.amount.sum()
    )


def has_amounts(raw: ir.Table) -> bool:
    """Whether the log says what a purchase was worth."""
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
    """Strip white space where there is some: to look is several times cheaper than to strip."""
    return ibis.ifelse(text.re_search(r"^\s|\s$"), text.strip(), text)


def _whole(raw: ir.Table) -> ir.IntegerValue:
    """Return float ids as integers, which they were before some were found missing."""
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
    """Return what was paid: the amount, else quantity × price, else null."""
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
    if dtype.is_floating():  # ~between is true of NaN on every engine, where isnan may not exist
        return column.isnull() | ~column.between(-_LARGEST, _LARGEST)
    return column.isnull()


def _uses_letters(raw: ir.Table) -> bool:
    """Whether a letter before an invoice's number is an exception in this log."""
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
    if "quantity" in rows.columns:  # beside an amount it may be missing, but not be nonsense
        unreadable = unreadable | (rows.quantity.isnull() & ~_is_missing(rows.quantity_in))
    return unreadable

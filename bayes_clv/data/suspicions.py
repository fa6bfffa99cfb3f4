"""Figures of a log that a person must see before they believe a model of it.

Two kinds are looked for: values that cannot be read, and one value (a customer, a day, a purchase)
that holds an absurd share of the log. `bayes_clv.data.far_days` looks for the third kind, days that
are far from all others.

A share alone does not tell: in a clean log of 30 customers one may have placed 40 % of the orders.
So a share must also be many times the *typical* one, the root mean square of all others. That
measure grows with the customers' own differences, and one absurd value does not enter into its own
measure. Thresholds and reasons:

======================  =====  =====================================================================
`REMARKABLE`            1 %    of the rows, of the customers (every row of theirs is lost) or of the
                               money cannot be read: a warning. One bad row in a hundred changes no
                               answer by more than the intervals say, if it is lost by chance.
`TOO_MUCH`              20 %   the same: no fit unless the caller allows it. Such rows are not lost
                               by chance: a notation was not understood, and those that were lost
                               differ from the others (only the large amounts have a comma).
`LEAST_REJECTED`        20     rows. A share of fewer rows is no figure; the ledger shows each.
`LEAST_UNPAID`          3      rows. One row may hold most of the money and be no purchase: a total.
`MOSTLY`                50 %   of the rows are rejected because they name no customer, are cancelled
                               or no sale, or cost nothing: a warning. Such rows are usual (22 % in
                               Online Retail II), but not the rule.
`CUSTOMER_ROWS`         5 %,   Largest values in 3,000 clean simulated logs with a share above 5 %:
                        50;    34 times the typical customer; with a share above 20 %, less than 30
                        25 %,  times. Guests are a tenth of a log or more. Among few customers even
                        30     a third of the rows may be one customer's own: it is not named.
`CUSTOMER_MONEY`        50 %,  One firm among private customers may bring a third of the money; in
                        180    6 of the 3,000 logs it brought half, at most 143 times the typical.
`DAY_ROWS`              25 %,  Largest: 6 times the typical day. A log of one cohort begins with its
                        15     first purchases (19 % of an apparel retailer's rows): no error.
`PURCHASE`              25 %,  Largest: 32 % of all money with 721 times the typical purchase, in a
                        300;   world whose spend has hardly a variance; next 33 % with 255 times.
                        50 %,  In a short log a thousandfold amount is most of the money, and the
                        150    typical purchase is known less well: in one clean log of a thousand a
                               purchase was 78 % of the money, 121 times the typical.
`STAND_IN`              1 %    of the rows have a word for nobody as their customer, or 8 % a number
                               such as 0 (`stand_ins`).
`LEAST_VALUES`          20     customers, days or purchases. Among fewer, one is always large.
======================  =====  =====================================================================

With all of these and the rules for days, none of 1,000 clean simulated shops (30 to 3,000
customers, two months to five years; seasons, opening days, heavy-tailed spend, firms), CDNOW and
three other real logs raised one or lost a row (``tests/data/test_suspicions.py``). Of faults
planted in 41 of them all were named: a tenth unreadable or of guests, dates of 1900, 1970 and 2099,
an amount of 1e9; but a third of the rows on one day in 40, a row a year late in 39; a tenth under
one common id in 18 of 32 larger shops.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from bayes_clv.data.cleaning import (
    CANCELLED,
    NO_AMOUNT,
    NO_CUSTOMER,
    NO_DATE,
    NOT_A_SALE,
    NOT_POSITIVE,
    UNREADABLE_AMOUNT,
    UNREADABLE_DATE,
)
from bayes_clv.data.findings import Finding, percent, quoted
from bayes_clv.data.report import MALFORMED, Rejected
from bayes_clv.data.stand_ins import NUMBERS, WORDS
from bayes_clv.errors import InputError

REMARKABLE, TOO_MUCH, LEAST_REJECTED, LEAST_UNPAID, MOSTLY = 0.01, 0.2, 20, 3, 0.5
# Each: the share, and how many times the typical one.
CUSTOMER_ROWS = ((0.05, 50), (0.25, 30))
CUSTOMER_MONEY = ((0.5, 180),)
DAY_ROWS = ((0.25, 15),)
PURCHASE = ((0.25, 300), (0.5, 150))
STAND_IN, STAND_IN_NUMBER, LEAST_VALUES, MOST_NAMED = 0.01, 0.08, 20, 5
# What settles each reason for which a value cannot be read, and each that is part of business.
UNREADABLE = {
    MALFORMED: "check the quotes and separators of these lines",
    NO_DATE: "name the column of dates with date= (--date)",
    UNREADABLE_DATE: "say how dates are written with date_format= (--date-format)",
    UNREADABLE_AMOUNT: "name the decimal mark with decimal_mark= (--decimal-mark), or the column "
    "of amounts with amount= (--amount)",
}
BUSINESS = {
    NO_AMOUNT: "name the column of amounts with amount= (--amount)",
    NO_CUSTOMER: "name the column of customers with customer= (--customer)",
    CANCELLED: "name the column of invoices with invoice= (--invoice)",
    NOT_A_SALE: "name the columns with invoice= and quantity= (--invoice, --quantity)",
    NOT_POSITIVE: "keep them with keep_zero_amounts=True (--keep-zero), or name the column of "
    "amounts with amount= (--amount)",
}


@dataclass(frozen=True, slots=True)
class Largest:
    """The largest of many values, and what it is compared with.

    Attributes
    ----------
    value, total, squares
        The value, and the sums of all values and of their squares, its own included.
    n
        How many values there are.
    """

    value: float
    total: float
    squares: float
    n: int

    @property
    def share(self) -> float:
        """The share that it has of the total."""
        return self.value / self.total if self.total > 0 else 0.0

    @property
    def times(self) -> float:
        """How many times the typical value, the root mean square of all others, it is."""
        rest = max(self.squares - self.value**2, 0.0) / max(self.n - 1, 1)
        # Squares of floats: what is left of 1e18 after 1e18 was taken away is no figure.
        rest = max(rest, (self.total - self.value) ** 2 / max(self.n - 1, 1) ** 2)
        return float(self.value / rest**0.5) if rest > 0 else float("inf")

    def beyond(self, limits: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
        """Return the first pair of share and times that it exceeds, or None."""
        if self.n < LEAST_VALUES:
            return None
        return next((it for it in limits if self.share > it[0] and self.times > it[1]), None)


def by_day(judged: ir.Table) -> list[dict[str, Any]]:
    """Count the rows and amounts by reason and day, in one query: a few thousand rows.

    Parameters
    ----------
    judged
        From :func:`bayes_clv.data.cleaning.judge`.

    Returns
    -------
    Rows with reason, date, rows, money (sum of absolute amounts), squares (of the amounts) and
    largest (absolute amount) and shown (a value that says why rows were rejected, or null), ordered
    by date.
    """
    amount = judged.amount.abs()
    days = judged.group_by("reason", "date").aggregate(
        rows=judged.count(),
        money=amount.sum().fill_null(0.0),
        squares=(amount * amount).sum().fill_null(0.0),
        largest=amount.max().fill_null(0.0),
        shown=judged.shown.min(),
    )
    return sorted(_rows(days), key=lambda row: (row["date"] is None, str(row["date"])))


def by_customer(judged: ir.Table, rows: int) -> dict[str, Any]:
    """Compare the customers of the `rows` purchases, in one query that returns one row.

    Returns
    -------
    customers, most_rows, most_money, the sums of squares of both, stand_in_rows and stand_ins (the
    ids that stand for nobody in particular, and their rows).
    """
    each = _customers(judged)
    number = each.rows.cast("float64")
    found = {
        "customers": each.count(),
        "most_rows": each.rows.max(),
        "row_squares": (number * number).sum(),
        "most_money": each.money.max(),
        "money_squares": (each.money * each.money).sum(),
    }
    # A case looks at the words of those only that have many rows: of a million, at most 500.
    many, most = each.rows > STAND_IN / 5 * rows, each.rows > STAND_IN_NUMBER * rows
    word = each.customer_id.cast("string").lower()
    nobody = ibis.ifelse(many, word.isin(WORDS) | (most & word.isin(NUMBERS)), False)
    found["stand_in_rows"] = each.rows.sum(where=nobody).fill_null(0)
    (row,) = _rows(each.aggregate(**found))
    stand_ins = _largest(each.filter(nobody), "rows", MOST_NAMED) if row["stand_in_rows"] else []
    return row | {"stand_ins": stand_ins}


def _customers(judged: ir.Table) -> ir.Table:
    kept = judged.filter(judged.reason.isnull())
    each = kept.group_by("customer_id").aggregate(rows=kept.count(), money=kept.amount.sum())
    return each.mutate(money=each.money.fill_null(0.0))


def _largest(customers: ir.Table, column: str, n: int = 1) -> list[Any]:
    """Return the ids of the n customers with most of a column."""
    some = customers.order_by(ibis.desc(column), "customer_id").limit(n)
    return list(some.select("customer_id").to_pyarrow()["customer_id"].to_pylist())


def _share_lost(judged: ir.Table) -> float:
    """Return the share of the customers of whom no row can be read."""
    rows = judged.filter(judged.customer_id.notnull())
    unread = rows.reason.isin(list(UNREADABLE)).fill_null(False)
    rows = rows.filter(rows.reason.isnull() | unread)
    each = rows.group_by("customer_id").aggregate(kept=rows.count(where=rows.reason.isnull()))
    (row,) = (
        each.aggregate(lost=each.count(where=each.kept == 0), n=each.count())
        .to_pyarrow()
        .to_pylist()
    )
    return _ratio(row["lost"], row["n"])


def suspicions(
    judged: ir.Table,
    rejected: Iterable[Rejected],
    name: str,
    *,
    allow_rejected: bool = False,
    days: Sequence[Mapping[str, Any]] | None = None,
) -> tuple[Finding, ...]:
    """Return what is suspicious about a log, one line each.

    Parameters
    ----------
    judged
        From :func:`bayes_clv.data.cleaning.judge`, after days that are not believed were rejected.
    rejected
        What the source holds that is not a row.
    name
        Short name of the log, for the error.
    allow_rejected
        Go on, with a warning, if too much is rejected.
    days
        From `by_day`, if it was called already.

    Raises
    ------
    InputError
        More than `TOO_MUCH` cannot be read, and that is not allowed.
    """
    days = by_day(judged) if days is None else days
    unread = _unread(judged, days, rejected, name, allow_rejected)
    return (*([unread] if unread else []), *_business(days), *_dominant(judged, days))


def _unread(
    judged: ir.Table,
    days: Sequence[Mapping[str, Any]],
    rejected: Iterable[Rejected],
    name: str,
    allowed: bool,
) -> Finding | None:
    """Judge what was rejected because it cannot be read."""
    malformed = {it.reason: it for it in rejected if it.reason in UNREADABLE and it.rows}
    counts = {reason: _sum(days, "rows", reason) for reason in UNREADABLE}
    counts |= {reason: counts[reason] + it.rows for reason, it in malformed.items()}
    lost, rows = sum(counts.values()), sum(day["rows"] for day in days)
    total = rows + sum(it.rows for it in malformed.values())
    if not lost:
        return None
    money = sum(_sum(days, "money", reason) for reason in UNREADABLE)
    paid = money + _sum(days, "money", None)
    shares = {
        f"of {total:,} rows": lost / total,
        "of the customers, who lose every row": _share_lost(judged),
        "of the money": _ratio(money, paid) if lost >= LEAST_UNPAID else 0.0,
    }
    worst = max(shares.values())
    if worst <= REMARKABLE:
        return None
    values = {reason: _values(judged, reason) for reason, n in counts.items() if n}
    values |= {reason: [it.example] for reason, it in malformed.items() if it.example}
    what = ", ".join(f"{percent(share)} {of}" for of, share in shares.items() if share > 0)
    settles = "; ".join(
        f"{reason} ({n:,}): {UNREADABLE[reason]}" for reason, n in counts.items() if n
    )
    limit = TOO_MUCH if worst > TOO_MUCH else REMARKABLE
    text = (
        f"{lost:,} rows cannot be read{{seen}} and are left out: {what}, more than {limit:.0%}; "
        f"{settles}"
    )
    examples = ", ".join(quoted(value) for some in values.values() for value in some)
    finding = Finding(text, f"for example {examples}" if examples else "")
    if limit == TOO_MUCH and lost >= LEAST_REJECTED and not allowed:
        raise InputError(
            f"{name}: {finding.told}; or go on without them: allow_rejected=True (--allow-rejected)"
        )
    return finding


def _values(judged: ir.Table, reason: str) -> list[str]:
    """Return the three most frequent values that were rejected for a reason."""
    some = judged.filter((judged.reason == reason) & judged.shown.notnull())
    counted = some.group_by("shown").aggregate(rows=some.count())
    counted = counted.order_by(ibis.desc("rows"), "shown").limit(3)
    return [row["shown"] for row in _rows(counted)]


def _business(days: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Judge the rows that are no purchases of anybody known."""
    total = sum(day["rows"] for day in days)
    counts = {reason: _sum(days, "rows", reason) for reason in BUSINESS}
    return [
        Finding(
            f"{rows:,} of {total:,} rows ({percent(rows / total)}, more than {MOSTLY:.0%}) are "
            f'left out as "{reason}": if they are purchases, {BUSINESS[reason]}'
        )
        for reason, rows in counts.items()
        if rows >= LEAST_REJECTED and rows > MOSTLY * total
    ]


def _dominant(judged: ir.Table, days: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Judge the customer, the day and the row that are largest."""
    kept = [day for day in days if day["reason"] is None]
    rows, money = _sum(kept, "rows", None), _sum(kept, "money", None)
    if not rows:
        return []
    customers = by_customer(judged, rows)
    findings = _customer(judged, customers, "rows", rows, CUSTOMER_ROWS)
    is_named = findings and customers["stand_ins"] == _largest(_customers(judged), "rows")
    if customers["stand_in_rows"] > STAND_IN * rows and not is_named:
        findings.append(_stand_ins(customers["stand_ins"], customers["stand_in_rows"], rows))
    findings += _one_purchase(kept, money, rows)
    if not findings:  # else they explain the customer's money
        findings = _customer(judged, customers, "money", money, CUSTOMER_MONEY)
    return findings + _one_day(kept, rows)


def _customer(
    judged: ir.Table,
    customers: Mapping[str, Any],
    of: str,
    total: float,
    limits: Sequence[tuple[float, float]],
) -> list[Finding]:
    squares = customers["row_squares" if of == "rows" else "money_squares"]
    it = Largest(customers[f"most_{of}"], total, squares, customers["customers"])
    if not (limit := it.beyond(limits)):
        return []
    text = (
        f"one customer{{seen}} has {percent(it.share)} of the {of}, {it.times:,.0f} times a "
        f"typical one (more than {limit[0]:.0%} and {limit[1]} times): if this id stands for "
        "many, or for nobody, leave it out with no_customer= (--no-customer ID)"
    )
    return [Finding(text, ", ".join(map(quoted, _largest(_customers(judged), of))))]


def _stand_ins(names: Sequence[str], rows: int, total: int) -> Finding:
    return Finding(
        f"customers whose id{{seen}} stands for nobody in particular have "
        f"{percent(rows / total)} of the rows, more than {STAND_IN:.0%}: leave them out with "
        "no_customer= (--no-customer ID, once for each)",
        ", ".join(map(quoted, names)),
    )


def _one_day(kept: Sequence[Mapping[str, Any]], rows: int) -> list[Finding]:
    busiest = max(kept, key=lambda day: day["rows"])
    it = Largest(busiest["rows"], rows, sum(day["rows"] ** 2 for day in kept), len(kept))
    if not (limit := it.beyond(DAY_ROWS)):
        return []
    text = (
        f"{percent(it.share)} of the rows are dated {busiest['date']}, {it.times:,.0f} times a "
        f"typical day (more than {limit[0]:.0%} and {limit[1]} times): if that is the day of an "
        "import, or stands for a missing date, give the column of the purchases' own dates with "
        "date= (--date), or leave these rows out"
    )
    return [Finding(text)]


def _one_purchase(kept: Sequence[Mapping[str, Any]], money: float, rows: int) -> list[Finding]:
    dearest = max(kept, key=lambda day: day["largest"])
    it = Largest(dearest["largest"], money, sum(day["squares"] for day in kept), rows)
    if not (limit := it.beyond(PURCHASE)):
        return []
    text = (
        f"one row of {dearest['date']}{{seen}} makes up {percent(it.share)} of all money, "
        f"{it.times:,.0f} times a typical row (more than {limit[0]:.0%} and {limit[1]} times): "
        "check it, and correct or remove it; or leave spend out with spend=False (--no-spend)"
    )
    return [Finding(text, f"{it.value:,.2f}")]


def _sum(days: Iterable[Mapping[str, Any]], column: str, reason: str | None) -> Any:
    return sum(day[column] for day in days if day["reason"] == reason)


def _rows(table: ir.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pyarrow().to_pylist()
    return rows


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0

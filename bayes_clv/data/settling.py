"""What comes of judged rows: the ledger, the purchases and the refunds."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ibis
import ibis.expr.types as ir

from bayes_clv.data.cleaning import (
    AFTER_END,
    CANCELLED,
    NOT_A_SALE,
    NOT_POSITIVE,
    REASONS,
    Rules,
)
from bayes_clv.data.far_days import AFTER_TODAY, BEFORE_START, FAR
from bayes_clv.data.ledger import Ledger
from bayes_clv.data.report import Rejected
from bayes_clv.data.suspicions import BUSINESS, UNREADABLE
from bayes_clv.errors import InputError

DISBELIEVED = (BEFORE_START, AFTER_TODAY, FAR)


@dataclass(frozen=True)
class Outcome:
    """The ledger, an example of each reason, and the first and last date of the kept rows."""

    ledger: Ledger
    first: dt.date
    last: dt.date
    examples: Mapping[str, str] = field(default_factory=dict)


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
    counts: Counter[str | None] = Counter()
    dates: dict[str | None, list[dt.date]] = {}
    examples = {each.reason: each.example for each in rejected if each.example}
    for day in days:
        reason = day["reason"]
        counts[reason] += day["rows"]
        dates.setdefault(reason, []).extend([day["date"]] if day["date"] else [])
        value = day["shown"] or (str(day["date"]) if reason in DISBELIEVED else "")
        if reason and value:
            examples.setdefault(reason, value)
    for each in rejected:
        counts[each.reason] += each.rows
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
        reasons = ", ".join(
            f"{count} {reason}" + (f" (e.g. {examples[reason]!r})" if reason in examples else "")
            for reason, count in ledger.rejected
        )
        most = max(ledger.rejected, key=lambda each: each[1])[0]
        hint = (UNREADABLE | BUSINESS).get(most)
        raise InputError(
            f"no row of {source} is a purchase; {ledger.rows_in} rows were rejected: {reasons}"
            + (f"; {hint}" if hint else "")
        )
    return Outcome(ledger, min(dates[None]), max(dates[None]), examples)


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

"""Days that are not believed: after today, a program's default date, or far from all others.

One row that is dated a year late moves the observation end by a year. All customers then seem to
have been silent for that year, and most of them to have left. Hence a few rows on days far from all
others are rejected, unless the caller gives the day at which the log ends or starts.

A day is far from the others if the gap before it (after it, at the beginning of the log) is many
times the largest gap between the other days. The days' own gaps are the measure, so a shop that
sells every day is not confused with one that sells twice a month. Only a handful of rows is
rejected for this reason: what comes after a long pause in trading is kept, with a warning if it is
little. Thresholds and reasons:

======================  =====  =====================================================================
`GAPS`                  8      In 3,000 clean simulated logs the first or last few rows were at
                               most 6.2 times the largest other gap away.
`LEAST_GAP`             30     days. A wrong month or year moves a row by more; an error of fewer
                               days does little harm.
`LEAST_GAPS`            10     other gaps. The largest of fewer gaps says little about the next.
`FEW_ROWS`, `FEW`       3,     Typing errors come singly. More rows than 3 and 0.1 % are a pause.
                        0.1 %
`SMALL`                 5 %    A part after a pause that is smaller than this is named in a warning.
`DEFAULT_DATES`                Days that programs write for a date that they do not know. They are
                               rejected up to a share of `LARGE` if a year, and as many days as all
                               others span, lie between.
`LARGE`                 20 %   If more rows are after today, the clock of the machine may be wrong:
                               they are kept, with a warning.
======================  =====  =====================================================================
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import ibis
import ibis.expr.types as ir

from bayes_clv.data.findings import Finding, percent

GAPS = 8
LEAST_GAP = 30
LEAST_GAPS = 10
FEW_ROWS, FEW = 3, 0.001
SMALL, LARGE = 0.05, 0.2
YEAR = 365
DEFAULT_DATES = frozenset(
    dt.date(*day)
    for day in (
        (1, 1, 1),
        (1582, 10, 15),
        (1753, 1, 1),
        (1899, 12, 30),
        (1899, 12, 31),
        (1900, 1, 1),
        (1901, 1, 1),
        (1969, 12, 31),
        (1970, 1, 1),
        (1970, 1, 2),
        (1980, 1, 1),
        (2000, 1, 1),
    )
)

BEFORE_START = "before the start"
AFTER_TODAY = "after today"
FAR = "far from all others"

type Counts = Sequence[tuple[dt.date, int]]


@dataclass(frozen=True, slots=True)
class Believed:
    """Which days of a log are believed.

    Attributes
    ----------
    start, first, last, today
        Rows before `start` are rejected as the caller asked, rows after `today` because they cannot
        have happened, rows before `first` or after `last` as far from all others. None: no limit.
    findings
        What was seen, for people.
    """

    start: dt.date | None = None
    first: dt.date | None = None
    last: dt.date | None = None
    today: dt.date | None = None
    findings: tuple[Finding, ...] = ()


def believe(
    counts: Counts,
    *,
    start: dt.date | None = None,
    end: dt.date | None = None,
    today: dt.date | None = None,
) -> Believed:
    """Decide which days are believed.

    Parameters
    ----------
    counts
        The distinct days of the purchases, ascending, each with its number of rows.
    start, end
        Days that the caller gave: the days of that side are believed, as far as the caller said.
    today
        The last day on which a purchase can have happened: by default one day after the machine's
        own day, because its clock may be in another time zone.

    >>> year = [(dt.date(2023, 1, 1) + dt.timedelta(k), 6) for k in range(365)]
    >>> believe([*year, (dt.date(2024, 12, 21), 1)], today=dt.date(2026, 1, 1)).last
    datetime.date(2023, 12, 31)
    """
    total = sum(rows for _, rows in counts)
    findings: list[Finding] = []
    days = [(day, rows) for day, rows in counts if start is None or day >= start]
    latest = today or dt.date.today() + dt.timedelta(days=1)
    future = [] if end else [(day, rows) for day, rows in days if day > latest]
    cannot_be = 0 < _rows(future) <= max(FEW_ROWS, LARGE * total) and 2 * _rows(future) < total
    if future:
        findings.append(_in_the_future(future, total, latest, rejected=cannot_be))
    if cannot_be:
        days = [(day, rows) for day, rows in days if day <= latest]
    first = last = None
    if start is None:
        kept = list(_without_default_dates(days, total))
        kept = kept[_far(kept, findings, total, "--start") :]
        if len(kept) < len(days):
            first = kept[0][0]
            findings.append(_far_away(days[: len(days) - len(kept)], total, first, "first"))
        days = kept
    if end is None:
        mirrored = [(_mirror(day), rows) for day, rows in reversed(days)]
        cut = _far(mirrored, findings, total, "--end")
        if cut:
            last = days[-cut - 1][0]
            findings.append(_far_away(days[-cut:], total, last, "last"))
    return Believed(start, first, last, latest if cannot_be else None, tuple(findings))


def distrust(
    judged: ir.Table,
    days: Iterable[Mapping[str, Any]],
    *,
    start: dt.date | None = None,
    end: dt.date | None = None,
    today: dt.date | None = None,
) -> tuple[ir.Table, list[dict[str, Any]], tuple[Finding, ...]]:
    """Give the purchases on days that are not believed their reason for rejection.

    Parameters
    ----------
    judged
        From :func:`bayes_clv.data.cleaning.judge`.
    days
        From :func:`bayes_clv.data.suspicions.by_day`.
    start, end, today
        As for `believe`.

    Returns
    -------
    Both tables with these reasons, and the findings.
    """
    counts = sorted((day["date"], day["rows"]) for day in days if day["reason"] is None)
    believed = believe(counts, start=start, end=end, today=today)
    limits = {  # in the order in which they apply
        BEFORE_START: (believed.start, None),
        AFTER_TODAY: (None, believed.today),
        FAR: (believed.first, believed.last),
    }
    cases = []
    for reason, (least, most) in limits.items():
        outside = [judged.date < ibis.literal(least)] if least else []
        outside += [judged.date > ibis.literal(most)] if most else []
        cases += [(judged.reason.isnull() & test, reason) for test in outside]

    def reason_of(day: Mapping[str, Any]) -> str | None:
        if day["reason"] is not None:
            return str(day["reason"])
        wrong = (
            reason
            for reason, (least, most) in limits.items()
            if (least and day["date"] < least) or (most and day["date"] > most)
        )
        return next(wrong, None)

    if cases:
        judged = judged.mutate(reason=ibis.cases(*cases, else_=judged.reason))
    return judged, [dict(day) | {"reason": reason_of(day)} for day in days], believed.findings


def _rows(counts: Counts) -> int:
    return sum(rows for _, rows in counts)


def _mirror(day: dt.date) -> dt.date:
    """Turn time round, so that the end of a log is judged as its beginning is."""
    return dt.date.fromordinal(dt.date.max.toordinal() + 1 - day.toordinal())


def _without_default_dates(days: Counts, total: int) -> Counts:
    """Leave out leading default dates, and a few rows among them, if the rest is far away."""
    few, largest = max(FEW_ROWS, FEW * total), _leading(days, LARGE * total)
    ends = [k for k in range(1, min(largest + 1, len(days))) if days[k - 1][0] in DEFAULT_DATES]
    for k in reversed(ends):
        others = _rows([it for it in days[:k] if it[0] not in DEFAULT_DATES])
        gap = (days[k][0] - days[k - 1][0]).days
        if others <= few and gap > max(YEAR, (days[-1][0] - days[k][0]).days):
            return days[k:]
    return days


def _far(days: Counts, findings: list[Finding], total: int, option: str) -> int:
    """Return how many leading days are far from the others and hold a few rows only."""
    gaps = [(later - day).days for (day, _), (later, _) in pairwise(days)]
    few = min(max(FEW_ROWS, FEW * total), total / 10)
    ends = (_leading(days, few), len(days) - _leading(days[::-1], few))
    core = gaps[ends[0] : max(ends[0], ends[1] - 1)]
    if len(core) < LEAST_GAPS:
        return 0
    least = max(LEAST_GAP, GAPS * max(core))
    far = [k + 1 for k in range(ends[0]) if gaps[k] > least]
    if far:
        return far[-1]
    small = _leading(days, SMALL * total)
    for k in range(small):
        # The other gaps are now those beyond this one, up to the last few rows of the other side.
        beyond = gaps[k + 1 : max(k + 1, ends[1] - 1)]
        if len(beyond) >= LEAST_GAPS and gaps[k] > max(LEAST_GAP, GAPS * max(beyond)):
            findings.append(_pause(days[: k + 1], total, gaps[k], GAPS * max(beyond), option))
            break
    return 0


def _leading(days: Counts, most: float) -> int:
    """Return how many leading days hold at most so many rows together."""
    held = n = 0
    for _, rows in days:
        held += rows
        if held > most:
            break
        n += 1
    return n


def _far_away(days: Counts, total: int, believed: dt.date, which: str) -> Finding:
    name = "end" if which == "last" else "start"
    rows = _rows(days)
    gap = min(abs((day - believed).days) for day, _ in days)
    furthest = days[-1][0] if which == "last" else days[0][0]
    few = max(FEW_ROWS, FEW * total)
    known = any(day in DEFAULT_DATES for day, _ in days)
    why = (
        f"more than {GAPS} times the gap between any others, and at most {few:,.0f} rows"
        if not known
        else f"a default date of programs, and at most {LARGE:.0%} of the rows"
    )
    return Finding(
        f"rows dated {_listed(days)}, {gap:,} days from all others: {rows:,} of {total:,} "
        f"({percent(rows / total)}; {why}); not believed, and {believed} is the {which} day; if "
        f"they are right, say so with {name}= (--{name} {furthest})"
    )


def _pause(days: Counts, total: int, gap: int, most: int, option: str) -> Finding:
    rows = _rows(days)
    side = "last" if option == "--end" else "first"
    return Finding(
        f"the {side} {rows:,} of {total:,} rows ({percent(rows / total)}, less than {SMALL:.0%}) "
        f"are {gap:,} days from all others, and {max(most, LEAST_GAP):,} would be much: they are "
        f"kept; if their dates are wrong, leave them out with {option[2:]}= ({option})"
    )


def _in_the_future(days: Counts, total: int, latest: dt.date, *, rejected: bool) -> Finding:
    rows = _rows(days)
    seen = f"rows dated {_listed(days)}: {rows:,} of {total:,} ({percent(rows / total)}"
    if rejected:
        return Finding(
            f"{seen}) after today, which is {latest} at the latest; not believed; if they are "
            f"right, say so with end= (--end {days[-1][0]})"
        )
    return Finding(
        f"{seen}, more than {LARGE:.0%}) after today, which is {latest} at the latest; kept, "
        "because the clock of this machine may be wrong; check the dates (--date-format), or give "
        "the observation end with end= (--end)"
    )


def _listed(days: Counts) -> str:
    shown = ", ".join(str(day) for day, _ in days[:3])
    return shown if len(days) <= 3 else f"{shown}, … {days[-1][0]}"

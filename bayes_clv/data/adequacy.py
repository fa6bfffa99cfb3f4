"""Data adequacy: does a log hold enough data, and which figures show where it does not?

A posterior can be sampled perfectly and still say little more than its priors. This is no error:
the intervals are then wide, and correctly so. But readers trust a mean too easily, so every fit
warns where the data are thin. The thresholds come from simulated shops, with customers like
CDNOW's, with faithful customers (who rarely leave) and with fickle ones (who leave soon), fitted
with the default priors. The width is that of the 90 % interval of the mean P(alive) of repeat
buyers. `tests/data/test_adequacy.py` repeats a part of these simulations.

    repeat buyers, in a year of data                    10     20     40     80    160    320
    width                                             0.43   0.31   0.23   0.17   0.12   0.09

    days covered, in gaps between purchases            < 2  2–2.5  2.5–3  3–3.5  3.5–4    > 4
    width, with 300 repeat buyers                     0.41   0.51   0.24   0.17   0.18   0.10

A gap longer than the log is never observed: the shorter the log, the closer is its length to two
observed gaps, whatever the true gap. A threshold of three gaps is therefore less strict than it
sounds.

    members of a segment who bought later                    < 30        30–120         > 120
    sd of its ln r/α, in sd of an unobserved segment         0.92          0.70          0.54

(medians over RFM and KMeans segments of CDNOW's sample, of a fifth of it, of its first 39 weeks,
and of a year of Online Retail II). 90 % of CDNOW's customers first bought within 14 % of its days.
Below 5 % all customers have almost the same age, and no model can separate effects of age
(leaving) from effects of the date (season).
"""

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import ibis
import numpy as np
from ibis import ir

from bayes_clv.errors import InputError

MIN_REPEATERS = 100
MIN_GAPS = 3.0
MIN_BUYERS = 30  # members of a segment who bought later
MAX_SEGMENTS = 1000  # each costs memory and time in a fit
FEW_SEGMENTS = 20  # up to this number there is no check
MIN_MEMBERS = 5.0  # customers per segment, on average, if there are more segments
MIN_SPREAD = 1 / 20  # share of the days: with 90 % of first purchases, or in final silence
MAX_CORRELATION = 0.3  # of ranks, positive or negative
MIN_MISSED = 20.0  # purchases expected in the final silence; P(none by chance) = e^-20
_SHOWN, _LENGTH = 5, 40  # most names in a line, most characters of a name


@dataclass(frozen=True, slots=True)
class FollowUp:
    """Counts of a segment's members, and of their follow-up after assignment to the segment.

    Attributes
    ----------
    segment
        Name of the segment.
    customers
        Customers in the segment at the observation end.
    followed
        Members at a landmark who were observed until the next one, summed over landmarks.
    bought
        Followed members who bought before the next landmark, summed over landmarks.
    """

    segment: str
    customers: int
    followed: int
    bought: int


@dataclass(frozen=True, slots=True)
class LogFigures:
    """Figures of a log that show whether it has enough data.

    Attributes
    ----------
    customers, repeaters
        Numbers of customers at the observation end, and of those who bought on a second day.
    purchases
        Purchase days, summed over all customers.
    days
        Days from the first purchase in the log to the observation end.
    gap
        Mean days between two purchases of a repeat buyer: days of buying per repeat purchase. The
        days of buying end one mean gap after the last purchase, or at the observation end.
    arrival
        Smallest number of consecutive days with the first purchases of 90 % of the customers.
    silence
        Days from the last purchase in the log to the observation end.
    landmarks
        Number of landmarks at which customers were assigned to segments.
    pearson, spearman
        Correlation of frequency and mean spend over repeat buyers, of the numbers and of their
        ranks; None where undefined.
    segments
        Follow-up of each segment, in the order of the codes.
    """

    customers: int
    repeaters: int
    purchases: int
    days: float
    gap: float
    arrival: float
    silence: float
    landmarks: int
    pearson: float | None
    spearman: float | None
    segments: tuple[FollowUp, ...]


def check_segments(n_segments: int, n_customers: int) -> str:
    """Check, before a long fit, that there are not too many segments for the customers.

    Returns
    -------
    A warning in one line where there are too many to estimate each segment well, else "".

    Raises
    ------
    InputError
        There are more than ``MAX_SEGMENTS``, or more than ``FEW_SEGMENTS`` with fewer than
        ``MIN_MEMBERS`` customers each on average.
    """
    if n_segments > MAX_SEGMENTS:
        raise InputError(
            f"there are {n_segments:,} segments, more than {MAX_SEGMENTS:,}: use fewer"
        )
    each = n_customers / n_segments
    what = f"{n_segments:,} segments of {n_customers:,} customers, {each:,.1f} each on average"
    if n_segments <= FEW_SEGMENTS or each >= MIN_BUYERS:
        return ""
    if each < MIN_MEMBERS:
        raise InputError(
            f"{what}, fewer than {MIN_MEMBERS:g}: too few to estimate a segment; use fewer "
            "segments, or none"
        )
    return (
        f"{what}, fewer than {MIN_BUYERS}: sampling takes long, and estimates of a segment depend "
        "heavily on all the others; use fewer segments"
    )


def measure_log(
    states: ir.Table, landmarks: Sequence[dt.date], segment_names: Sequence[str]
) -> LogFigures:
    """Compute the figures, in the engine that holds the states.

    Parameters
    ----------
    states
        customer_id, landmark, frequency, recency, T (days), monetary_value and code (of the
        segment at that landmark).
    landmarks
        Dates of the landmarks, ascending; the last one is the observation end.
    segment_names
        Names of the segments, in the order of the codes.
    """
    end = states.filter(states.landmark == ibis.literal(landmarks[-1]))
    is_repeat_buyer = end.frequency > 0
    idle, own_gap = end["T"] - end.recency, end.recency / end.frequency.nullif(0)
    (totals,) = _rows(
        end.aggregate(
            customers=end.count(),
            repeaters=end.count(where=is_repeat_buyer),
            repeats=end.frequency.sum(),
            buying=(end.recency + ibis.least(idle, own_gap)).sum(where=is_repeat_buyer),
            days=end["T"].max(),
            silence=idle.min(),
        )
    )
    arrivals = end.group_by("T").aggregate(count=end.count()).order_by("T").to_pyarrow()
    return LogFigures(
        customers=totals["customers"],
        repeaters=totals["repeaters"],
        purchases=totals["customers"] + totals["repeats"],
        days=totals["days"],
        gap=totals["buying"] / totals["repeats"],
        arrival=_fewest_days(arrivals["T"].to_numpy(), arrivals["count"].to_numpy()),
        silence=totals["silence"],
        landmarks=len(landmarks),
        **_correlations(end),
        segments=_follow_ups(states, end, landmarks, segment_names),
    )


def shortcomings(found: LogFigures) -> tuple[str, ...]:
    """Return one line per shortage of data: the figure, its threshold, and what to do."""
    lines = [_few_repeaters(found), _short_log(found), _same_age(found), _final_silence(found)]
    lines.append(_dependent_spend(found))
    if len(found.segments) > 1:
        lines += [_one_landmark(found)] if found.landmarks == 1 else _thin_segments(found)
    return tuple(line for line in lines if line)


def _few_repeaters(found: LogFigures) -> str:
    if found.repeaters >= MIN_REPEATERS:
        return ""
    return (
        f"only {found.repeaters:,} of {found.customers:,} customers bought on a second day, "
        f"fewer than {MIN_REPEATERS}: results depend heavily on the priors; rely on the intervals, "
        "or use a longer log"
    )


def _short_log(found: LogFigures) -> str:
    if found.days >= MIN_GAPS * found.gap:
        return ""
    return (
        f"the log covers {found.days:,.0f} days, {found.days / found.gap:.1f} times the mean gap "
        f"of {found.gap:,.0f} days between two purchases of a repeat buyer, less than "
        f"{MIN_GAPS:g}: customers who left and slow buyers look alike; rely on the intervals, or "
        "use a longer log"
    )


def _same_age(found: LogFigures) -> str:
    if found.arrival >= MIN_SPREAD * found.days:
        return ""
    return (
        f"90% of the customers first bought within {found.arrival:,.0f} of {found.days:,.0f} days, "
        f"less than {MIN_SPREAD:.0%}: all have almost the same age, so a weak season looks like "
        "leaving; check the dates, or add customers who first bought at other times"
    )


def _final_silence(found: LogFigures) -> str:
    missed = found.purchases * found.silence / found.days
    if found.silence <= MIN_SPREAD * found.days or missed < MIN_MISSED:
        return ""
    return (
        f"nobody bought in the last {found.silence:,.0f} of {found.days:,.0f} days, more than "
        f"{MIN_SPREAD:.0%}, although {missed:,.0f} purchases were expected: all customers seem to "
        "leave at once; check the observation end"
    )


def _dependent_spend(found: LogFigures) -> str:
    if found.spearman is None or abs(found.spearman) <= MAX_CORRELATION:
        return ""
    which, biased = ("more", "too low") if found.spearman > 0 else ("less", "too high")
    return (
        f"customers who buy more often spend {which} per purchase (rank correlation "
        f"{found.spearman:+.2f}, beyond ±{MAX_CORRELATION:g}), but the model assumes independence: "
        f"values of customers with short histories are {biased}; use segments that separate them"
    )


def _one_landmark(found: LogFigures) -> str:
    return (
        "segments were formed at 1 landmark only, fewer than 2: no customer was observed after it, "
        f"so nothing distinguishes the {len(found.segments)} segments from the population; use "
        "more landmarks"
    )


def _thin_segments(found: LogFigures) -> list[str]:
    """Lines about segments that have customers; no customer's result depends on the others."""
    segments = [segment for segment in found.segments if segment.customers]
    unobserved = [_quoted(segment.segment) for segment in segments if not segment.followed]
    few = [
        f"{_quoted(segment.segment)} ({segment.bought:,} of {segment.followed:,})"
        for segment in segments
        if segment.followed and segment.bought < MIN_BUYERS
    ]
    lines = []
    if unobserved:
        lines.append(
            f"0 customers were observed after assignment to {_listed(unobserved)}, fewer than 1: "
            "the estimates come from the other segments and the priors alone; use fewer segments, "
            "or more landmarks"
        )
    if few:
        lines.append(
            f"few customers bought after assignment to {_listed(few)}, fewer than {MIN_BUYERS}: "
            "P(alive) depends heavily on the other segments; use the probability of buying "
            "again, or fewer segments"
        )
    return lines


def _quoted(name: str) -> str:
    return f'"{" ".join(name.split())[:_LENGTH]}"'


def _listed(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _follow_ups(
    states: ir.Table, end: ir.Table, landmarks: Sequence[dt.date], names: Sequence[str]
) -> tuple[FollowUp, ...]:
    now = {row["code"]: row for row in _rows(end.group_by("code").aggregate(customers=end.count()))}
    later = {row["code"]: row for row in _rows(_followed(states, landmarks))}
    zeros = {"customers": 0, "followed": 0, "bought": 0}
    figures = (zeros | now.get(code, {}) | later.get(code, {}) for code in range(len(names)))
    return tuple(
        FollowUp(name, row["customers"], row["followed"], row["bought"])
        for name, row in zip(names, figures, strict=True)
    )


def _followed(states: ir.Table, landmarks: Sequence[dt.date]) -> ir.Table:
    """Count by code the members at a landmark, and those who bought before the next one."""
    following = dict(pairwise(landmarks))
    members = states.filter(states["T"] > 0, states.landmark < ibis.literal(landmarks[-1]))
    members = members.mutate(landmark=members.landmark.substitute(following))
    reached = states.select("customer_id", "landmark", reached=states.frequency)
    pairs = members.inner_join(reached, ["customer_id", "landmark"])
    return pairs.group_by("code").aggregate(
        followed=pairs.count(), bought=pairs.count(where=pairs.reached > pairs.frequency)
    )


def _fewest_days(T: np.ndarray[Any, np.dtype[np.float64]], count: Any) -> float:
    """Smallest number of consecutive days, inclusive, with 90 % of ``count``; ``T`` ascends."""
    up_to = np.cumsum(count)
    wanted = up_to - count + 0.9 * up_to[-1]
    first = np.flatnonzero(wanted <= up_to[-1])
    last = np.searchsorted(up_to, wanted[first])
    return float((T[last] - T[first]).min()) + 1


def _correlations(end: ir.Table) -> dict[str, float | None]:
    """Correlations of frequency and mean spend over customers who have both above 0."""
    spend = end.monetary_value.cast("float64")
    buyers = end.filter((end.frequency > 0) & (spend > 0)).select(
        frequency=end.frequency.cast("float64"), spend=spend
    )
    ranked = buyers.mutate(
        **{f"{name}_rank": _rank(buyers, name) for name in ("frequency", "spend")}
    )
    (found,) = _rows(
        ranked.aggregate(
            pearson=ranked.frequency.corr(ranked.spend, how="pop"),
            spearman=ranked.frequency_rank.corr(ranked.spend_rank, how="pop"),
        )
    )
    return {
        name: None if value is None or math.isnan(value) else value for name, value in found.items()
    }


def _rank(buyers: ir.Table, name: str) -> ir.NumericValue:
    """Ranks; equal values have the mean of their ranks."""
    equals = buyers.count().over(ibis.window(group_by=name))
    return ibis.rank().over(ibis.window(order_by=name)) + (equals - 1) / 2


def _rows(table: ir.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pyarrow().to_pylist()
    return rows

"""Can these data carry the answer? What a log may be short of, with the figures that say so.

A posterior can be sampled perfectly and still say little more than its priors. That is no error:
the intervals are then wide, and right. But a mean is easily read for more than it is worth, so
every fit says where its data are thin. The thresholds come from simulated shops with CDNOW's
customers, with faithful and with fickle ones, fitted with the default priors; the width is that of
the 90 % interval of the mean P(alive) of those who came back. `tests/data/test_adequacy.py` repeats
a part of it.

    customers who came back, in a year of data          10     20     40     80    160    320
    width                                             0.43   0.31   0.23   0.17   0.12   0.09

    days covered, in gaps between purchases            < 2  2–2.5  2.5–3  3–3.5  3.5–4    > 4
    width, with 300 who came back                     0.41   0.51   0.24   0.17   0.18   0.10

A gap longer than the log is never seen: the shorter the log, the nearer comes its length to two of
the gaps that are seen, whatever the truth; so three ask for less than it sounds.

    members of a segment who bought later                    < 30        30–120         > 120
    sd of its ln r/α, in sd of a segment never seen          0.92          0.70          0.54

(medians over RFM and KMeans segments of CDNOW's sample, of a fifth of it, of its first 39 weeks,
and of a year of Online Retail II). Nine in ten of CDNOW's customers came within 14 % of its days.
Where it is less than 5 %, all are of one age, and no model can tell what comes with age, which is
leaving, from what comes with the date, which is the season.
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
MAX_SEGMENTS = 1000  # a fit takes memory and time with each
FEW_SEGMENTS = 20  # so many are never too many
MIN_MEMBERS = 5.0  # customers of a segment, on average, where there are more
MIN_SPREAD = 1 / 20  # of the days covered: in which nine in ten customers came, or nobody bought
MAX_CORRELATION = 0.3  # of ranks, either way
MIN_MISSED = 20.0  # purchases to be expected in the silence before the end; by chance: e^-20
_SHOWN, _LENGTH = 5, 40  # names in a line, and characters of a name


@dataclass(frozen=True, slots=True)
class FollowUp:
    """What a segment is judged by: what its members did after they were put there.

    Attributes
    ----------
    segment
        Its name.
    customers
        Who is in it at the observation end.
    followed
        Members at a landmark who were followed to the next one; who stays counts at each.
    bought
        Those of them who bought on the way.
    """

    segment: str
    customers: int
    followed: int
    bought: int


@dataclass(frozen=True, slots=True)
class LogFigures:
    """The figures of a log that its answers rest on.

    Attributes
    ----------
    customers, repeaters
        Everybody at the observation end, and those who had bought on a second day.
    purchases
        Days on which somebody bought, over all customers.
    days
        From the first purchase of all to the observation end.
    gap
        Days between two purchases of a customer who came back: days of buying by repeat purchases.
        Who is silent for longer than their own mean gap counts as buying for that long.
    arrival
        The fewest days in a row on which nine in ten customers bought for the first time.
    silence
        Days from the last purchase of all to the observation end.
    landmarks
        Dates at which customers were put in segments.
    pearson, spearman
        Correlation of frequency and mean spend over customers who came back, of the numbers and of
        their ranks; None where it is not defined.
    segments
        In the order of their codes.
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
    """Refuse more segments than these customers can carry, before hours are spent on them.

    Returns
    -------
    A line of warning where they are too many to say much of each, else nothing.

    Raises
    ------
    InputError
        There are more than ``MAX_SEGMENTS``, or more than ``FEW_SEGMENTS`` with fewer than
        ``MIN_MEMBERS`` customers each on average.
    """
    if n_segments > MAX_SEGMENTS:
        raise InputError(
            f"there are {n_segments:,} segments, more than {MAX_SEGMENTS:,}: take fewer"
        )
    each = n_customers / n_segments
    what = f"{n_segments:,} segments of {n_customers:,} customers, {each:,.1f} each on average"
    if n_segments <= FEW_SEGMENTS or each >= MIN_BUYERS:
        return ""
    if each < MIN_MEMBERS:
        raise InputError(
            f"{what}, fewer than {MIN_MEMBERS:g}: that tells nothing of a segment; take fewer, or "
            "no segments"
        )
    return (
        f"{what}, fewer than {MIN_BUYERS}: sampling takes long, and what is said of a segment "
        "leans on all the others; take fewer segments"
    )


def measure_log(
    states: ir.Table, landmarks: Sequence[dt.date], segment_names: Sequence[str]
) -> LogFigures:
    """Take the figures, in the engine that holds the states.

    Parameters
    ----------
    states
        customer_id, landmark, frequency, recency, T (days) and code, the segment at that landmark.
    landmarks
        Their dates, ascending; the last one is the observation end.
    segment_names
        In the order of the codes.
    """
    end = states.filter(states.landmark == ibis.literal(landmarks[-1]))
    came_back = end.frequency > 0
    idle, own_gap = end["T"] - end.recency, end.recency / end.frequency.nullif(0)
    (totals,) = _rows(
        end.aggregate(
            customers=end.count(),
            repeaters=end.count(where=came_back),
            repeats=end.frequency.sum(),
            buying=(end.recency + ibis.least(idle, own_gap)).sum(where=came_back),
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
        segments=_followings(states, end, landmarks, segment_names),
    )


def shortcomings(found: LogFigures) -> tuple[str, ...]:
    """Say what the data are short of, a line each: the figure, its threshold, and what to do."""
    lines = [_few_repeaters(found), _short(found), _of_one_age(found), _silent(found)]
    lines.append(_spend_depends(found))
    if len(found.segments) > 1:
        lines += [_one_landmark(found)] if found.landmarks == 1 else _thin_segments(found)
    return tuple(line for line in lines if line)


def _few_repeaters(found: LogFigures) -> str:
    if found.repeaters >= MIN_REPEATERS:
        return ""
    return (
        f"only {found.repeaters:,} of {found.customers:,} customers came back on a second day, "
        f"fewer than {MIN_REPEATERS}: much of the answers comes from the priors; go by the "
        "intervals, or take a longer log"
    )


def _short(found: LogFigures) -> str:
    if found.days >= MIN_GAPS * found.gap:
        return ""
    return (
        f"the log covers {found.days:,.0f} days, {found.days / found.gap:.1f} times the "
        f"{found.gap:,.0f} between two purchases of a customer who came back, less than "
        f"{MIN_GAPS:g}: who has left and who is slow look alike; go by the intervals, or take a "
        "longer log"
    )


def _of_one_age(found: LogFigures) -> str:
    if found.arrival >= MIN_SPREAD * found.days:
        return ""
    return (
        f"nine in ten customers first bought within {found.arrival:,.0f} days of "
        f"{found.days:,.0f}, less than {MIN_SPREAD:.0%}: all are of one age, so a slack season "
        "looks like leaving; check the dates, or take customers who came at other times too"
    )


def _silent(found: LogFigures) -> str:
    missed = found.purchases * found.silence / found.days
    if found.silence <= MIN_SPREAD * found.days or missed < MIN_MISSED:
        return ""
    return (
        f"nobody bought in the last {found.silence:,.0f} of {found.days:,.0f} days, more than "
        f"{MIN_SPREAD:.0%}, in which {missed:,.0f} purchases were to be expected: all seem to "
        "leave at once; check the observation end"
    )


def _spend_depends(found: LogFigures) -> str:
    if found.spearman is None or abs(found.spearman) <= MAX_CORRELATION:
        return ""
    which, biased = ("more", "too low") if found.spearman > 0 else ("less", "too high")
    return (
        f"who buys more often spends {which} on a purchase (correlation of ranks "
        f"{found.spearman:+.2f}, beyond ±{MAX_CORRELATION:g}), which is taken for independent: "
        f"values of hardly known customers come out {biased}; use segments that tell them apart"
    )


def _one_landmark(found: LogFigures) -> str:
    return (
        "segments were formed at 1 landmark only, fewer than 2: nobody was followed from there, "
        f"so all {len(found.segments)} segments share what is known of the population; take more "
        "landmarks"
    )


def _thin_segments(found: LogFigures) -> list[str]:
    """Of segments that have customers: the others answer for nobody."""
    segments = [segment for segment in found.segments if segment.customers]
    unseen = [_quoted(segment.segment) for segment in segments if not segment.followed]
    few = [
        f"{_quoted(segment.segment)} ({segment.bought:,} of {segment.followed:,})"
        for segment in segments
        if segment.followed and segment.bought < MIN_BUYERS
    ]
    lines = []
    if unseen:
        lines.append(
            f"0 customers were followed after being put in {_listed(unseen)}, fewer than 1: what "
            "is said of them comes from the other segments and the priors alone; take fewer "
            "segments, or more landmarks"
        )
    if few:
        lines.append(
            f"few customers bought after being put in {_listed(few)}, fewer than {MIN_BUYERS}: "
            "their P(alive) leans on the other segments; go by who buys again, or take fewer "
            "segments"
        )
    return lines


def _quoted(name: str) -> str:
    return f'"{" ".join(name.split())[:_LENGTH]}"'


def _listed(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _followings(
    states: ir.Table, end: ir.Table, landmarks: Sequence[dt.date], names: Sequence[str]
) -> tuple[FollowUp, ...]:
    now = {row["code"]: row for row in _rows(end.group_by("code").aggregate(customers=end.count()))}
    later = {row["code"]: row for row in _rows(_followed(states, landmarks))}
    nobody = {"customers": 0, "followed": 0, "bought": 0}
    figures = (nobody | now.get(code, {}) | later.get(code, {}) for code in range(len(names)))
    return tuple(
        FollowUp(name, row["customers"], row["followed"], row["bought"])
        for name, row in zip(names, figures, strict=True)
    )


def _followed(states: ir.Table, landmarks: Sequence[dt.date]) -> ir.Table:
    """By code: members at a landmark, and how many of them had bought by the next one."""
    following = dict(pairwise(landmarks))
    members = states.filter(states["T"] > 0, states.landmark < ibis.literal(landmarks[-1]))
    members = members.mutate(landmark=members.landmark.substitute(following))
    reached = states.select("customer_id", "landmark", reached=states.frequency)
    pairs = members.inner_join(reached, ["customer_id", "landmark"])
    return pairs.group_by("code").aggregate(
        followed=pairs.count(), bought=pairs.count(where=pairs.reached > pairs.frequency)
    )


def _fewest_days(T: np.ndarray[Any, np.dtype[np.float64]], count: Any) -> float:
    """Days in a row, first and last included, that hold nine in ten; ``T`` ascends."""
    up_to = np.cumsum(count)
    wanted = up_to - count + 0.9 * up_to[-1]
    first = np.flatnonzero(wanted <= up_to[-1])
    last = np.searchsorted(up_to, wanted[first])
    return float((T[last] - T[first]).min()) + 1


def _correlations(end: ir.Table) -> dict[str, float | None]:
    """Of frequency and mean spend, among those who came back and paid."""
    spend = end.monetary_value.cast("float64")
    who = end.filter((end.frequency > 0) & (spend > 0)).select(
        frequency=end.frequency.cast("float64"), spend=spend
    )
    ranked = who.mutate(**{f"{name}_rank": _rank(who, name) for name in ("frequency", "spend")})
    (found,) = _rows(
        ranked.aggregate(
            pearson=ranked.frequency.corr(ranked.spend, how="pop"),
            spearman=ranked.frequency_rank.corr(ranked.spend_rank, how="pop"),
        )
    )
    return {
        name: None if value is None or math.isnan(value) else value for name, value in found.items()
    }


def _rank(who: ir.Table, name: str) -> ir.NumericValue:
    """Ranks; the mean of theirs where several are equal."""
    equals = who.count().over(ibis.window(group_by=name))
    return ibis.rank().over(ibis.window(order_by=name)) + (equals - 1) / 2


def _rows(table: ir.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pyarrow().to_pylist()
    return rows

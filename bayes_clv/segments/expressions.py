"""The same segment rules as Ibis expressions, so that the engine with the data assigns segments.

``segment_code`` takes a table with frequency, recency, T (days), monetary_value and, for the user's
own segments, segment; it returns an integer column of codes. ``segment_weights`` takes the same and
returns a column of weights per segment. Tests compare them with ``rule.assign`` and
``rule.weights``.

KMeans' weights are written without the distances' least, which would make a long query: w_k is one
over the sum of exp((d_k² − d_j²)/2h²) over all j, and z² drops out of the difference.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import reduce, singledispatch
from operator import add

import ibis
from ibis import ir

from bayes_clv.errors import InputError
from bayes_clv.segments.cuts import NOISE, RFM_GRID_CODES, limits, limits_of_days
from bayes_clv.segments.kmeans import KMeansRule
from bayes_clv.segments.memberships import (
    EXTREME,
    Arithmetic,
    exceeding,
    grid_weights,
    spread,
    value_at_most,
)
from bayes_clv.segments.own import PATTERNS, TRUTH, keys
from bayes_clv.segments.rfm import RFMRule
from bayes_clv.segments.rules import POPULATION, ColumnRule, PooledRule, SegmentRule
from bayes_clv.segments.weighted import NOTHING


def key_expression(text: ir.StringValue) -> ir.StringValue:
    """Return the key of a column of text: see ``own.key``."""
    lower, shortened = text.lower(), text
    for pattern in PATTERNS:  # not re_replace: engines write its groups in different ways
        group = shortened.re_extract(pattern, 1)
        shortened = ibis.ifelse(shortened.re_search(pattern), group, shortened)
    return ibis.ifelse(lower.isin(TRUTH), lower, shortened)


@singledispatch
def segment_code(rule: object, states: ir.Table) -> ir.IntegerValue:
    """Return each state's segment code under the rule."""
    raise TypeError(f"no expression for {type(rule).__name__}")


@segment_code.register
def _(rule: PooledRule, states: ir.Table) -> ir.IntegerValue:
    return ibis.literal(0, "int64")


@segment_code.register
def _(rule: ColumnRule, states: ir.Table) -> ir.IntegerValue:
    if not rule.names:
        return ibis.literal(POPULATION, "int64")
    exact = states.segment.cases(*((name, code) for code, name in enumerate(rule.names)))
    of_key = keys(rule.names)
    if not of_key:
        return exact.fill_null(POPULATION).cast("int64")
    by_value = key_expression(states.segment).cases(*of_key.items(), else_=POPULATION)
    return ibis.coalesce(exact, by_value).cast("int64")


@segment_code.register
def _(rule: RFMRule, states: ir.Table) -> ir.IntegerValue:
    idle, spend = states["T"] - states.recency, _repeat_spend(states)
    idle_row = _above(idle, limits_of_days(rule.idle_cuts))
    repeat_score = 2 + _above(states.frequency, limits(rule.frequency_cuts))
    frequency = ibis.ifelse(states.frequency > 0, repeat_score, 1)
    value = frequency
    if rule.monetary_cuts:
        score_sum = frequency + 1 + _above(spend, limits(rule.monetary_cuts))
        value = ibis.ifelse(spend.notnull(), ((score_sum + 1) / 2).floor().cast("int64"), frequency)
    branches = [
        ((idle_row == row) & (value == column + 1), code)
        for row, codes in enumerate(RFM_GRID_CODES)
        for column, code in enumerate(codes)
    ]
    return ibis.cases(*branches, else_=POPULATION).cast("int64")


@segment_code.register
def _(rule: KMeansRule, states: ir.Table) -> ir.IntegerValue:
    standardised = _standardised(rule, states)
    # The squared distance minus z², which is the same for all centroids.
    distances = [
        _sum((c * (c - 2 * z)).fill_null(0.0) for z, c in zip(standardised, centroid, strict=True))
        for centroid in rule.centroids
    ]
    # The first that no later one undercuts: all pairs would make a long query.
    branches = [
        (distance <= _least(distances[code + 1 :]) + NOISE, code)
        for code, distance in enumerate(distances[:-1])
    ]
    if not branches:
        return ibis.literal(0, "int64")
    return ibis.cases(*branches, else_=len(branches)).cast("int64")


@singledispatch
def segment_weights(rule: SegmentRule, states: ir.Table) -> tuple[ir.FloatingValue, ...]:
    """Return how much each state belongs to each segment, a column per segment."""
    return _hard_weights(rule, states)


@segment_weights.register
def _(rule: RFMRule, states: ir.Table) -> tuple[ir.FloatingValue, ...]:
    repeats, spend = states.frequency > 0, _repeat_spend(states)
    of_idle, of_frequency, of_spend = _exceeding(rule, states, spend)
    at_most = value_at_most(of_frequency, None)
    if rule.monetary_cuts:
        known = value_at_most(of_frequency, of_spend)
        pairs = zip(known, at_most, strict=True)
        at_most = [ibis.ifelse(spend.notnull(), *pair) for pair in pairs]
    at_most = [ibis.ifelse(repeats, it, 1.0) for it in at_most]
    weights = grid_weights(of_idle, at_most, COLUMNS)
    return tuple(weight.cast("float64") for weight in weights)


def _exceeding(
    rule: RFMRule, states: ir.Table, spend: ir.FloatingValue
) -> tuple[list[ir.FloatingValue], ...]:
    """Return A_1 … A_n of idle time, frequency and spend: without a bandwidth, 0 or 1."""
    idle = states["T"] - states.recency
    if rule.bandwidth is not None:
        z = (_log1p(idle), _log1p(states.frequency), spend.ln())
        ladders = zip(z, rule.ladders(rule.bandwidth), strict=True)
        return tuple(exceeding(value, ladder, COLUMNS) for value, ladder in ladders)
    cuts = (
        (idle, limits_of_days(rule.idle_cuts)),
        (states.frequency, limits(rule.frequency_cuts)),
        (spend, limits(rule.monetary_cuts)),
    )
    return tuple(
        [ibis.ifelse(value > limit, 1.0, 0.0) for limit in limits] for value, limits in cuts
    )


@segment_weights.register
def _(rule: KMeansRule, states: ir.Table) -> tuple[ir.FloatingValue, ...]:
    if rule.bandwidth is None:
        return _hard_weights(rule, states)
    standardised, divisor = _standardised(rule, states), spread(rule.bandwidth)

    def closeness(one: tuple[float, ...], other: tuple[float, ...]) -> ir.NumericValue:
        difference = _sum(
            ((c * c - d * d) / divisor - (2 * (c - d) / divisor) * z).fill_null(0.0)
            for z, c, d in zip(standardised, one, other, strict=True)
        )
        return COLUMNS.exp(COLUMNS.bounded(difference))

    return tuple(
        (1.0 / _sum(closeness(one, other) for other in rule.centroids)).cast("float64")
        for one in rule.centroids
    )


def _hard_weights(rule: SegmentRule, states: ir.Table) -> tuple[ir.FloatingValue, ...]:
    code = segment_code(rule, states)
    return tuple(
        ibis.ifelse(code == segment, 1.0, 0.0).cast("float64") for segment in range(len(rule.names))
    )


def noticeable_weights(rule: SegmentRule, states: ir.Table, names: Sequence[str]) -> ir.Table:
    """Add a column for the weights of each segment, without those of at most ``NOTHING``.

    They are those of :func:`bayes_clv.segments.weighted.noticeable`.

    Parameters
    ----------
    rule, states
        As for ``segment_weights``.
    names
        Of the columns, one per segment.
    """
    # In steps, so that the engine computes a weight once.
    found = states.mutate(**dict(zip(names, segment_weights(rule, states), strict=True)))
    found = found.mutate(
        **{name: ibis.ifelse(found[name] > NOTHING, found[name], 0.0) for name in names}
    )
    total = _sum(found[name] for name in names).nullif(0.0)
    return found.mutate(**{name: (found[name] / total).fill_null(0.0) for name in names})


def weights_to_fit(rule: SegmentRule, states: ir.Table) -> ir.Table:
    """Add the columns w0 … w{S−1}: the weights by which a soft fit counts a state, in thousandths.

    They have three quarters of the bandwidth of the weights of answers, and are whole fifths. On
    four developing logs (benchmarks.shops) both cost no accuracy. With the whole bandwidth
    forecasts of one split were worse than those of hard segments, by 0.003 per customer, and with
    half of it NUTS mixed no better than with them; thousandths in place of fifths changed no score
    by more than 0.002, but made about three times as many rows.

    Raises
    ------
    InputError
        The rule is hard.
    """
    if not (isinstance(rule, RFMRule | KMeansRule) and rule.bandwidth):
        raise InputError("soft_fit needs soft segments: those of RFM or KMeans, with a bandwidth")
    return thousandths(replace(rule, bandwidth=_SHARE * rule.bandwidth), states, step=_FIFTH)


_SHARE, _FIFTH = 0.75, 200


def thousandths(rule: SegmentRule, states: ir.Table, step: int = 1) -> ir.Table:
    """Add the columns w0 … w{S−1}: each state's weights in whole thousandths, which add up to 1000.

    The sums of the first weights are rounded, w_0 + … + w_k, and w{k} is the difference of two: so
    that no weight is off by a step or more, and none is lost.

    Parameters
    ----------
    rule, states
        As for ``segment_weights``.
    step
        Thousandths, of which all weights are multiples: a divisor of 1000.

    Raises
    ------
    InputError
        The segments are the user's own: a state that has none has no weights.
    """
    if isinstance(rule, ColumnRule):
        raise InputError(
            "segments of your own are hard: a fit with soft segments needs RFM or KMeans"
        )
    names = [weight_column(code) for code in range(len(rule.names))]
    # Two steps, so that the engine computes a weight once.
    weighted = states.mutate(**dict(zip(names, segment_weights(rule, states), strict=True)))
    so_far: list[ir.IntegerValue] = [ibis.literal(0, "int64")]
    for k in range(1, len(names)):
        # Engines differ by 1e-13 of a thousandth, which must not decide a tie.
        total = _sum(weighted[name] for name in names[:k]) * (1000 / step) + (0.5 + NOISE)
        so_far.append((total.floor() * step).cast("int64"))
    so_far.append(ibis.literal(1000, "int64"))
    parts = {name: so_far[k + 1] - so_far[k] for k, name in enumerate(names)}
    return weighted.mutate(**parts)


def weight_column(code: int) -> str:
    """Return the name of the column of a segment's weights.

    >>> weight_column(0), weight_column(POPULATION)
    ('w0', 'w-1')
    """
    return f"w{code}"


COLUMNS = Arithmetic(
    lambda u: u.exp(),
    lambda u: ibis.least(ibis.greatest(u, -EXTREME), EXTREME),
    lambda weight: ibis.greatest(weight, 0.0),
)


def _log1p(value: ir.NumericValue) -> ir.FloatingValue:
    return (ibis.greatest(value.cast("float64"), 0.0) + 1).ln()


def _standardised(rule: KMeansRule, states: ir.Table) -> list[ir.FloatingValue]:
    """Return the rule's features, null where unknown."""
    features = {
        "idle_time": (states["T"] - states.recency + 1).ln(),
        "frequency": (states.frequency.cast("float64") + 1).ln(),
        "monetary_value": _repeat_spend(states).ln(),
    }
    return [
        (features[name] - location) / scale
        for name, location, scale in zip(rule.features, rule.location, rule.scale, strict=True)
    ]


def _repeat_spend(states: ir.Table) -> ir.FloatingValue:
    spend = states.monetary_value.cast("float64")
    # Databases order NaN above every number.
    known = (states.frequency > 0) & (spend > 0) & (spend <= _LARGEST)
    return ibis.ifelse(known, spend, ibis.null("float64"))


_LARGEST = sys.float_info.max


def _above(value: ir.NumericValue, limits: tuple[float, ...]) -> ir.IntegerValue:
    return _sum(ibis.ifelse(value > limit, 1, 0) for limit in limits)


def _least(values: list[ir.NumericValue]) -> ir.NumericValue:
    return ibis.least(*values) if len(values) > 1 else values[0]  # Spark's needs two or more


def _sum(terms: Iterable[ir.NumericValue]) -> ir.NumericValue:
    return reduce(add, terms, ibis.literal(0))

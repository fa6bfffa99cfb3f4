"""The same segment rules as Ibis expressions, so that the engine with the data assigns segments.

``segment_code`` takes a table with frequency, recency, T (days), monetary_value and, for the user's
own segments, segment; it returns an integer column of codes. A test compares them with
``rule.assign``.
"""

from collections.abc import Iterable
from functools import reduce, singledispatch
from operator import add

import ibis
from ibis import ir

from bayes_clv.segments.own import PATTERNS, TRUTH, keys
from bayes_clv.segments.rules import (
    NOISE,
    POPULATION,
    RFM_GRID_CODES,
    ColumnRule,
    KMeansRule,
    PooledRule,
    RFMRule,
    limits,
    limits_of_days,
)


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
    features = {
        "idle_time": (states["T"] - states.recency + 1).ln(),
        "frequency": (states.frequency.cast("float64") + 1).ln(),
        "monetary_value": _repeat_spend(states).ln(),
    }
    standardised = [
        (features[name] - location) / scale
        for name, location, scale in zip(rule.features, rule.location, rule.scale, strict=True)
    ]
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


def _repeat_spend(states: ir.Table) -> ir.FloatingValue:
    spend = states.monetary_value.cast("float64")
    # Databases order NaN above every number.
    known = (states.frequency > 0) & (spend > 0) & ~spend.isnan()
    return ibis.ifelse(known, spend, ibis.null("float64"))


def _above(value: ir.NumericValue, limits: tuple[float, ...]) -> ir.IntegerValue:
    return _sum(ibis.ifelse(value > limit, 1, 0) for limit in limits)


def _least(values: list[ir.NumericValue]) -> ir.NumericValue:
    return ibis.least(*values) if len(values) > 1 else values[0]  # Spark's needs two or more


def _sum(terms: Iterable[ir.NumericValue]) -> ir.NumericValue:
    return reduce(add, terms, ibis.literal(0))

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

from bayes_clv.segments.rules import (
    POPULATION,
    RFM_GRID_CODES,
    ColumnRule,
    KMeansRule,
    PooledRule,
    RFMRule,
)


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
    branches = [(states.segment == name, code) for code, name in enumerate(rule.names)]
    return ibis.cases(*branches, else_=POPULATION).cast("int64")


@segment_code.register
def _(rule: RFMRule, states: ir.Table) -> ir.IntegerValue:
    idle, spend = states["T"] - states.recency, _repeat_spend(states)
    idle_row = _above(idle, rule.idle_cuts)
    repeat_score = 2 + _above(states.frequency, rule.frequency_cuts)
    frequency = ibis.ifelse(states.frequency > 0, repeat_score, 1)
    value = frequency
    if rule.monetary_cuts:
        score_sum = frequency + 1 + _above(spend, rule.monetary_cuts)
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
    # Compare each distance with the later ones only: all pairs would make a long query.
    branches = [
        (distance <= _least(distances[code + 1 :]), code)
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


def _above(value: ir.NumericValue, cuts: tuple[float, ...]) -> ir.IntegerValue:
    return _sum(ibis.ifelse(value > cut, 1, 0) for cut in cuts)


def _least(values: list[ir.NumericValue]) -> ir.NumericValue:
    return ibis.least(*values) if len(values) > 1 else values[0]  # Spark's needs two or more


def _sum(terms: Iterable[ir.NumericValue]) -> ir.NumericValue:
    return reduce(add, terms, ibis.literal(0))

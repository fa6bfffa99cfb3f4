"""Answers about customers from draws of the parameters: all draws, each distinct state once.

A customer's answer depends on the state alone, so each distinct state is evaluated once, a block of
states at a time: memory does not grow with the number of customers. Value also depends on what a
customer spent, which costs one multiplication per draw.
"""

from collections import deque

import numpy as np
import pandas as pd
import xarray as xr

from bayes_clv.data.states import States
from bayes_clv.models.bgnbd import Dropout, Parameters
from bayes_clv.models.gammagamma import SpendParameters
from bayes_clv.numerics.quantiles import mean_and_quantiles
from bayes_clv.posterior import measures, value
from bayes_clv.posterior.comparison import MEASURES, SUMS, attributes
from bayes_clv.posterior.discounting import ValueTerms
from bayes_clv.posterior.measures import Measure
from bayes_clv.posterior.state_groups import (
    Floats,
    StateGroup,
    customers_in,
    cut,
    distinct_pairs,
    distinct_states,
    each_group,
)
from bayes_clv.posterior.value import SpendTotals, ValueMeasure
from bayes_clv.segments.rules import Codes, with_population


def answer_customers(
    parameters: Parameters,
    codes: Codes,
    states: States,
    measure: Measure,
    tails: tuple[float, float],
) -> Floats:
    """Return mean and interval of a measure for each customer.

    Parameters
    ----------
    parameters
        ``(segment + 1, draw)``, the population's last.
    codes, states
        ``(customer,)``
    measure
        From :mod:`bayes_clv.posterior.measures`.
    tails
        Probabilities below the interval's ends.

    Returns
    -------
    ``(customer, 3)``: mean, lower, upper.
    """
    index, distinct = distinct_states(codes, states)
    summary = np.empty((len(distinct.code), 3))

    def summarise(group: StateGroup) -> None:
        evaluate = measure(parameters[group.code], group)
        for block in group.blocks():
            summary[block.rows] = mean_and_quantiles(evaluate(block), tails)

    deque(each_group(summarise, distinct), maxlen=0)
    return summary[index]


def value_customers(
    parameters: Parameters,
    spend: SpendParameters,
    codes: Codes,
    states: States,
    measure: ValueMeasure,
    tails: tuple[float, float],
) -> Floats:
    """Return mean and interval of a measure of money for each customer.

    As :func:`answer_customers`, with draws of spend ``(segment + 1, draw)``. Customers of one state
    who spent the same are evaluated once.
    """
    index, distinct = distinct_states(codes, states)
    own, state, mean = distinct_pairs(index, states.repeat_spend)
    summary = np.empty((len(state), 3))

    def summarise(group: StateGroup) -> None:
        of_block = measure(parameters[group.code], spend[group.code], group)
        for block in group.blocks():
            of_customers = of_block(block)
            for here in cut(customers_in(block, state)):
                alike = np.zeros(here.stop - here.start)
                values = of_customers(state[here] - block.rows.start, mean[here], alike)
                summary[here] = mean_and_quantiles(values, tails)

    deque(each_group(summarise, distinct), maxlen=0)
    return summary[own]


def answer_one(
    parameters: Parameters,
    state: tuple[float, float, float],
    horizon: float,
    dropout: Dropout,
    tails: tuple[float, float],
) -> Floats:
    """Return mean and interval of P(alive) and of P(purchase) of one customer, ``(2, 3)``.

    Parameters
    ----------
    parameters
        ``(draw,)``, of the customer's segment.
    state
        Frequency, recency and T.
    """
    values = measures.alive_and_purchase(parameters, *state, horizon, dropout)
    return mean_and_quantiles(values, tails)


def as_frame(
    customers: pd.DataFrame, names: tuple[str, ...], codes: Codes, summary: Floats
) -> pd.DataFrame:
    """Lay out mean and interval of each customer, in the caller's order.

    Parameters
    ----------
    customers
        Their index is kept, and the column customer_id if there is one.
    names
        By code, the population's last.
    codes, summary
        ``(customer,)`` and ``(customer, 3)``.
    """
    who = {"customer_id": customers["customer_id"]} if "customer_id" in customers else {}
    estimates = dict(zip(("mean", "lower", "upper"), summary.T, strict=True))
    segment = np.array(names, dtype=object)[codes]
    return pd.DataFrame(who | {"segment": segment} | estimates, index=customers.index)


def draws_by_segment(
    parameters: Parameters,
    spend: SpendParameters | None,
    names: tuple[str, ...],
    dropout: Dropout,
    codes: Codes,
    states: States,
    shared: SpendTotals,
    horizon: float,
    terms: ValueTerms | None = None,
) -> xr.Dataset:
    """Return each measure for each segment, draw by draw.

    Parameters
    ----------
    parameters, spend
        ``(segment + 1, draw)``, the population's last; spend where there are terms.
    names
        Of the segments, by code.
    codes, states, shared
        ``(state,)`` segments of distinct states (or customers), the states, and their customers.
    horizon
        Days ahead.
    terms
        The terms of value; None leaves value out.

    Returns
    -------
    ``customers (segment)``; means over the segment's customers of each of ``comparison.MEASURES``,
    ``(segment, sample)``; and, with terms, sums over them of each of ``comparison.SUMS``. Segments
    without customers are left out.
    """
    index, distinct = distinct_states(codes, states)
    shared = shared.gathered(index, len(distinct.code))
    segments = np.array(with_population(names), dtype=object)
    place = distinct.code % len(segments)  # −1 is the last
    customers = np.bincount(place, shared.customers, minlength=len(segments))
    measured = MEASURES + (SUMS if terms else ())
    totals = np.zeros((len(measured), len(segments), parameters.r.shape[1]))

    def add(group: StateGroup) -> tuple[int, Floats]:
        own, here = parameters[group.code], shared[group.rows]
        sums = measures.totals(own, group, here.customers, horizon, dropout)
        if terms and spend:
            money = value.totals(own, spend[group.code], group, here, terms, dropout)
            sums = np.concatenate([sums, money])
        return group.code, sums

    for code, sums in each_group(add, distinct):
        totals[:, code] += sums
    present = np.flatnonzero(customers)
    totals = totals[:, present]
    totals[: len(MEASURES)] /= customers[present, None]
    return xr.Dataset(
        {"customers": ("segment", customers[present].astype(np.int64))}
        | {
            name: (("segment", "sample"), total)
            for name, total in zip(measured, totals, strict=True)
        },
        coords={"segment": segments[present].astype(str)},
        attrs=attributes(horizon, terms),
    )

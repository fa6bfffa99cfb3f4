"""Answers about customers, computed from all posterior draws of the parameters.

An answer depends on a customer's state alone, so each distinct state is evaluated once, in blocks
of states: memory is bounded whatever the number of customers. Answers about money also depend on
the customer's own mean spend, which costs one more multiplication per draw.
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
    """Return the posterior mean and interval of a measure for each customer.

    Parameters
    ----------
    parameters
        ``(segment + 1, draw)``; the population is last.
    codes, states
        ``(customer,)``
    measure
        From :mod:`bayes_clv.posterior.measures`.
    tails
        Probabilities below the two ends of the interval.

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
    """Return the posterior mean and interval of a measure of money for each customer.

    Works like :func:`answer_customers`, with draws of spend ``(segment + 1, draw)`` as well.
    Customers with equal state and equal mean spend are evaluated once.
    """
    index, distinct = distinct_states(codes, states)
    pair, state, mean = distinct_pairs(index, states.known_spend)
    summary = np.empty((len(state), 3))

    def summarise(group: StateGroup) -> None:
        of_block = measure(parameters[group.code], spend[group.code], group)
        for block in group.blocks():
            of_customers = of_block(block)
            for rows in cut(customers_in(block, state)):
                no_identity = np.zeros(rows.stop - rows.start)
                values = of_customers(state[rows] - block.rows.start, mean[rows], no_identity)
                summary[rows] = mean_and_quantiles(values, tails)

    deque(each_group(summarise, distinct), maxlen=0)
    return summary[pair]


def answer_one(
    parameters: Parameters,
    state: tuple[float, float, float],
    horizon: float,
    dropout: Dropout,
    tails: tuple[float, float],
) -> Floats:
    """Return mean and interval of P(alive) and of P(purchase) for one customer, ``(2, 3)``.

    Parameters
    ----------
    parameters
        ``(draw,)``, those of the customer's segment.
    state
        Frequency, recency and T.
    """
    values = measures.alive_and_purchase(parameters, *state, horizon, dropout)
    return mean_and_quantiles(values, tails)


def as_frame(
    customers: pd.DataFrame, names: tuple[str, ...], codes: Codes, summary: Floats
) -> pd.DataFrame:
    """Return a table of each customer's segment, mean and interval, in the caller's order.

    Parameters
    ----------
    customers
        The table keeps their index and, if present, customer_id.
    names
        Names of the segments in the order of their codes; the population is last.
    codes, summary
        ``(customer,)`` and ``(customer, 3)``.
    """
    ids = {"customer_id": customers["customer_id"]} if "customer_id" in customers else {}
    estimates = dict(zip(("mean", "lower", "upper"), summary.T, strict=True))
    segment = np.array(names, dtype=object)[codes]
    return pd.DataFrame(ids | {"segment": segment} | estimates, index=customers.index)


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
        ``(segment + 1, draw)``; the population is last. Spend is needed with ``terms``.
    names
        Names of the segments, in the order of their codes.
    codes, states, shared
        ``(state,)`` segments, distinct states (or customers), and the totals over the customers
        in each state.
    horizon
        Days ahead.
    terms
        The terms of value; None leaves value out.

    Returns
    -------
    ``customers (segment)``; means over the segment's customers of each of ``comparison.MEASURES``,
    ``(segment, sample)``; with ``terms``, sums over the segment's customers of each of
    ``comparison.SUMS``. Segments without customers are left out.
    """
    index, distinct = distinct_states(codes, states)
    shared = shared.gathered(index, len(distinct.code))
    segments = np.array(with_population(names), dtype=object)
    place = distinct.code % len(segments)  # −1, the population, is last
    customers = np.bincount(place, shared.customers, minlength=len(segments))
    measured = MEASURES + (SUMS if terms else ())
    totals = np.zeros((len(measured), len(segments), parameters.r.shape[1]))

    def add(group: StateGroup) -> tuple[int, Floats]:
        of_segment, tally = parameters[group.code], shared[group.rows]
        sums = measures.totals(of_segment, group, tally.customers, horizon, dropout)
        if terms and spend:
            money = value.totals(of_segment, spend[group.code], group, tally, terms, dropout)
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

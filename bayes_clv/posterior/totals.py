"""Totals over the customers of each named segment, draw by draw.

Answers are linear in the weights of segments, and value is linear in a customer's mean spend. So
the total over customers with one state needs three sums for each segment that they belong to: of
the weights, of the weights of those whose mean spend is known, and of these times the mean spend.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import xarray as xr

from bayes_clv.data.states import States
from bayes_clv.posterior.comparison import MEASURES, SUMS, attributes
from bayes_clv.posterior.discounting import ValueTerms
from bayes_clv.posterior.mixtures import (
    Evaluator,
    ModelDraws,
    Quantity,
    expected_purchases,
    expected_value,
    probability_alive,
    probability_of_purchase,
)
from bayes_clv.posterior.state_groups import (
    Assigned,
    Cases,
    Floats,
    Group,
    Ints,
    Memberships,
    distinct_rows,
    each_group,
)
from bayes_clv.segments.rules import Codes, with_population


@dataclass(frozen=True, slots=True)
class Tally:
    """Customers counted by named segment and state.

    Attributes
    ----------
    codes, frequency, recency, T
        ``(row,)`` the segment that the customers are named after, and their state.
    customers
        ``(row,)`` number of customers.
    shares
        ``(3, row, segment + 1)`` sums over the customers: of the weights of each segment, the
        population last; of the weights where the mean spend per repeat purchase is known; and of
        these times the mean spend. ``(3, row)`` if customers belong to their named segment alone.
    """

    codes: Codes
    frequency: Floats
    recency: Floats
    T: Floats
    customers: Floats
    shares: Floats

    @classmethod
    def of_customers(cls, states: States, assigned: Assigned) -> Self:
        """Count customers."""
        index, first = distinct_rows(states.frequency, states.T, states.recency, assigned.codes)
        spend = states.known_spend
        known = ~np.isnan(spend)
        parts = np.stack([np.ones(len(states)), known, np.where(known, spend, 0.0)])

        def gathered(values: Floats) -> Floats:
            return np.bincount(index, values, minlength=len(first))

        weights = assigned.memberships(states).weights
        if weights is None:
            shares = np.stack([gathered(part) for part in parts])
        else:
            of_segment = [[gathered(part * weight) for weight in weights.T] for part in parts]
            shares = np.array(of_segment).transpose(0, 2, 1)
        return cls(
            assigned.codes[first],
            states.frequency[first],
            states.recency[first],
            states.T[first],
            gathered(parts[0]),
            shares,
        )

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: Ints) -> "Tally":
        """Select rows."""
        return Tally(
            self.codes[rows],
            self.frequency[rows],
            self.recency[rows],
            self.T[rows],
            self.customers[rows],
            self.shares[:, rows],
        )

    def of(self, code: int, rows: slice) -> Floats:
        """Return the three sums of one segment, ``(3, row)``."""
        if self.shares.ndim == 2:
            own: Floats = self.shares[:, rows] * (self.codes[rows] == code)
            return own
        return self.shares[:, rows, code]


def draws_by_segment(
    model: ModelDraws,
    names: tuple[str, ...],
    tally: Tally,
    horizon: float,
    terms: ValueTerms | None = None,
) -> xr.Dataset:
    """Return each measure for each named segment, draw by draw.

    Parameters
    ----------
    model
        With spend, if there are ``terms``.
    names
        Names of the segments, in the order of their codes.
    tally
        The customers.
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
    segments = np.array(with_population(names), dtype=object)
    quantities = [
        probability_alive(), probability_of_purchase(horizon), expected_purchases(horizon)
    ]  # fmt: skip
    if terms:
        quantities += _values(terms)
    measured = MEASURES + (SUMS if terms else ())
    tally = tally[np.lexsort((tally.codes, tally.recency, tally.T, tally.frequency))]
    weights = None if tally.shares.ndim == 2 else tally.shares[0]
    unknown = np.full(len(tally), np.nan)
    cases = Cases(
        tally.frequency, tally.T, tally.recency, unknown, Memberships(tally.codes, weights)
    )
    n = len(segments)
    totals = np.zeros((len(measured), n, model.n_draws))

    def add(group: Group) -> tuple[Ints, Floats]:
        evaluator = Evaluator(model, group, quantities)
        present, place = np.unique(group.memberships.codes % n, return_inverse=True)
        sums = np.zeros((len(quantities), len(present), model.n_draws))
        for block in group.blocks():
            rows = place[block.rows.start - group.rows.start :][: len(block)]
            for code in block.memberships.present:
                evaluator.add(block, code, tally.of(code, block.rows), rows, sums)
        return present, sums

    for present, sums in each_group(add, cases):
        totals[:, present] += sums
    customers = np.bincount(tally.codes % n, tally.customers, minlength=n)
    some = np.flatnonzero(customers)
    totals = totals[:, some]
    totals[: len(MEASURES)] /= customers[some, None]
    return xr.Dataset(
        {"customers": ("segment", customers[some].astype(np.int64))}
        | {
            name: (("segment", "sample"), total)
            for name, total in zip(measured, totals, strict=True)
        },
        coords={"segment": segments[some].astype(str)},
        attrs=attributes(horizon, terms),
    )


def _values(terms: ValueTerms) -> list[Quantity]:
    """Value, and value if all were alive, from the same discounted purchases."""
    value = expected_value(terms)
    return [value, Quantity(value.if_alive, value.margin, given_alive=True)]

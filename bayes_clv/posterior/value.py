r"""Customer lifetime value, for many customers and all draws at once, compiled.

The value of the purchases in the H days ahead, a purchase after u days being worth its margin
times e^−δu, has the expectation

    margin · D · E[spend a purchase],   D = P(alive) [ e^−δH M(H) + δ ∫₀ᴴ e^−δu M(u) du ]

with M(u) the expected purchases of u days if alive (:mod:`bayes_clv.models.bgnbd`); the bracket is
∫ e^−δu dM by parts. Purchases and spend are independent given a draw, and the d-th draw of one
goes with the d-th of the other: no mean is taken before the product. D depends on a customer's
state, and the expected spend is linear in the customer's own mean spend, so value costs one
multiplication per draw more than purchases do.

The outcome is simulated purchase by purchase: the time to the next purchase is Lomax-distributed,
since rates are Gamma-distributed,

    P(gap > u) = (1 + u/(α+T))^−k,   k = r + x + purchases since T,   T counted up to the last one

the customer leaves after it with the probability a/(a + b + chances to leave so far), and pays
Gamma(p, ν), with one ν ~ Gamma(px+q, v+mx) for all of a draw's purchases.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bayes_clv.models.bgnbd import Dropout, Parameters
from bayes_clv.models.gammagamma import SpendParameters, spend_line
from bayes_clv.numerics.jit import compiled, compiled_sums
from bayes_clv.numerics.keyed_random import Keys, keyed, next_gamma, next_uniform, stream_of
from bayes_clv.posterior.discounting import ValueTerms
from bayes_clv.posterior.measures import (
    Measure,
    distinct_times,
    expected_purchases,
    expected_purchases_if_alive,
    keys_of,
    probability_alive,
    purchase_if_alive,
)
from bayes_clv.posterior.state_groups import StateGroup

type Floats = NDArray[np.float64]
type Ints = NDArray[np.int64]

# Margin times A and B of the expected spend A + Bm, and A where m is unknown, each (draw,).
type Lines = tuple[Floats, Floats, Floats]

# From a block of states to a function of customers: each one's state in the block, mean spend per
# repeat purchase, NaN where unknown, and a number that tells lives of equal customers apart, 0
# where they may be the same; it returns (customer, draw).
type PerCustomer = Callable[[Ints, Floats, Floats], Floats]
type ValueMeasure = Callable[
    [Parameters, SpendParameters, StateGroup], Callable[[StateGroup], PerCustomer]
]


def discounted_purchases(terms: ValueTerms, dropout: Dropout) -> Measure:
    """D: expected purchases, discounted."""
    return expected_purchases(terms.horizon, dropout, terms.discounting())


def expected_spend() -> ValueMeasure:
    """Expected spend per purchase: :func:`bayes_clv.models.gammagamma.expected_spend`."""

    def money(
        parameters: Parameters, spend: SpendParameters, group: StateGroup
    ) -> Callable[[StateGroup], PerCustomer]:
        lines = _lines(spend, group.frequency, 1.0)

        def of_block(block: StateGroup) -> PerCustomer:
            one = np.ones((len(block.T), len(spend.p)))
            return lambda state, mean, who: _on_lines(one, state, mean, lines)

        return of_block

    return money


def expected_value(terms: ValueTerms, dropout: Dropout) -> ValueMeasure:
    """Expected value of the purchases ahead."""
    measure = discounted_purchases(terms, dropout)

    def money(
        parameters: Parameters, spend: SpendParameters, group: StateGroup
    ) -> Callable[[StateGroup], PerCustomer]:
        lines = _lines(spend, group.frequency, terms.margin)
        evaluate = measure(parameters, group)

        def of_block(block: StateGroup) -> PerCustomer:
            purchases = evaluate(block)
            return lambda state, mean, who: _on_lines(purchases, state, mean, lines)

        return of_block

    return money


def sample_value(terms: ValueTerms, dropout: Dropout, seed: int) -> ValueMeasure:
    """Value of customers' purchases: one simulated outcome for each draw."""
    horizon, force = terms.horizon, terms.force
    alive, purchase = probability_alive(dropout), purchase_if_alive(horizon)

    def money(
        parameters: Parameters, spend: SpendParameters, group: StateGroup
    ) -> Callable[[StateGroup], PerCustomer]:
        alive_of, purchase_of = alive(parameters, group), purchase(parameters, group)
        shape = parameters.r + group.frequency
        b = parameters.b + dropout.chances(group.frequency)

        def of_block(block: StateGroup) -> PerCustomer:
            keys, is_alive = keys_of(seed, block), alive_of(block)
            T, index = distinct_times(block.T)
            buys = is_alive * purchase_of(T)[index]

            def of_customers(state: Ints, mean: Floats, who: Floats) -> Floats:
                values = np.empty((len(state), len(shape)))
                known = ~np.isnan(mean)
                x = np.where(known, group.frequency, 0.0)
                _draw_lives(
                    keyed(keys[state], mean, who),
                    state,
                    is_alive,
                    buys,
                    shape,
                    parameters.alpha,
                    parameters.a,
                    b,
                    block.T,
                    horizon,
                    force,
                    terms.margin,
                    x,
                    x * np.where(known, mean, 0.0),
                    spend.p,
                    spend.q,
                    spend.v,
                    values,
                )
                return values

            return of_customers

        return of_block

    return money


@dataclass(frozen=True, slots=True)
class SpendTotals:
    """Who shares each of some states, ``(state,)``.

    Attributes
    ----------
    customers
        Number of customers.
    spenders
        How many of them have a known mean spend per repeat purchase.
    spend
        The sum of those means.
    """

    customers: Floats
    spenders: Floats
    spend: Floats

    @classmethod
    def of_customers(cls, repeat_spend: Floats) -> Self:
        """One row per customer; NaN where a customer's mean spend is unknown."""
        known = ~np.isnan(repeat_spend)
        return cls(np.ones(len(known)), known.astype(float), np.where(known, repeat_spend, 0.0))

    def gathered(self, index: Ints, n: int) -> Self:
        """Add up the rows of each index from 0 to n − 1."""
        columns = (self.customers, self.spenders, self.spend)
        return type(self)(*(np.bincount(index, column, minlength=n) for column in columns))

    def __getitem__(self, rows: slice) -> "SpendTotals":
        """Index all three arrays alike."""
        return SpendTotals(self.customers[rows], self.spenders[rows], self.spend[rows])


def totals(
    parameters: Parameters,
    spend: SpendParameters,
    group: StateGroup,
    tally: SpendTotals,
    terms: ValueTerms,
    dropout: Dropout,
) -> Floats:
    """Sum the expected value, and the value if all were alive, over a group's customers.

    Returns
    -------
    ``(2, draw)``
    """
    sums = np.zeros((2, len(parameters.r)))
    alive = probability_alive(dropout)(parameters, group)
    purchases = expected_purchases_if_alive(terms.horizon, dropout, terms.discounting())(
        parameters, group
    )
    lines = _lines(spend, group.frequency, terms.margin)
    for block in group.blocks():
        T, index = distinct_times(block.T)
        first = block.rows.start - group.rows.start
        here = tally[first : first + len(index)]
        unknown = here.customers - here.spenders
        _add_value(
            alive(block), purchases(T), index, here.spenders, here.spend, unknown, *lines, sums
        )
    return sums


def _lines(spend: SpendParameters, frequency: float, margin: float) -> Lines:
    base, slope = spend_line(spend, frequency)
    unknown, _ = spend_line(spend, 0.0)
    return margin * base, margin * slope, margin * unknown


def _on_lines(purchases: Floats, state: Ints, mean: Floats, lines: Lines) -> Floats:
    values = np.empty((len(state), purchases.shape[1]))
    _multiply_by_spend(purchases, state, mean, *lines, values)
    return values


@compiled
def _multiply_by_spend(
    purchases: Floats,
    state: Ints,
    mean: Floats,
    base: Floats,
    slope: Floats,
    unknown: Floats,
    values: Floats,
) -> None:
    for c in range(len(state)):
        of_state, m = purchases[state[c]], mean[c]
        if math.isnan(m):
            for d in range(len(base)):
                values[c, d] = of_state[d] * unknown[d]
        else:
            for d in range(len(base)):
                values[c, d] = of_state[d] * (base[d] + slope[d] * m)


@compiled_sums
def _add_value(
    alive: Floats,
    purchases: Floats,
    index: Ints,
    spenders: Floats,
    spend: Floats,
    unknown: Floats,
    base: Floats,
    slope: Floats,
    base_unknown: Floats,
    sums: Floats,
) -> None:
    for s in range(len(index)):
        i = index[s]
        for d in range(sums.shape[1]):
            each = spenders[s] * base[d] + spend[s] * slope[d] + unknown[s] * base_unknown[d]
            value = purchases[i, d] * each
            sums[0, d] += alive[s, d] * value
            sums[1, d] += value


@compiled
def _draw_lives(
    keys: Keys,
    state: Ints,
    is_alive: Floats,
    buys: Floats,
    shape: Floats,
    alpha: Floats,
    a: Floats,
    b: Floats,
    T: Floats,
    horizon: float,
    force: float,
    margin: float,
    x: Floats,
    spent: Floats,
    p: Floats,
    q: Floats,
    v: Floats,
    values: Floats,
) -> None:
    """Fill in the value of each customer's simulated purchases, for each draw."""
    for c in range(len(state)):
        s = state[c]
        for d in range(len(shape)):
            uniform, stream = next_uniform(stream_of(keys[c], d))
            value = 0.0
            if uniform < buys[s, d]:
                # What is below P(alive) is uniform, too, and says when the first purchase comes.
                left, k, staying = 1.0 - uniform / is_alive[s, d], shape[d], b[d]
                then = alpha[d] + T[s]
                elapsed = then * math.expm1(-math.log(left) / k)
                rate, stream = next_gamma(p[d] * x[c] + q[d], stream)
                while elapsed <= horizon:
                    paid, stream = next_gamma(p[d], stream)
                    value += paid * math.exp(-force * elapsed)
                    uniform, stream = next_uniform(stream)
                    if uniform * (a[d] + staying) < a[d]:
                        break
                    k, staying = k + 1.0, staying + 1.0
                    uniform, stream = next_uniform(stream)
                    elapsed += (then + elapsed) * math.expm1(-math.log(uniform) / k)
                value *= margin * (v[d] + spent[c]) / rate
            values[c, d] = value

r"""Customer value, vectorised over many customers and all draws.

A purchase after u days is worth its margin times e^−δu. The expected value of the purchases within
the next H days is

    margin · D · E[spend a purchase],   D = P(alive) [ e^−δH M(H) + δ ∫₀ᴴ e^−δu M(u) du ]

with M(u) the expected number of purchases within u days if alive
(:mod:`bayes_clv.models.bgnbd`); the bracket is ∫ e^−δu dM by parts. Purchases and spend are
independent given a draw, and draw d of one is multiplied by draw d of the other: no mean is taken
before the product. D depends on the state alone, and the expected spend is linear in the customer's
own mean spend, so value costs one more multiplication per draw than purchases.

The *outcome*, the value of what a customer actually buys, is sampled purchase by purchase. The time
to the next purchase has a Lomax distribution, since rates are Gamma-distributed,

    P(gap > u) = (1 + u/(α+T))^−k,   k = r + x + purchases since T,   T counted up to the last one

after the purchase the customer leaves with probability a/(a + b + chances to leave so far). The
purchase costs Gamma(p, ν), with one ν ~ Gamma(px+q, v+mx) for all purchases of a draw.
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

# The expected spend is A + Bm for a known mean spend m. Margin times A, margin times B, and margin
# times A for an unknown m, each (draw,).
type Lines = tuple[Floats, Floats, Floats]

# A function of customers in a block of states. It takes each customer's index into the block, mean
# spend per repeat purchase (NaN where unknown), and a number that gives customers with equal state
# and spend different random numbers (0 if they may share them). It returns (customer, draw).
type PerCustomer = Callable[[Ints, Floats, Floats], Floats]
type ValueMeasure = Callable[
    [Parameters, SpendParameters, StateGroup], Callable[[StateGroup], PerCustomer]
]


def discounted_purchases(terms: ValueTerms, dropout: Dropout) -> Measure:
    """D: the expected number of purchases, each weighed by its discount factor."""
    return expected_purchases(terms.horizon, dropout, terms.discounting())


def expected_spend() -> ValueMeasure:
    """Expected spend per purchase: :func:`bayes_clv.models.gammagamma.expected_spend`."""

    def money(
        parameters: Parameters, spend: SpendParameters, group: StateGroup
    ) -> Callable[[StateGroup], PerCustomer]:
        lines = _lines(spend, group.frequency, 1.0)

        def of_block(block: StateGroup) -> PerCustomer:
            one = np.ones((len(block.T), len(spend.p)))
            return lambda state, mean, identity: _on_lines(one, state, mean, lines)

        return of_block

    return money


def expected_value(terms: ValueTerms, dropout: Dropout) -> ValueMeasure:
    """Expected value of the purchases within the horizon."""
    measure = discounted_purchases(terms, dropout)

    def money(
        parameters: Parameters, spend: SpendParameters, group: StateGroup
    ) -> Callable[[StateGroup], PerCustomer]:
        lines = _lines(spend, group.frequency, terms.margin)
        evaluate = measure(parameters, group)

        def of_block(block: StateGroup) -> PerCustomer:
            purchases = evaluate(block)
            return lambda state, mean, identity: _on_lines(purchases, state, mean, lines)

        return of_block

    return money


def sample_value(terms: ValueTerms, dropout: Dropout, seed: int) -> ValueMeasure:
    """Sampled value of the purchases within the horizon: one outcome per draw."""
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

            def of_customers(state: Ints, mean: Floats, identity: Floats) -> Floats:
                values = np.empty((len(state), len(shape)))
                known = ~np.isnan(mean)
                x = np.where(known, group.frequency, 0.0)
                _sample_values(
                    keyed(keys[state], mean, identity),
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
    """Totals over the customers in each state, ``(state,)``.

    Attributes
    ----------
    customers
        Number of customers.
    spenders
        Number of customers with a known mean spend per repeat purchase, which may be 0.
    spend
        Sum of these mean spends.
    """

    customers: Floats
    spenders: Floats
    spend: Floats

    @classmethod
    def of_customers(cls, repeat_spend: Floats) -> Self:
        """Return the totals of single customers; NaN marks an unknown mean spend."""
        known = ~np.isnan(repeat_spend)
        return cls(np.ones(len(known)), known.astype(float), np.where(known, repeat_spend, 0.0))

    def gathered(self, index: Ints, n: int) -> Self:
        """Add up the totals that have the same index, from 0 to n − 1."""
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
    """Sum expected value, and expected value if all were alive, over a group's customers.

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
def _sample_values(
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
    """Fill in a sampled value of each customer's purchases within the horizon, for each draw."""
    for c in range(len(state)):
        s = state[c]
        for d in range(len(shape)):
            uniform, stream = next_uniform(stream_of(keys[c], d))
            value = 0.0
            if uniform < buys[s, d]:
                # Below P(alive) the same number is uniform, so it also gives the time of the first
                # purchase.
                left, k, staying = 1.0 - uniform / is_alive[s, d], shape[d], b[d]
                then = alpha[d] + T[s]
                elapsed = then * math.expm1(-math.log(left) / k)
                rate, stream = next_gamma(p[d] * x[c] + q[d], stream)
                while elapsed <= horizon:
                    amount, stream = next_gamma(p[d], stream)
                    value += amount * math.exp(-force * elapsed)
                    uniform, stream = next_uniform(stream)
                    if uniform * (a[d] + staying) < a[d]:
                        break
                    k, staying = k + 1.0, staying + 1.0
                    uniform, stream = next_uniform(stream)
                    elapsed += (then + elapsed) * math.expm1(-math.log(uniform) / k)
                value *= margin * (v[d] + spent[c]) / rate
            values[c, d] = value

"""Answers as mixtures over segments, and over those who start afresh, within each draw.

A customer belongs to segment k with weight w_k, and within a stretch of time starts afresh with a
small probability ε (0 in a model without reactivation). With C_k a quantity conditional on being
alive, and F_k the same of somebody who starts afresh in segment k,

    answer = Σ_k w_k [ (1−ε) P_k(alive) C_k + ε F_k ]

(without P_k(alive) where it is asked what would be if all were alive)
draw by draw; only then are means and quantiles taken. C_k does not depend on recency, so states
with the same frequency and T share it. P_k(alive) is computed once for a state, whatever the number
of quantities that are asked for and of cases with this state.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bayes_clv.models.bgnbd import Dropout, Parameters
from bayes_clv.models.gammagamma import SpendParameters, spend_line
from bayes_clv.models.reactivation import Reactivation
from bayes_clv.numerics.chebyshev import OfTime
from bayes_clv.numerics.jit import compiled
from bayes_clv.numerics.special import exp_non_positive, log1p, log_positive
from bayes_clv.posterior.discounting import Discounting, ValueTerms, undiscounted
from bayes_clv.posterior.futures import (
    NOW,
    IfAlive,
    expected_purchases_if_alive,
    future_afresh,
    future_of,
    purchase_if_alive,
)
from bayes_clv.posterior.state_groups import Floats, Group, Ints

MOST = 700.0  # ln odds of having left; beyond this, P(alive) is set to 0


@dataclass(frozen=True, slots=True)
class ModelDraws:
    """The draws of a model, as its answers need them.

    Attributes
    ----------
    parameters
        ``(segment + 1, draw)``; the population is last, so that its code −1 selects it.
    dropout
        When customers may leave.
    reactivation
        ``(draw,)``; None in a model without it.
    spend
        ``(segment + 1, draw)``; None where answers need no money.
    """

    parameters: Parameters
    dropout: Dropout
    reactivation: Reactivation | None = None
    spend: SpendParameters | None = None

    @property
    def n_draws(self) -> int:
        """Number of draws."""
        return int(self.parameters.r.shape[-1])

    @property
    def n_segments(self) -> int:
        """Number of segments, and one for the population."""
        return len(self.parameters.r)

    def thinned(self, at_most: int) -> "ModelDraws":
        """Return the same with every n-th draw, so that about ``at_most`` are left."""
        every = (slice(None), slice(None, None, max(1, self.n_draws // at_most)))
        some, spend = self.reactivation, self.spend
        return ModelDraws(
            self.parameters[every],
            self.dropout,
            None if some is None else some[every[1]],
            None if spend is None else spend[every],
        )


@dataclass(frozen=True, slots=True)
class Quantity:
    """What is asked of each customer.

    Attributes
    ----------
    if_alive
        Conditional on being alive; None stands for 1.
    margin
        Multiplies the quantity by this and by the expected spend per purchase; None for purchases.
    given_alive
        Whether it is asked of customers as if they were alive.
    """

    if_alive: IfAlive | None = None
    margin: float | None = None
    given_alive: bool = False


def probability_alive() -> Quantity:
    """P(alive): see :func:`bayes_clv.models.bgnbd.probability_alive`."""
    return Quantity()


def probability_of_purchase(horizon: float) -> Quantity:
    """P(at least one purchase within the horizon)."""
    return Quantity(purchase_if_alive(horizon))


def expected_purchases(horizon: float, discounting: Discounting = undiscounted) -> Quantity:
    """Expected number of purchases within the horizon; relative error 1e-12."""
    return Quantity(expected_purchases_if_alive(horizon, discounting))


def expected_spend() -> Quantity:
    """Expected spend per purchase: :func:`bayes_clv.models.gammagamma.expected_spend`."""
    return Quantity(margin=1.0, given_alive=True)


def expected_value(terms: ValueTerms) -> Quantity:
    """Expected value of the purchases within the horizon."""
    if_alive = expected_purchases_if_alive(terms.horizon, terms.discounting())
    return Quantity(if_alive, terms.margin)


class Evaluator:
    """Evaluates quantities for the cases of one group, block by block.

    Parameters
    ----------
    model
        The draws.
    group
        Cases of one frequency.
    quantities
        What to evaluate; at least one.
    """

    def __init__(self, model: ModelDraws, group: Group, quantities: Sequence[Quantity]) -> None:
        self._model = model
        self._quantities = quantities
        self._segments = {
            code: _InSegment.of(model, code, group.frequency, group.times(code), quantities)
            for code in group.memberships.present
        }

    def __call__(self, block: Group) -> Floats:
        """Return ``(quantity, case, draw)``."""
        known = ~np.isnan(block.spend)
        values = np.zeros((len(self._quantities), len(block), self._model.n_draws))
        rows = np.arange(len(block))
        for code in block.memberships.present:
            weight = block.memberships.of(code)
            shares = np.stack([weight, weight * known, weight * np.where(known, block.spend, 0.0)])
            self.add(block, code, shares, rows, values)
        return values

    def add(self, block: Group, code: int, shares: Floats, rows: Ints, values: Floats) -> None:
        """Add what the cases of a block contribute by way of one segment.

        Parameters
        ----------
        shares
            ``(3, case)`` the weight of each case; the part of it whose mean spend is known; and
            that part times the mean spend.
        rows
            ``(case,)`` the row of ``values`` to which each case is added.
        values
            ``(quantity, row, draw)``
        """
        some = np.flatnonzero(shares[0] != 0)
        if not len(some):
            return
        segment = self._segments[code]
        state = block.recency[some], block.T[some]
        T, index = distinct_times(state[1])
        factors = np.stack([of_time(T) for of_time in segment.of_time])
        shares, rows = np.ascontiguousarray(shares[:, some]), rows[some]
        _add(*state, segment.shape, segment.alpha, segment.log_odds, index, factors, shares, rows,
             segment.spared, segment.afresh, segment.kinds, segment.lines, values)  # fmt: skip


# How a quantity is made of its factor C, of P(alive) and of a price.
_PLAIN, _PRICED, _GIVEN, _GIVEN_PRICED = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class _InSegment:
    """What all cases of a group share in one segment.

    Attributes
    ----------
    shape, alpha, log_odds
        ``(draw,)`` r + x, α, and the ln odds of having left at the last purchase, at once.
    of_time
        Each quantity's C as a function of T.
    spared
        ``(draw,)`` 1 − ε.
    afresh
        ``(quantity, draw)`` each quantity's ε F.
    kinds
        ``(quantity,)``
    lines
        ``(quantity, 3, draw)`` a price is A + Bm for a known mean spend m, else C.
    """

    shape: Floats
    alpha: Floats
    log_odds: Floats
    of_time: tuple[OfTime, ...]
    spared: Floats
    afresh: Floats
    kinds: Ints
    lines: Floats

    @classmethod
    def of(
        cls,
        model: ModelDraws,
        code: int,
        frequency: float,
        T: Floats,
        quantities: Sequence[Quantity],
    ) -> "_InSegment":
        parameters = model.parameters[code]
        future = future_of(parameters, frequency, model.dropout)
        afresh, spared = np.zeros((len(quantities), model.n_draws)), np.ones_like(future.shape)
        if model.reactivation is not None:
            chance = model.reactivation.probability
            again = future_afresh(parameters, model.reactivation)
            F = [of_time(NOW)[0] for of_time in _of_times(quantities, again, NOW)]
            afresh, spared = chance * np.stack(F), 1.0 - chance
        lines = np.zeros((len(quantities), 3, len(spared)))
        for line, quantity in zip(lines, quantities, strict=True):
            if quantity.margin is not None:
                line[:] = quantity.margin * _price(model, code, frequency)
        return cls(
            future.shape,
            future.alpha,
            log_leaving_odds(parameters, frequency, model.dropout),
            _of_times(quantities, future, T),
            spared,
            afresh,
            np.array([_kind(quantity) for quantity in quantities]),
            lines,
        )


def _kind(quantity: Quantity) -> int:
    return 2 * quantity.given_alive + (quantity.margin is not None)


def _price(model: ModelDraws, code: int, frequency: float) -> Floats:
    """A and B of a known mean spend, and the expected spend where it is unknown, ``(3, draw)``."""
    assert model.spend is not None  # the caller asks for money only of a model with spend
    spend = model.spend[code]
    return np.stack([*spend_line(spend, frequency), spend_line(spend, 0.0)[0]])


def _of_times(
    quantities: Sequence[Quantity], future: tuple[Floats, ...], T: Floats
) -> tuple[OfTime, ...]:
    """Each quantity's C as a function of T; those with the same one share it."""
    found: dict[IfAlive | None, OfTime] = {None: _ones(len(future[0]))}
    for quantity in quantities:
        if quantity.if_alive not in found and quantity.if_alive is not None:
            found[quantity.if_alive] = quantity.if_alive(future, T)  # type: ignore[arg-type]
    return tuple(found[quantity.if_alive] for quantity in quantities)


def _ones(n_draws: int) -> OfTime:
    return lambda T: np.ones((len(T), n_draws))


def log_leaving_odds(parameters: Parameters, frequency: float, dropout: Dropout) -> Floats:
    """``bgnbd.log_leaving_odds`` at a frequency, ``(draw,)``."""
    log_odds = np.empty_like(parameters.a)
    _leaving_odds(parameters.a, parameters.b, float(dropout.chances(frequency)), log_odds)
    return log_odds


def distinct_times(T: Floats) -> tuple[Floats, Ints]:
    """Return the distinct values of sorted times, and each time's index into them."""
    new = np.diff(T, prepend=-1.0) != 0
    return T[new], np.cumsum(new) - 1


@compiled
def _leaving_odds(a: Floats, b: Floats, n: float, log_odds: Floats) -> None:
    for d in range(len(a)):
        log_odds[d] = log_positive(a[d] / (b[d] + (n - 1.0))) if n > 0 else -np.inf


@compiled
def not_left(u: float) -> float:
    """P(alive) from the ln odds of having left."""
    size = abs(u)
    small = exp_non_positive(-size) if size < MOST else 0.0
    return (small if u > 0 else 1.0) / (1.0 + small)


@compiled
def _alive(
    shape: Floats, alpha: Floats, log_odds: Floats, t_x: float, T: float, alive: Floats
) -> None:
    """Fill in P(alive) in each draw."""
    if log_odds[0] == -np.inf:
        alive[:] = 1.0
        return
    idle = T - t_x
    for d in range(len(shape)):
        alive[d] = not_left(log_odds[d] + shape[d] * log1p(idle / (alpha[d] + t_x)))


@compiled
def _add(
    recency: Floats,
    T: Floats,
    shape: Floats,
    alpha: Floats,
    log_odds: Floats,
    index: Ints,
    factors: Floats,
    shares: Floats,
    rows: Ints,
    spared: Floats,
    afresh: Floats,
    kinds: Ints,
    lines: Floats,
    values: Floats,
) -> None:
    """Add the share of each case to its row; ``index`` is that of its T in ``factors``."""
    n_draws = len(shape)
    alive, times = np.empty(n_draws), np.empty(n_draws)
    for c in range(len(T)):
        i, row = index[c], rows[c]
        if c == 0 or T[c] != T[c - 1] or recency[c] != recency[c - 1]:
            _alive(shape, alpha, log_odds, recency[c], T[c], alive)
            for d in range(n_draws):
                alive[d] *= spared[d]
        for q in range(len(kinds)):
            weight, known, spend = shares[0, c], shares[1, c], shares[2, c]
            kind, factor, into, fresh = kinds[q], factors[q, i], values[q, row], afresh[q]
            if kind == _PLAIN:
                for d in range(n_draws):
                    into[d] += weight * (alive[d] * factor[d] + fresh[d])
            elif kind == _GIVEN:
                for d in range(n_draws):
                    into[d] += weight * (spared[d] * factor[d] + fresh[d])
            else:
                base, slope, otherwise = lines[q, 0], lines[q, 1], lines[q, 2]
                rest = weight - known
                for d in range(n_draws):
                    times[d] = known * base[d] + spend * slope[d] + rest * otherwise[d]
                if kind == _PRICED:
                    for d in range(n_draws):
                        into[d] += (alive[d] * factor[d] + fresh[d]) * times[d]
                else:
                    for d in range(n_draws):
                        into[d] += (spared[d] * factor[d] + fresh[d]) * times[d]

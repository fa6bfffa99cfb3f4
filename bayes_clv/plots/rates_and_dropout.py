r"""Heterogeneity of customers: purchase rates λ and probabilities of leaving p, by segment.

The densities are over ln λ and logit p, where they have one peak and vanish on both sides for every
shape: λ f(λ) and p (1−p) f(p). For a customer with the history (x, t_x, T) and n chances to leave
(see :mod:`bayes_clv.models.bgnbd`),

    λ ~ P(alive) Gamma(r+x, α+T)   + (1 − P(alive)) Gamma(r+x, α+t_x)
    p ~ P(alive) Beta(a, b+n)      + (1 − P(alive)) Beta(a+1, b+n−1)

and for a customer without a history (x = t_x = T = 0) they are Gamma(r, α) and Beta(a, b).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray
from scipy.special import betaln, expit, gammaln, logit

from bayes_clv import arguments
from bayes_clv.data.described import Described, listed
from bayes_clv.data.given_customers import as_customers
from bayes_clv.data.states import States
from bayes_clv.models.bgnbd import Dropout, Parameters, probability_alive
from bayes_clv.plots.style import (
    BAND,
    BLUE,
    TEXT,
    VERMILION,
    ManyAxes,
    dress,
    given_axes,
    label,
    new_axes,
)
from bayes_clv.posterior.posterior import Posterior

type Floats = NDArray[np.float64]

DRAWS, CUSTOMERS = 100, 200  # used at most, per segment
_POINTS = 120
_YEAR = 365.0
_RATES = (0.02, 500.0)  # purchases a year
_FURTHEST = 6.2  # logit of the probabilities at the edges: 0.2% and 99.8%


@dataclass(frozen=True, repr=False)
class Heterogeneity(Described):
    """Densities of ln λ and logit p.

    Attributes
    ----------
    names
        Names of the segments, and of the population where it is included.
    rate, chance
        ``(point,)`` λ in purchases a year, and p.
    of_rate, of_chance
        ``(segment, 3, point)`` posterior mean of the densities, lower and upper end of their
        intervals.
    level
        Mass of the intervals.
    """

    names: tuple[str, ...]
    rate: Floats
    chance: Floats
    of_rate: Floats
    of_chance: Floats
    level: float

    def _facts(self) -> Mapping[str, object]:
        return {"segments": listed(self.names), "level": self.level}


def heterogeneity(
    posterior: Posterior,
    customers: pd.DataFrame | None = None,
    *,
    level: float = 0.9,
    seed: int = 0,
) -> Heterogeneity:
    """Compute the distributions of λ and p over customers.

    Parameters
    ----------
    posterior
        Posterior, of which at most 100 draws are used.
    customers
        If given: λ and p of these customers given their histories, by segment (at most 200
        customers of a segment, drawn at random). By default: λ and p of customers without a
        history, by the parameters of each segment and of the population.
    level
        Mass of the densities' intervals.
    seed
        Seed of the random sample of customers.
    """
    arguments.instance("posterior", posterior, Posterior)
    seed = arguments.seed(seed)
    if customers is not None:
        customers = as_customers(customers)
    rng = np.random.default_rng(seed)
    n = posterior.parameters.r.shape[1]
    draws = np.linspace(0, n - 1, min(DRAWS, n)).astype(int)
    if customers is None:
        groups = {code: np.zeros((3, 1)) for code in range(len(posterior.answerable))}
    else:
        states = States.from_frame(customers)
        codes = posterior.rule.assign(states)
        groups = {}
        for code in np.unique(codes):
            here = rng.permutation(np.flatnonzero(codes == code))[:CUSTOMERS]
            groups[int(code)] = np.stack(
                [states.frequency[here], states.recency[here], states.T[here]]
            )
    arguments.require(bool(groups), "customers must hold at least one row")
    rate, chance = (
        np.geomspace(*_RATES, _POINTS),
        expit(np.linspace(-_FURTHEST, _FURTHEST, _POINTS)),
    )
    tails = arguments.tails(level)
    summaries = []
    for code, (x, t_x, T) in groups.items():
        parameters = posterior.parameters[code, draws]
        densities = _densities(parameters, x, t_x, T, posterior.dropout, rate / _YEAR, chance)
        summaries.append(
            [np.stack([it.mean(axis=0), *np.quantile(it, tails, axis=0)]) for it in densities]
        )
    names = posterior.answerable
    of_rate, of_chance = (np.stack(it) for it in zip(*summaries, strict=True))
    return Heterogeneity(
        tuple(names[code] for code in groups), rate, chance, of_rate, of_chance, level
    )


def plot_heterogeneity(
    densities: Heterogeneity, axes: ManyAxes | None = None
) -> NDArray[np.object_]:
    """Draw the distributions of purchase rates and probabilities of leaving, one row per segment.

    All curves have the same area on the axes as drawn: rates on a log scale, probabilities on a
    logit scale. The shade around a curve is its interval.

    Parameters
    ----------
    densities
        From ``heterogeneity``.
    axes
        Two axes to draw on; by default those of a new figure.

    Returns
    -------
    The two axes, ``(2,)``: purchase rate while alive, probability of leaving after a purchase.

    Examples
    --------
    >>> from bayes_clv import HierarchicalBetaGeo, load_cdnow
    >>> model = HierarchicalBetaGeo(segmenter=None)
    >>> posterior = model.fit(load_cdnow(sample=True), draws=50, tune=50)
    >>> left, right = plot_heterogeneity(heterogeneity(posterior))
    >>> [label.get_text() for label in left.get_yticklabels()]
    ['all customers', 'population']
    """
    arguments.instance("densities", densities, Heterogeneity)
    n = len(densities.names)
    pair = new_axes(1, 2, height=1.6 + 0.75 * n) if axes is None else given_axes(axes, 2)
    _ridges(pair[0], densities.rate, densities.of_rate, BLUE)
    pair[0].set_xscale("log")
    pair[0].set_xticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
    pair[0].minorticks_off()
    label(pair[0], "purchases a year (log scale)")
    dress(pair[0], "Purchase rate while alive, λ", grid="x")
    _ridges(pair[1], logit(densities.chance), densities.of_chance, VERMILION)
    marks = [0.01, 0.1, 0.5, 0.9, 0.99]
    pair[1].set_xticks(logit(marks), [f"{mark:.0%}" for mark in marks])
    label(pair[1], "probability (logit scale)")
    dress(pair[1], "Probability of leaving after a purchase, p", grid="x")
    pair[0].set_yticks(range(n), list(densities.names), fontsize=TEXT)
    pair[1].set_yticks(range(n), [""] * n)
    return pair


def _ridges(ax: Axes, x: Floats, curves: Floats, colour: str) -> None:
    """Draw curves ``(row, 3, point)``, each on a line of its own."""
    for row, (mean, lower, upper) in enumerate(0.9 * curves / curves.max()):
        ax.fill_between(x, row, row - mean, color=colour, alpha=BAND, linewidth=0, zorder=2)
        ax.fill_between(
            x, row - lower, row - upper, color=colour, alpha=0.45, linewidth=0, zorder=3
        )
        ax.plot(x, row - mean, color=colour, linewidth=1.5, zorder=4)
    ax.set_ylim(len(curves) - 0.8, -1)
    ax.set_xlim(x[0], x[-1])


def _densities(
    parameters: Parameters,
    x: Floats,
    t_x: Floats,
    T: Floats,
    dropout: Dropout,
    rate: Floats,
    chance: Floats,
) -> tuple[Floats, Floats]:
    """Densities of ln λ and logit p, ``(draw, point)``, averaged over customers."""
    n, points = dropout.chances(x), len(rate)
    of_rate, of_chance = np.empty((2, len(parameters.r), points))
    for d in range(len(parameters.r)):
        r, alpha, a, b = (float(getattr(parameters, name)[d]) for name in ("r", "alpha", "a", "b"))
        alive = probability_alive(parameters[d], x, t_x, T, dropout)[:, None]
        shape = (r + x)[:, None]
        of_rate[d] = np.mean(
            alive * _log_gamma_density(rate, shape, (alpha + T)[:, None])
            + (1 - alive) * _log_gamma_density(rate, shape, (alpha + t_x)[:, None]),
            axis=0,
        )
        stayed = (b + n)[:, None]
        # A customer without a chance to leave is alive: the other term has weight 0.
        left = np.maximum(stayed - 1, 1e-9)
        of_chance[d] = np.mean(
            alive * _logit_beta_density(chance, a, stayed)
            + (1 - alive) * _logit_beta_density(chance, a + 1, left),
            axis=0,
        )
    return of_rate, of_chance


def _log_gamma_density(rate: Floats, shape: Floats, per: Floats) -> Floats:
    """Density of ln λ, λ ~ Gamma(shape, rate per)."""
    scaled = per * rate
    density: Floats = np.exp(shape * np.log(scaled) - scaled - gammaln(shape))
    return density


def _logit_beta_density(chance: Floats, a: float, b: Floats) -> Floats:
    """Density of logit p, p ~ Beta(a, b)."""
    density: Floats = np.exp(a * np.log(chance) + b * np.log1p(-chance) - betaln(a, b))
    return density

r"""Test of uniform ranks, with a simultaneous band for their cumulative distribution.

N independent ranks among L draws take values 0 … L. If all values are equally likely, the number of
ranks up to j is C_j ~ Binomial(N, z_j) with z_j = (j+1)/(L+1), and

    γ = 2 min_j min{ P(C_j ≤ c_j), P(C_j ≥ c_j) }

measures how extreme the most extreme of the observed c_j is in its own distribution. The c_j are
not independent, so the distribution of γ is simulated. Let γ* be its quantile of order 1 − level.
Then with probability `level` all c_j lie between the lower and upper γ*/2 quantiles of their
binomials. This is the simultaneous band; γ < γ* if and only if some c_j lies outside it.

Source: Säilynoja, Bürkner & Vehtari (2022), Graphical test for discrete uniformity and its
applications in goodness-of-fit evaluation and multiple sample comparison, Statistics and Computing
32, 32, section 2. ArviZ has such bands for continuous values; this module's are for ranks, and have
a p-value.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom

type Floats = NDArray[np.float64]
type Ints = NDArray[np.int64]

_SIMULATIONS = 20_000
_AT_A_TIME = 1_000


@dataclass(frozen=True, eq=False)
class Uniformity:
    """The test that N ranks among L draws are uniform.

    Attributes
    ----------
    n_ranks, n_draws
        N and L.
    tail
        ``(L, N + 1)`` min{P(C_j ≤ c), P(C_j ≥ c)} by j and c.
    simulated
        γ of uniform ranks, ascending.
    """

    n_ranks: int
    n_draws: int
    tail: Floats
    simulated: Floats

    @classmethod
    def of(cls, n_ranks: int, n_draws: int, *, seed: int = 0) -> Self:
        """Simulate γ for N ranks among L draws."""
        chance = np.arange(1, n_draws + 1)[:, None] / (n_draws + 1)
        up_to = binom.cdf(np.arange(n_ranks + 1), n_ranks, chance)
        # Mirrored, not computed, so that ranks and their mirror images tie to the last digit.
        from_on = up_to[::-1, ::-1]
        tail = np.minimum(up_to, from_on)
        rng = np.random.default_rng(seed)
        shares = np.full(n_draws + 1, 1 / (n_draws + 1))
        simulated = [
            _gamma(tail, rng.multinomial(n_ranks, shares, _AT_A_TIME).cumsum(axis=1)[:, :-1])
            for _ in range(0, _SIMULATIONS, _AT_A_TIME)
        ]
        return cls(n_ranks, n_draws, tail, np.sort(np.concatenate(simulated)))

    def counts(self, ranks: ArrayLike) -> Ints:
        """Return C_j ``(L,)``, the number of ranks up to j, for j = 0 … L−1 (C_L is always N)."""
        return np.bincount(np.asarray(ranks), minlength=self.n_draws + 1).cumsum()[:-1]

    def p_value(self, ranks: ArrayLike) -> float:
        """Return the probability that uniform ranks ``(N,)`` are at least as extreme as these."""
        gamma = _gamma(self.tail, self.counts(ranks))
        as_extreme = np.searchsorted(self.simulated, gamma, side="right")
        return float((1 + as_extreme) / (1 + len(self.simulated)))

    def band(self, level: float) -> tuple[Ints, Ints]:
        """Return the smallest and the largest C_j ``(L,)`` in the band of probability `level`."""
        gamma = self.simulated[int((1 - level) * (len(self.simulated) - 1))]
        within = 2 * self.tail >= gamma
        lower = np.argmax(within, axis=1)
        upper = self.n_ranks - np.argmax(within[:, ::-1], axis=1)
        return lower, upper


def _gamma(tail: Floats, counts: Ints) -> Floats:
    """Return γ for counts ``(…, L)``."""
    least: Floats = 2 * tail[np.arange(len(tail)), counts].min(axis=-1)
    return least

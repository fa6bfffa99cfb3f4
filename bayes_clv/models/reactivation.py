r"""Customers who come back: a stretch between two landmarks may start afresh.

No history says that a customer cannot come back. So with a probability ε, whatever came before, a
stretch begins with a customer who is alive for certain, buys at a rate λ ~ Gamma(r_f, α_f), and has
not had a chance to leave yet, so that p ~ Beta(a, b). With the history h = (x, t_x, T) at the
stretch's beginning, and y purchases within its Δ days, the last t_y days after its beginning
(t_y = 0 if y = 0), h' = (x+y, y>0 ? T+t_y : t_x, T+Δ) at its end, and

    L        = (1−ε) exp[ll(h') − ll(h)] + ε exp[ll_BG(y, t_y, Δ | r_f, α_f, a, b)]
    P(alive) = (1−ε) P(alive | h) + ε

and so for every other answer about the time after h: a mixture of what the customer's own history
says, with weight 1−ε, and of a fresh start, with weight ε. ll, and the first part of each answer,
are those of :mod:`bayes_clv.models.bgnbd` under the model's rule of leaving; a fresh start is a
BG/NBD of an age of 0 under both rules, for there was no purchase yet after which to leave.

All arguments are arrays that broadcast against each other; durations and both α share one unit
(days in this package's public functions). Nothing is validated here.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayes_clv.models import bgnbd
from bayes_clv.models.bgnbd import Dropout, Floats, Parameters


@dataclass(frozen=True, slots=True, repr=False)
class Reactivation:
    """How often stretches start afresh, and how the customer buys then: arrays of one shape.

    Attributes
    ----------
    probability
        ε, of a stretch.
    r, alpha
        r_f and α_f (in the unit of the durations): λ ~ Gamma(r_f, α_f) after a fresh start.
    """

    probability: Floats
    r: Floats
    alpha: Floats

    def __getitem__(self, index: object) -> "Reactivation":
        """Index all three arrays alike."""
        return Reactivation(*(getattr(self, name)[index] for name in ("probability", "r", "alpha")))

    def __repr__(self) -> str:
        return f"Reactivation(probability, r, alpha: arrays of shape {np.shape(self.probability)})"

    def afresh(self, parameters: Parameters) -> Parameters:
        """Return the law of a stretch that starts afresh in a segment with ``parameters``."""
        r, alpha, a, b = np.broadcast_arrays(self.r, self.alpha, parameters.a, parameters.b)
        return Parameters(r, alpha, a, b)


def log_likelihood_of_stretch(
    parameters: Parameters,
    reactivation: Reactivation,
    frequency: ArrayLike,
    recency: ArrayLike,
    T: ArrayLike,
    purchases: ArrayLike,
    last: ArrayLike,
    days: ArrayLike,
    dropout: Dropout = Dropout.AFTER_REPEAT,
) -> Floats:
    """Log-likelihood of what customers did in a stretch, given their histories before.

    Parameters
    ----------
    frequency, recency, T
        x, t_x and T > 0 at the stretch's beginning.
    purchases, last
        y purchases in the stretch, the last of them so many days after its beginning; 0 if none.
    days
        Δ > 0, the stretch's length.
    """
    x, t_x, T, y, t_y, t = (
        np.asarray(value, dtype=float) for value in (frequency, recency, T, purchases, last, days)
    )
    after = (x + y, np.where(y > 0, T + t_y, t_x), T + t)
    as_before = bgnbd.log_likelihood(parameters, *after, dropout)
    as_before = as_before - bgnbd.log_likelihood(parameters, x, t_x, T, dropout)
    afresh = bgnbd.log_likelihood(reactivation.afresh(parameters), y, t_y, t)
    chance = reactivation.probability
    return cast(Floats, np.logaddexp(np.log1p(-chance) + as_before, np.log(chance) + afresh))


def probability_alive(
    parameters: Parameters,
    reactivation: Reactivation,
    frequency: ArrayLike,
    recency: ArrayLike,
    T: ArrayLike,
    dropout: Dropout = Dropout.AFTER_REPEAT,
) -> Floats:
    """Probability that the customer is alive at the beginning of the time after T."""
    alive = bgnbd.probability_alive(parameters, frequency, recency, T, dropout)
    return _mixed(reactivation, alive, np.ones(()))


def probability_of_purchase(
    parameters: Parameters,
    reactivation: Reactivation,
    frequency: ArrayLike,
    recency: ArrayLike,
    T: ArrayLike,
    horizon: ArrayLike,
    dropout: Dropout = Dropout.AFTER_REPEAT,
) -> Floats:
    """Probability of at least one purchase in (T, T + horizon]."""
    return _mixed(
        reactivation,
        bgnbd.probability_of_purchase(parameters, frequency, recency, T, horizon, dropout),
        bgnbd.probability_of_purchase_if_alive(reactivation.afresh(parameters), 0, 0, horizon),
    )


def expected_purchases(
    parameters: Parameters,
    reactivation: Reactivation,
    frequency: ArrayLike,
    recency: ArrayLike,
    T: ArrayLike,
    horizon: ArrayLike,
    dropout: Dropout = Dropout.AFTER_REPEAT,
) -> Floats:
    """Expected number of purchases in (T, T + horizon]."""
    return _mixed(
        reactivation,
        bgnbd.expected_purchases(parameters, frequency, recency, T, horizon, dropout),
        bgnbd.expected_purchases_if_alive(reactivation.afresh(parameters), 0, 0, horizon),
    )


def sample_purchases(
    rng: np.random.Generator,
    parameters: Parameters,
    reactivation: Reactivation,
    frequency: ArrayLike,
    recency: ArrayLike,
    T: ArrayLike,
    horizon: ArrayLike,
    dropout: Dropout = Dropout.AFTER_REPEAT,
) -> NDArray[np.int64]:
    """Draw the number of purchases in (T, T + horizon], one outcome for each element."""
    as_before = bgnbd.sample_purchases(rng, parameters, frequency, recency, T, horizon, dropout)
    nothing = np.zeros(as_before.shape)
    afresh = bgnbd.sample_purchases(
        rng, reactivation.afresh(parameters), nothing, nothing, nothing, horizon
    )
    starts = rng.random(as_before.shape) < reactivation.probability
    return np.where(starts, afresh, as_before)


def _mixed(reactivation: Reactivation, as_before: Floats, afresh: Floats) -> Floats:
    chance = reactivation.probability
    return (1 - chance) * as_before + chance * afresh

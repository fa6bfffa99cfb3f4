r"""BG/NBD and MBG/NBD lives, in continuous time.

Each customer draws a purchase rate λ ~ Gamma(shape r, rate α) and a chance of leaving
p ~ Beta(a, b). While alive they buy as a Poisson process at rate λ, and after a purchase they leave
with probability p: after repeat purchases only (BG/NBD), or after the first one too (MBG/NBD).

    gap to the next purchase ~ Exponential(λ),    leaves after it ~ Bernoulli(p)

Source: Fader, Hardie & Lee (2005), Marketing Science 24(2), 275–284.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayes_clv.data.states import States
from bayes_clv.models.bgnbd import Dropout, Floats, Parameters

type Ids = NDArray[np.int64]
type Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Purchases:
    """Purchases, ordered by customer and time.

    Attributes
    ----------
    customer
        ``(purchase,)`` the customer's position, from 0.
    time
        ``(purchase,)`` days since the customer's own beginning.
    """

    customer: Ids
    time: Floats


@dataclass(frozen=True, slots=True)
class Lives:
    """What is true of customers, each observed for T from the first purchase, in continuous time.

    Attributes
    ----------
    rate, leaving
        ``(customer,)`` λ, purchases a day while alive, and p, the chance of leaving.
    T
        ``(customer,)`` days observed.
    alive
        ``(customer,)`` whether the customer is still alive at T.
    repeats
        The repeat purchases.
    """

    rate: Floats
    leaving: Floats
    T: Floats
    alive: Flags
    repeats: Purchases

    @property
    def frequency(self) -> Ids:
        """``(customer,)`` repeat purchases, all of them: also several on a day."""
        return np.bincount(self.repeats.customer, minlength=len(self.T))

    @property
    def recency(self) -> Floats:
        """``(customer,)`` days from the first purchase to the last."""
        last = np.zeros(len(self.T))
        last[self.repeats.customer] = self.repeats.time  # in order: the last one stays
        return last

    @property
    def states(self) -> States:
        """The states (x, t_x, T) in continuous time; nothing was spent."""
        unknown = np.full(len(self.T), np.nan)
        return States(self.frequency.astype(float), self.recency, self.T, unknown)

    def until(self, T: Floats, rng: np.random.Generator) -> "Lives":
        """Live on to T ``(customer,)``, not less than before."""
        later, alive = live_on(rng, self.rate, self.leaving, self.alive, T - self.T)
        customer = np.concatenate([self.repeats.customer, later.customer])
        time = np.concatenate([self.repeats.time, self.T[later.customer] + later.time])
        order = np.argsort(customer, kind="stable")
        return replace(self, T=T, alive=alive, repeats=Purchases(customer[order], time[order]))


def live_on(
    rng: np.random.Generator, rate: Floats, leaving: Floats, alive: Flags, length: Floats
) -> tuple[Purchases, Flags]:
    """Live for a time: customers buy, and leave after a purchase.

    Parameters
    ----------
    rate, leaving, alive
        ``(customer,)`` λ, p, and who is alive at the beginning.
    length
        ``(customer,)`` how long, days.

    Returns
    -------
    The purchases, in days from the beginning, and who is alive at the end.
    """
    alive = alive.copy()
    time = np.zeros(len(rate))
    customers, times = [], []
    buying = np.flatnonzero(alive & (rate > 0))
    while len(buying):  # each round, everybody who is still here makes one purchase more
        time[buying] += rng.standard_exponential(len(buying)) / rate[buying]
        buying = buying[time[buying] <= length[buying]]
        customers.append(buying)
        times.append(time[buying])
        leaves = rng.random(len(buying)) < leaving[buying]
        alive[buying[leaves]] = False
        buying = buying[~leaves]
    customer = np.concatenate(customers) if customers else np.empty(0, dtype=np.int64)
    order = np.argsort(customer, kind="stable")  # rounds are in order of time already
    return Purchases(customer[order], np.concatenate([*times, np.empty(0)])[order]), alive


def simulate_lives(
    parameters: Parameters,
    T: ArrayLike,
    *,
    dropout: Dropout = Dropout.AFTER_REPEAT,
    rng: np.random.Generator,
) -> Lives:
    """Draw customers from the population and let each live for T from the first purchase.

    Parameters
    ----------
    parameters
        r, α (days), a, b: scalars, or one for each customer.
    T
        ``(customer,)`` days.
    dropout
        When customers may leave: after a repeat purchase (BG/NBD) or after any (MBG/NBD).
    """
    T = np.asarray(T, dtype=float)
    rate = rng.gamma(parameters.r, size=T.shape) / parameters.alpha
    leaving = rng.beta(parameters.a, parameters.b, size=T.shape)
    alive = np.ones(T.shape, dtype=bool)
    if Dropout(dropout) is Dropout.AFTER_ANY:
        alive = rng.random(T.shape) >= leaving
    repeats, alive = live_on(rng, rate, leaving, alive, T)
    return Lives(rate, leaving, T, alive, repeats)

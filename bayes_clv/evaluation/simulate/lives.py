r"""Simulation of the BG/NBD and MBG/NBD in continuous time.

Each customer has a purchase rate λ ~ Gamma(shape r, rate α) and a dropout probability
p ~ Beta(a, b). While alive, they buy as a Poisson process with rate λ. After a purchase they leave
with probability p: after repeat purchases only (BG/NBD), or after the first purchase too (MBG/NBD).

    gap to the next purchase ~ Exponential(λ),    leaves after it ~ Bernoulli(p)

Source: Fader, Hardie & Lee (2005), Marketing Science 24(2), 275–284.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayes_clv import arguments
from bayes_clv.data.described import Described
from bayes_clv.data.states import States
from bayes_clv.models.bgnbd import Dropout, Floats, Parameters

type Ids = NDArray[np.int64]
type Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, repr=False)
class Purchases(Described):
    """Purchases, ordered by customer and time.

    Attributes
    ----------
    customer
        ``(purchase,)`` the customer's position, from 0.
    time
        ``(purchase,)`` days since the start of the customer's simulation.
    """

    customer: Ids
    time: Floats

    def _facts(self) -> Mapping[str, object]:
        return {"purchases": len(self.time)}


@dataclass(frozen=True, slots=True, repr=False)
class Lives(Described):
    """Simulated customers with their true λ and p, each observed for T from the first purchase.

    Attributes
    ----------
    rate, leaving
        ``(customer,)`` λ, purchases per day while alive, and p, the dropout probability.
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
        """``(customer,)`` number of repeat purchases; several on one day all count."""
        return np.bincount(self.repeats.customer, minlength=len(self.T))

    @property
    def recency(self) -> Floats:
        """``(customer,)`` days from the first purchase to the last."""
        last = np.zeros(len(self.T))
        last[self.repeats.customer] = self.repeats.time  # ordered by time: the last one remains
        return last

    @property
    def states(self) -> States:
        """The states (x, t_x, T) in continuous time; monetary_value is NaN."""
        unknown = np.full(len(self.T), np.nan)
        return States(self.frequency.astype(float), self.recency, self.T, unknown)

    def until(self, T: Floats, rng: np.random.Generator) -> "Lives":
        """Continue the simulation to T ``(customer,)``, which must not be less than before."""
        later, alive = live_on(rng, self.rate, self.leaving, self.alive, T - self.T)
        customer = np.concatenate([self.repeats.customer, later.customer])
        time = np.concatenate([self.repeats.time, self.T[later.customer] + later.time])
        order = np.argsort(customer, kind="stable")
        return replace(self, T=T, alive=alive, repeats=Purchases(customer[order], time[order]))

    def _facts(self) -> Mapping[str, object]:
        return {
            "customers": len(self.T),
            "alive": int(self.alive.sum()),
            "repeats": len(self.repeats.time),
        }


def live_on(
    rng: np.random.Generator, rate: Floats, leaving: Floats, alive: Flags, length: Floats
) -> tuple[Purchases, Flags]:
    """Simulate purchases and departures for a time.

    Parameters
    ----------
    rate, leaving, alive
        ``(customer,)`` λ, p, and whether the customer is alive at the start.
    length
        ``(customer,)`` days to simulate.

    Returns
    -------
    The purchases, in days from the start, and ``(customer,)`` whether each is alive at the end.
    """
    arguments.instance("rng", rng, np.random.Generator, "numpy.random.default_rng(…)")
    alive = alive.copy()
    time = np.zeros(len(rate))
    customers, times = [], []
    buying = np.flatnonzero(alive & (rate > 0))
    while len(buying):  # each round adds one purchase of every customer still active
        time[buying] += rng.standard_exponential(len(buying)) / rate[buying]
        buying = buying[time[buying] <= length[buying]]
        customers.append(buying)
        times.append(time[buying])
        leaves = rng.random(len(buying)) < leaving[buying]
        alive[buying[leaves]] = False
        buying = buying[~leaves]
    customer = np.concatenate(customers) if customers else np.empty(0, dtype=np.int64)
    order = np.argsort(customer, kind="stable")  # rounds are already in time order
    return Purchases(customer[order], np.concatenate([*times, np.empty(0)])[order]), alive


def simulate_lives(
    parameters: Parameters,
    T: ArrayLike,
    *,
    dropout: Dropout = Dropout.AFTER_REPEAT,
    rng: np.random.Generator,
) -> Lives:
    """Draw customers from the population and simulate each for T from the first purchase.

    Parameters
    ----------
    parameters
        r, α (days), a, b: scalars, or one value per customer.
    T
        ``(customer,)`` days.
    dropout
        When customers may leave: after a repeat purchase (BG/NBD) or after any (MBG/NBD).
    """
    arguments.instance("parameters", parameters, Parameters)
    dropout = arguments.member("dropout", dropout, Dropout)
    arguments.instance("rng", rng, np.random.Generator, "numpy.random.default_rng(…)")
    T = np.asarray(T, dtype=float)
    rate = rng.gamma(parameters.r, size=T.shape) / parameters.alpha
    leaving = rng.beta(parameters.a, parameters.b, size=T.shape)
    alive = np.ones(T.shape, dtype=bool)
    if dropout is Dropout.AFTER_ANY:
        alive = rng.random(T.shape) >= leaving
    repeats, alive = live_on(rng, rate, leaving, alive, T)
    return Lives(rate, leaving, T, alive, repeats)

r"""Customers whose truth is known: BG/NBD and MBG/NBD lives, and the logs that they leave.

Each customer draws a purchase rate λ ~ Gamma(shape r, rate α) and a chance of leaving
p ~ Beta(a, b). While alive he buys as a Poisson process at rate λ, and after a purchase he leaves
with probability p: after repeat purchases only (BG/NBD), or after the first one too (MBG/NBD).

    gap to the next purchase ~ Exponential(λ),    leaves after it ~ Bernoulli(p)

There are two grains of time. The model's is continuous: :func:`simulate_lives` gives states
(x, t_x, T) whose likelihood is exactly that of :mod:`bayes_clv.bgnbd`. Logs are daily:
:func:`simulate_transactions` puts the same lives on a calendar. There each customer first buys at a
uniform time of his first day and is followed for T days exactly, to that time of the last day. So a
purchase τ after the first falls on day ⌊u + τ⌋, u ~ Uniform(0, 1), which is τ on average; but
purchases of one day count once, and those of the first day count as the first: from a daily log the
model sees a few repeat purchases fewer than there were, most of them of those who buy most often.

What is random goes through one function, :func:`live_on`, which lives from a time at which a
customer's (alive, λ, p) is known to a later one. A model that draws these anew at given dates is a
sequence of such calls.

Source: Fader, Hardie & Lee (2005), Marketing Science 24(2), 275–284; spend: Fader & Hardie (2013),
"The Gamma-Gamma model of monetary value".
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from bayes_clv.bgnbd import Dropout, Floats, Parameters
from bayes_clv.errors import InputError
from bayes_clv.files import write_whole
from bayes_clv.states import States

type Ids = NDArray[np.int64]
type Flags = NDArray[np.bool_]

CHUNK = 200_000  # customers; about 200 MB of them at a time


@dataclass(frozen=True, slots=True)
class Spend:
    """The Gamma-Gamma model: a purchase costs Gamma(shape p, rate ν), with ν ~ Gamma(q, rate v).

    The default is CDNOW's published estimate, in US dollars.
    """

    p: float = 6.25
    q: float = 3.74
    v: float = 15.44


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


@dataclass(frozen=True, slots=True)
class Scenario:
    """A population and the calendar on which its log is kept.

    Parameters
    ----------
    parameters
        r, α (days), a, b: scalars.
    start, end
        The day of the first possible purchase, and the observation end; purchases on it count.
    acquisition_days
        First purchases fall on this many days from `start`, each as likely. Default: on all.
    dropout
        When customers may leave: after a repeat purchase (BG/NBD) or after any (MBG/NBD).
    spend
        What a purchase costs, whatever its customer's rate; None for a log without amounts.

    Raises
    ------
    InputError
        An argument cannot be right.
    """

    parameters: Parameters
    start: dt.date
    end: dt.date
    acquisition_days: int | None = None
    dropout: Dropout = Dropout.AFTER_REPEAT
    spend: Spend | None = Spend()

    def __post_init__(self) -> None:
        for name in ("r", "alpha", "a", "b"):
            value = getattr(self.parameters, name)
            if np.ndim(value) or not 0 < value < np.inf:
                raise InputError(f"{name} must be one positive number: {value}")
        if self.days < 1:
            raise InputError(f"end must be after start, {self.start}: {self.end}")
        if not 1 <= self.first_days <= self.days + 1:
            raise InputError(
                f"acquisition_days must lie between 1 and the {self.days + 1} days of the log: "
                f"{self.acquisition_days}"
            )

    @property
    def days(self) -> int:
        """Days from the first possible purchase to the observation end."""
        return (self.end - self.start).days

    @property
    def first_days(self) -> int:
        """On how many days customers may come."""
        return self.days + 1 if self.acquisition_days is None else self.acquisition_days

    def date(self, day: Ids) -> NDArray[np.datetime64]:
        """Turn days since `start` into dates; pandas keeps nothing coarser than seconds."""
        return (np.datetime64(self.start, "D") + day).astype("datetime64[s]")


@dataclass(frozen=True, slots=True)
class Simulated:
    """A transaction log and the truth behind it.

    Attributes
    ----------
    log
        One row per purchase, ordered by customer and time: customer_id, date and, with spend,
        amount.
    truth
        One row per customer: customer_id; first, the day of the first purchase; rate and leaving,
        λ per day and p; alive at the observation end; left, the day of the last purchase of those
        who have left, else NaT; and, with spend, mean_spend, what a purchase costs on average.
    """

    log: pd.DataFrame
    truth: pd.DataFrame


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


def simulate_transactions(scenario: Scenario, n_customers: int, *, seed: int = 0) -> Simulated:
    """Simulate customers and their log, to the day, in memory.

    Parameters
    ----------
    scenario
        Who they are, and when they may buy.
    n_customers
        How many; their ids are 1 … n_customers.
    seed
        The same scenario, number and seed give the same log.

    Raises
    ------
    InputError
        An argument cannot be right.
    """
    chunks = list(simulate_chunks(scenario, n_customers, seed=seed))
    log, truth = (
        pd.concat([getattr(chunk, name) for chunk in chunks], ignore_index=True)
        for name in ("log", "truth")
    )
    return Simulated(log, truth)


def simulate_chunks(scenario: Scenario, n_customers: int, *, seed: int = 0) -> Iterator[Simulated]:
    """Simulate as :func:`simulate_transactions` does, ``CHUNK`` customers at a time.

    Each chunk has a seed of its own, so that whole chunks do not depend on `n_customers`.
    """
    for name, value, least in (("n_customers", n_customers, 1), ("seed", seed, 0)):
        if value < least:
            raise InputError(f"{name} must be at least {least}: {value}")
    for chunk, done in enumerate(range(0, n_customers, CHUNK)):
        rng = np.random.default_rng([seed, chunk])
        first = rng.integers(scenario.first_days, size=min(CHUNK, n_customers - done))
        lives = simulate_lives(
            scenario.parameters, scenario.days - first, dropout=scenario.dropout, rng=rng
        )
        yield _on_the_calendar(rng, lives, first, scenario, customer_id=done + 1)


def write_transactions(
    path: str | PathLike[str], scenario: Scenario, n_customers: int, *, seed: int = 0
) -> int:
    """Write the log of :func:`simulate_transactions` to a Parquet file, a chunk at a time.

    Memory is bounded whatever the number of customers. Returns the number of transactions.
    """
    fields = [("customer_id", pa.int64()), ("date", pa.date32())]
    schema = pa.schema(fields + ([("amount", pa.float64())] if scenario.spend else []))

    def write(file: BinaryIO) -> None:
        with pq.ParquetWriter(file, schema) as parquet:
            for chunk in simulate_chunks(scenario, n_customers, seed=seed):
                parquet.write_table(
                    pa.Table.from_pandas(chunk.log, schema=schema, preserve_index=False)
                )

    path = Path(path)
    write_whole(path, write)
    return int(pq.read_metadata(path).num_rows)


def _on_the_calendar(
    rng: np.random.Generator, lives: Lives, first: Ids, scenario: Scenario, customer_id: int
) -> Simulated:
    """Put lives on the calendar, from their first days on; ids count up from `customer_id`."""
    n, repeats = len(first), lives.repeats
    ids = np.arange(customer_id, customer_id + n)
    time_of_day = rng.random(n)[repeats.customer]
    repeat_day = first[repeats.customer] + np.floor(time_of_day + repeats.time).astype(np.int64)
    # Before the repeat purchases of each customer goes the first one.
    where = np.searchsorted(repeats.customer, np.arange(n))
    customer = np.insert(repeats.customer, where, np.arange(n))
    day = np.insert(repeat_day, where, first)
    last = np.searchsorted(customer, np.arange(n), side="right") - 1
    log = {"customer_id": ids[customer], "date": scenario.date(day)}
    truth = {
        "customer_id": ids,
        "first": scenario.date(first),
        "rate": lives.rate,
        "leaving": lives.leaving,
        "alive": lives.alive,
        "left": np.where(lives.alive, np.datetime64("NaT", "s"), scenario.date(day[last])),
    }
    if scenario.spend is not None:
        p, q, v = scenario.spend.p, scenario.spend.q, scenario.spend.v
        scale = v / rng.gamma(q, size=n)
        cents = np.rint(100 * rng.gamma(p, size=len(customer)) * scale[customer])
        log["amount"] = np.maximum(cents, 1) / 100
        truth["mean_spend"] = p * scale
    return Simulated(pd.DataFrame(log), pd.DataFrame(truth))

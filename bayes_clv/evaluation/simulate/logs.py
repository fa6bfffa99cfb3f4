r"""Lives on the calendar: transaction logs to the day, with the truth behind them.

Each customer first buys at a uniform time of their first day and is followed for T days exactly, to
that time of the last day. So a purchase τ after the first falls on day ⌊u + τ⌋, u ~ Uniform(0, 1),
which is τ on average; but purchases of one day count once, and those of the first day count as the
first: from a daily log the model sees a few repeat purchases fewer than there were, most of them of
those who buy most often. What is bought after a landmark is dated after its day, so that the log's
states there are those that customers were put in segments by, but for these few.

Source of what purchases cost: Fader & Hardie (2013), "The Gamma-Gamma model of monetary value".
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
from numpy.typing import NDArray

from bayes_clv.errors import InputError
from bayes_clv.evaluation.simulate.landmarks import Segmented, simulate_landmarks
from bayes_clv.evaluation.simulate.lives import Ids, Lives, simulate_lives
from bayes_clv.files import write_whole
from bayes_clv.models.bgnbd import Dropout, Floats, Parameters
from bayes_clv.segments.rules import with_population

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
class Scenario:
    """A population and the calendar on which its log is kept.

    Parameters
    ----------
    parameters
        r, α (days), a, b of the population: scalars.
    start, end
        The day of the first possible purchase, and the observation end; purchases on it count.
    acquisition_days
        First purchases fall on this many days from `start`, each as likely. Default: on all.
    dropout
        When customers may leave: after a repeat purchase (BG/NBD) or after any (MBG/NBD).
    spend
        What a purchase costs, whatever its customer's rate; None for a log without amounts.
    segmented, landmarks
        For the landmark model: what segments live by, and the dates at which customers are put in
        one, the observation end always among them. Default: all live by the population's.

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
    segmented: Segmented | None = None
    landmarks: tuple[dt.date, ...] = ()

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
        self._check_segments()

    @property
    def days(self) -> int:
        """Days from the first possible purchase to the observation end."""
        return (self.end - self.start).days

    @property
    def first_days(self) -> int:
        """On how many days customers may come."""
        return self.days + 1 if self.acquisition_days is None else self.acquisition_days

    @property
    def landmark_days(self) -> Ids:
        """``(landmark,)`` days since `start`; the observation end is the last."""
        dates = sorted({*self.landmarks, self.end})
        return np.array([(date - self.start).days for date in dates])

    def date(self, day: Ids) -> NDArray[np.datetime64]:
        """Turn days since `start` into dates; pandas keeps nothing coarser than seconds."""
        return (np.datetime64(self.start, "D") + day).astype("datetime64[s]")

    def _check_segments(self) -> None:
        if self.segmented is None:
            if self.landmarks:
                raise InputError("landmarks put customers in segments: give segmented as well")
            return
        names = self.segmented.rule.names
        for name in ("r", "alpha", "a", "b"):
            values = np.asarray(getattr(self.segmented.parameters, name))
            if values.shape != (len(names),) or not ((values > 0) & (values < np.inf)).all():
                raise InputError(
                    f"{name} must be one positive number for each of the {len(names)} segments: "
                    f"{values}"
                )
        outside = [date for date in self.landmarks if not self.start < date <= self.end]
        if outside:
            raise InputError(
                f"landmarks must lie after {self.start} and not after {self.end}: {outside[0]}"
            )


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
        who have left, else NaT; with spend, mean_spend, what a purchase costs on average; and, with
        segments, segment: whose parameters were in force at the observation end.
    """

    log: pd.DataFrame
    truth: pd.DataFrame


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
        lives, segment = _live(rng, first, scenario)
        yield _on_the_calendar(rng, lives, segment, first, scenario, customer_id=done + 1)


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


def _live(
    rng: np.random.Generator, first: Ids, scenario: Scenario
) -> tuple[Lives, dict[str, NDArray[np.object_]]]:
    """Live from the first days to the end; with segments, the column of their names."""
    population, dropout, segmented = scenario.parameters, scenario.dropout, scenario.segmented
    if segmented is None:
        lives = simulate_lives(population, scenario.days - first, dropout=dropout, rng=rng)
        return lives, {}
    lived = simulate_landmarks(
        population, segmented, first, scenario.landmark_days, dropout=dropout, rng=rng
    )
    names = np.array(with_population(segmented.rule.names), dtype=object)
    return lived.lives, {"segment": names[lived.code]}


def _on_the_calendar(
    rng: np.random.Generator,
    lives: Lives,
    segment: dict[str, NDArray[np.object_]],
    first: Ids,
    scenario: Scenario,
    customer_id: int,
) -> Simulated:
    """Put lives on the calendar, from their first days on; ids count up from `customer_id`."""
    n, repeats = len(first), lives.repeats
    ids = np.arange(customer_id, customer_id + n)
    time_of_day = rng.random(n)[repeats.customer]
    repeat_day = _days(first[repeats.customer], repeats.time, time_of_day, scenario)
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
        **segment,
    }
    if scenario.spend is not None:
        p, q, v = scenario.spend.p, scenario.spend.q, scenario.spend.v
        scale = v / rng.gamma(q, size=n)
        cents = np.rint(100 * rng.gamma(p, size=len(customer)) * scale[customer])
        log["amount"] = np.maximum(cents, 1) / 100
        truth["mean_spend"] = p * scale
    return Simulated(pd.DataFrame(log), pd.DataFrame(truth))


def _days(first: Ids, time: Floats, time_of_day: Floats, scenario: Scenario) -> Ids:
    """Days of purchases that happen some time after a first purchase at some time of its day."""
    day = first + np.floor(time_of_day + time).astype(np.int64)
    if scenario.segmented is None:
        return day
    landmarks = scenario.landmark_days
    k = np.searchsorted(landmarks, first + time) - 1  # the last landmark before the purchase
    passed = np.where(k >= 0, landmarks[k], -1)
    return np.where(passed > first, np.maximum(day, passed + 1), day)

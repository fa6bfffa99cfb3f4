r"""Simulated transaction logs by day, with the true values behind them.

Each customer first buys at a uniform time of their first day and is observed for exactly T days, to
the same time of the last day. A purchase τ days after the first therefore falls on day ⌊u + τ⌋,
u ~ Uniform(0, 1), whose mean is τ. Purchases on one day count once, and those on the first day
count as the first purchase, so the model finds slightly fewer repeat purchases in a daily log than
were simulated; most of the missing ones belong to the most frequent buyers. A purchase after a
landmark is dated after the landmark's day. Apart from the missing purchases, the log's states at a
landmark are therefore those by which customers were assigned to segments.

Source of the model of amounts: Fader & Hardie (2013), "The Gamma-Gamma model of monetary value".
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bayes_clv import arguments
from bayes_clv.data.dates import as_date
from bayes_clv.data.described import Described
from bayes_clv.data.targets import Kind, refusal, replacing
from bayes_clv.errors import InputError
from bayes_clv.evaluation.simulate.landmarks import Segmented, simulate_landmarks
from bayes_clv.evaluation.simulate.lives import Ids, Lives, simulate_lives
from bayes_clv.models.bgnbd import Dropout, Floats, Parameters
from bayes_clv.segments.rules import with_population

CHUNK = 200_000  # customers; about 200 MB at a time


@dataclass(frozen=True, slots=True)
class Spend:
    """The Gamma-Gamma model: a purchase costs Gamma(shape p, rate ν), with ν ~ Gamma(q, rate v).

    The default is CDNOW's published estimate, in US dollars.
    """

    p: float = 6.25
    q: float = 3.74
    v: float = 15.44

    def __post_init__(self) -> None:
        for name in ("p", "q", "v"):
            value = arguments.number(name, getattr(self, name), above=0)
            object.__setattr__(self, name, value)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A population of customers and the calendar of its log.

    Parameters
    ----------
    parameters
        r, α (days), a, b of the population: scalars.
    start, end
        The day of the first possible purchase, and the observation end, whose purchases count.
    acquisition_days
        First purchases fall on this many days from `start` with equal probability. Default: all.
    dropout
        When customers may leave: after a repeat purchase (BG/NBD) or after any (MBG/NBD).
    spend
        The model of a purchase's amount, independent of the customer's rate; None for a log without
        amounts.
    segmented, landmarks
        For the landmark model: the segments with their parameters, and the dates at which customers
        are assigned to segments; the observation end is always added. Default: all customers have
        the population's parameters.

    Raises
    ------
    InputError
        If an argument is invalid.
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
        self._settle_types()
        if self.days < 1:
            raise InputError(f"end must be after start, {self.start}: {self.end}")
        if not 1 <= self.first_days <= self.days + 1:
            raise InputError(
                f"acquisition_days must lie between 1 and the {self.days + 1} days of the log: "
                f"{self.acquisition_days}"
            )
        self._check_segments()

    def _settle_types(self) -> None:
        arguments.instance("parameters", self.parameters, Parameters)
        for name in ("r", "alpha", "a", "b"):
            value = getattr(self.parameters, name)
            try:
                arguments.number(name, value, above=0)
            except InputError:
                raise InputError(f"{name} must be one positive number: {value}") from None
        for name in ("start", "end"):
            object.__setattr__(self, name, as_date(getattr(self, name), name))
        landmarks = tuple(as_date(date, "a landmark") for date in self.landmarks)
        object.__setattr__(self, "landmarks", landmarks)
        object.__setattr__(self, "dropout", arguments.member("dropout", self.dropout, Dropout))
        if self.acquisition_days is not None:
            arguments.whole("acquisition_days", self.acquisition_days)
        if self.spend is not None:
            arguments.instance("spend", self.spend, Spend)
        if self.segmented is not None:
            arguments.instance("segmented", self.segmented, Segmented)

    @property
    def days(self) -> int:
        """Days from the first possible purchase to the observation end."""
        return (self.end - self.start).days

    @property
    def first_days(self) -> int:
        """Number of days on which first purchases may fall."""
        return self.days + 1 if self.acquisition_days is None else self.acquisition_days

    @property
    def landmark_days(self) -> Ids:
        """``(landmark,)`` days since `start`; the observation end is the last."""
        dates = sorted({*self.landmarks, self.end})
        return np.array([(date - self.start).days for date in dates])

    def date(self, day: Ids) -> NDArray[np.datetime64]:
        """Turn days since `start` into dates, in seconds, the coarsest unit of pandas."""
        return (np.datetime64(self.start, "D") + day).astype("datetime64[s]")

    def _check_segments(self) -> None:
        if self.segmented is None:
            if self.landmarks:
                raise InputError("landmarks assign customers to segments: give segmented as well")
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


@dataclass(frozen=True, slots=True, repr=False)
class Simulated(Described):
    """A simulated transaction log and the true values behind it.

    Attributes
    ----------
    log
        One row per purchase, ordered by customer and time: customer_id, date and, with spend,
        amount.
    truth
        One row per customer: customer_id; first, the day of the first purchase; rate and leaving,
        λ per day and p; alive at the observation end; left, the day of the last purchase for
        customers who have left, else NaT; with spend, mean_spend, the mean amount of a purchase;
        and, with segments, segment: the one whose parameters applied at the observation end.
    """

    log: pd.DataFrame
    truth: pd.DataFrame

    def _facts(self) -> Mapping[str, object]:
        return {"customers": len(self.truth), "purchases": len(self.log)}


def simulate_transactions(scenario: Scenario, n_customers: int, *, seed: int = 0) -> Simulated:
    """Simulate customers and their log, to the day, in memory.

    Parameters
    ----------
    scenario
        The population and the calendar.
    n_customers
        Number of customers; their ids are 1 … n_customers.
    seed
        The same scenario, number and seed give the same log.

    Raises
    ------
    InputError
        If an argument is invalid.
    """
    chunks = list(simulate_chunks(scenario, n_customers, seed=seed))
    log, truth = (
        pd.concat([getattr(chunk, name) for chunk in chunks], ignore_index=True)
        for name in ("log", "truth")
    )
    return Simulated(log, truth)


def simulate_chunks(scenario: Scenario, n_customers: int, *, seed: int = 0) -> Iterator[Simulated]:
    """Yield what :func:`simulate_transactions` returns, in chunks of ``CHUNK`` customers.

    Each chunk has its own seed, so that complete chunks do not depend on `n_customers`.
    """
    arguments.instance("scenario", scenario, Scenario)
    for name, value, least in (("n_customers", n_customers, 1), ("seed", seed, 0)):
        arguments.whole(name, value, least=least)
    for chunk, done in enumerate(range(0, n_customers, CHUNK)):
        rng = np.random.default_rng([seed, chunk])
        first = rng.integers(scenario.first_days, size=min(CHUNK, n_customers - done))
        lives, segment = _simulate(rng, first, scenario)
        yield _on_the_calendar(rng, lives, segment, first, scenario, customer_id=done + 1)


def write_transactions(
    path: str | PathLike[str],
    scenario: Scenario,
    n_customers: int,
    *,
    seed: int = 0,
    force: bool = False,
) -> int:
    """Write the log of :func:`simulate_transactions` to a Parquet file, a chunk at a time.

    Memory is bounded whatever the number of customers. Returns the number of transactions, counted
    in the file. An existing file that is not empty is replaced only if it is a simulated log, or
    with ``force``.

    Raises
    ------
    InputError
        If an argument is out of its range or the file cannot be written; an existing file is then
        unchanged.
    """
    fields = [("customer_id", pa.int64()), ("date", pa.date32())]
    schema = pa.schema(fields + ([("amount", pa.float64())] if scenario.spend else []))
    rows = 0
    with replacing(path, _SIMULATED, force=force) as temporary:
        with temporary.open("wb") as file, pq.ParquetWriter(file, schema) as parquet:
            for chunk in simulate_chunks(scenario, n_customers, seed=seed):
                table = pa.Table.from_pandas(chunk.log, schema=schema, preserve_index=False)
                parquet.write_table(table)
                rows += table.num_rows
        with temporary.open("rb") as back:
            written = int(pq.read_metadata(back).num_rows)
        if written != rows:
            raise refusal(path, f"{written:,} of {rows:,} rows were read back from the disk")
    return written


def _is_simulated(file: BinaryIO) -> bool:
    try:
        schema = pq.read_schema(file)
    except pa.ArrowException:
        return False
    types = dict(zip(schema.names, schema.types, strict=True))
    ours = {"customer_id": pa.int64(), "date": pa.date32()}
    return types in (ours, ours | {"amount": pa.float64()})


_SIMULATED = Kind("a simulated log", _is_simulated)


def _simulate(
    rng: np.random.Generator, first: Ids, scenario: Scenario
) -> tuple[Lives, dict[str, NDArray[np.object_]]]:
    """Simulate from the first purchases to the end; with segments, also return their column."""
    population, dropout, segmented = scenario.parameters, scenario.dropout, scenario.segmented
    if segmented is None:
        lives = simulate_lives(population, scenario.days - first, dropout=dropout, rng=rng)
        return lives, {}
    simulated = simulate_landmarks(
        population, segmented, first, scenario.landmark_days, dropout=dropout, rng=rng
    )
    names = np.array(with_population(segmented.rule.names), dtype=object)
    return simulated.lives, {"segment": names[simulated.code]}


def _on_the_calendar(
    rng: np.random.Generator,
    lives: Lives,
    segment: dict[str, NDArray[np.object_]],
    first: Ids,
    scenario: Scenario,
    customer_id: int,
) -> Simulated:
    """Turn histories into a daily log and its true values; ids count up from `customer_id`."""
    n, repeats = len(first), lives.repeats
    ids = np.arange(customer_id, customer_id + n)
    time_of_day = rng.random(n)[repeats.customer]
    repeat_day = _days(first[repeats.customer], repeats.time, time_of_day, scenario)
    # Insert each customer's first purchase before the repeat purchases.
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
    """Return the days of purchases ``time`` days after a first purchase at ``time_of_day``."""
    day = first + np.floor(time_of_day + time).astype(np.int64)
    if scenario.segmented is None:
        return day
    landmarks = scenario.landmark_days
    k = np.searchsorted(landmarks, first + time) - 1  # the last landmark before the purchase
    passed = np.where(k >= 0, landmarks[k], -1)
    return np.where(passed > first, np.maximum(day, passed + 1), day)

"""Posterior predictive checks: observed episodes of a log compared with replicated ones.

For each of a number of posterior draws θ, every episode of :mod:`bayes_clv.evaluation.episodes` is
simulated again from the state at its beginning,

    alive ~ Bernoulli(P(alive));  λ ~ Gamma(r+x, α+T);  p ~ Beta(a, b+n);  purchases until it ends

with the θ of its segment. A band of replications therefore holds both the uncertainty of θ and
chance. If observations leave it more often than its level allows, the model is wrong there.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_clv import arguments
from bayes_clv.data.described import Described
from bayes_clv.data.given_log import as_log
from bayes_clv.data.rfm import purchase_days
from bayes_clv.data.transactions import Transactions
from bayes_clv.errors import InputError
from bayes_clv.evaluation.episodes import Episodes, days_since, episodes
from bayes_clv.evaluation.simulate.landmarks import draw_latents
from bayes_clv.evaluation.simulate.lives import Purchases, live_on
from bayes_clv.models import bgnbd
from bayes_clv.models.bgnbd import Dropout, Parameters
from bayes_clv.models.reactivation import Reactivation
from bayes_clv.models.reactivation import sample_purchases as sample_with_reactivation
from bayes_clv.posterior.draws import reactivation_of
from bayes_clv.posterior.posterior import Posterior

type Floats = NDArray[np.float64]
type StateColumn = Literal["frequency", "recency", "T", "idle_time"]

DRAWS = 200


@dataclass(frozen=True, repr=False)
class Tracking(Described):
    """Observed and replicated repeat purchases by period.

    Attributes
    ----------
    table
        One row per period, indexed by its last day: ``actual``, the observed purchases of the
        customers known at the observation end; ``mean``, ``lower`` and ``upper`` of the
        replications; the same four with the prefix ``cumulative_``; ``held_out``. In the holdout,
        cumulative figures start from the observed sum at the observation end.
    end
        Observation end of the fit.
    period
        Days.
    level
        Mass of the bands.
    """

    table: pd.DataFrame
    end: dt.date
    period: int
    level: float

    def _facts(self) -> Mapping[str, object]:
        return {
            "periods": len(self.table),
            "period": f"{self.period} days",
            "end of the fit": self.end,
        }


def track(
    posterior: Posterior,
    transactions: Transactions,
    *,
    period: int = 7,
    draws: int = DRAWS,
    level: float = 0.9,
    seed: int = 0,
) -> Tracking:
    """Compare observed and replicated repeat purchases over time, in the fit and in the holdout.

    Parameters
    ----------
    posterior
        Fitted to the log until ``posterior.record.end``.
    transactions
        The log, including the holdout.
    period
        Length in days. Periods are counted from the observation end; a last period that the log
        does not cover fully is left out.
    draws
        Number of replications.
    level
        Mass of the bands.
    seed
        Random seed of the replications.
    """
    arguments.instance("posterior", posterior, Posterior)
    transactions = as_log(transactions)
    period = arguments.whole_days("period", period)
    draws, seed = arguments.whole("draws", draws, least=1), arguments.seed(seed)
    record = posterior.record
    parts = episodes(posterior, transactions)
    n_before = -(-(record.end - transactions.start).days // period)
    n_after = (transactions.end - record.end).days // period
    origin = (record.end - transactions.start).days - n_before * period

    def count(days: Floats) -> NDArray[np.int64]:
        index = np.ceil((days - origin) / period).astype(np.int64) - 1
        return np.bincount(index, minlength=n_before + n_after)[: n_before + n_after]

    replicas = np.stack(
        [
            count(parts.begin[lives.customer] + lives.time)
            for lives in live_again(
                parts,
                posterior.parameters,
                posterior.dropout,
                draws,
                seed,
                reactivation_of(posterior.tree),
            )
        ]
    )
    actual = count(_repeat_days(transactions, record.end))
    ends = [
        record.end + dt.timedelta(days=period * (k + 1 - n_before))
        for k in range(n_before + n_after)
    ]
    held_out = np.arange(n_before + n_after) >= n_before
    gap = actual[:n_before].sum() - replicas[:, :n_before].sum(axis=1, keepdims=True)
    table = pd.DataFrame({"end": ends, "held_out": held_out, "actual": actual})
    table = table.join(_summary(replicas, level))
    table["cumulative_actual"] = actual.cumsum()
    cumulative = _summary(replicas.cumsum(axis=1) + gap * held_out, level)
    table = table.join(cumulative.add_prefix("cumulative_")).set_index("end")
    return Tracking(table, record.end, period, level)


def live_again(
    parts: Episodes,
    parameters: Parameters,
    dropout: Dropout,
    draws: int,
    seed: int,
    reactivation: Reactivation | None = None,
) -> Iterator[Purchases]:
    """Yield replicated purchases of all episodes, one replication per draw used.

    Parameters
    ----------
    parts
        The episodes. In the result, ``Purchases.customer`` is the index of the episode, and
        ``time`` counts in days from its beginning.
    parameters
        ``(segment + 1, draw)``; the population is last.
    draws
        Number of draws to use, spread evenly.
    reactivation
        ``(draw,)``; None of a model without it.
    """
    rng = np.random.default_rng(seed)
    for draw in _spread_draws(parameters, draws):
        theta = parameters[parts.code, draw]
        coming_back = _in_episodes(parts, reactivation, draw)
        latents = draw_latents(
            rng, theta, parts.frequency, parts.recency, parts.T, dropout, coming_back
        )
        purchases, _ = live_on(rng, *latents, parts.days)
        yield purchases


def count_again(
    parts: Episodes,
    parameters: Parameters,
    dropout: Dropout,
    draws: int = DRAWS,
    seed: int = 0,
    reactivation: Reactivation | None = None,
) -> Iterator[NDArray[np.int64]]:
    """Yield replicated numbers of purchases ``(episode,)``: like ``live_again``, but faster."""
    rng = np.random.default_rng(seed)
    for draw in _spread_draws(parameters, draws):
        theta = parameters[parts.code, draw]
        given = (parts.frequency, parts.recency, parts.T, parts.days, dropout)
        coming_back = _in_episodes(parts, reactivation, draw)
        if coming_back is None:
            yield bgnbd.sample_purchases(rng, theta, *given)
        else:
            yield sample_with_reactivation(rng, theta, coming_back, *given)


def _in_episodes(
    parts: Episodes, reactivation: Reactivation | None, draw: int
) -> Reactivation | None:
    """Reactivation in each episode, ``(episode,)``: a customer's first one cannot start afresh."""
    if reactivation is None:
        return None
    at = reactivation[draw]
    return replace(at, probability=np.where(parts.T > 0, at.probability, 0.0))


def purchase_counts(
    parts: Episodes,
    replicas: Iterator[NDArray[np.int64]],
    *,
    most: int = 7,
    level: float = 0.9,
) -> pd.DataFrame:
    """Compare the observed and replicated numbers of episodes with 0, 1, 2, … purchases.

    Parameters
    ----------
    parts
        The observed episodes.
    replicas
        From ``count_again``, with draws of the posterior or of the prior.
    most
        Episodes with this number of purchases or more share the last row.
    level
        Mass of the intervals.

    Returns
    -------
    One row per number of purchases (``"0"``, ``"1"``, …, ``"7+"``), with numbers of episodes:
    actual (observed), mean, lower, upper.
    """
    arguments.instance("parts", parts, Episodes)
    most = arguments.whole("most", most, least=1)

    def histogram(counts: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.bincount(np.minimum(counts, most), minlength=most + 1)

    table = _summary(np.stack([histogram(counts) for counts in replicas]), level)
    table.insert(0, "actual", histogram(parts.purchases))
    table.index = pd.Index([*map(str, range(most)), f"{most}+"], name="purchases")
    return table


def purchases_by_state(
    parts: Episodes,
    replicas: Iterator[NDArray[np.int64]],
    by: StateColumn = "frequency",
    *,
    edges: Sequence[float] | None = None,
    level: float = 0.9,
) -> pd.DataFrame:
    """Compare mean purchases by the state of customers at the beginning of the episode.

    Parameters
    ----------
    parts
        The observed episodes.
    replicas
        From ``count_again``.
    by
        The part of the state that episodes are grouped by.
    edges
        Lower edges of the groups; by default 0, 1, …, 7 for frequency, and deciles otherwise.
    level
        Mass of the intervals.

    Returns
    -------
    One row per group with episodes, indexed by its lower edge: customers, the number of episodes;
    and per episode actual (observed purchases), mean, lower, upper.
    """
    arguments.instance("parts", parts, Episodes)
    values = getattr(parts, by)
    if edges is None:
        deciles = np.quantile(values, np.linspace(0, 0.9, 10))
        edges = list(range(8)) if by == "frequency" else np.unique(deciles).tolist()
    group = np.searchsorted(np.asarray(edges), values, side="right") - 1
    if len(parts) and group.min() < 0:
        raise InputError(
            f"edges must begin at or below the smallest {by}, {values.min():g}: {edges}"
        )
    customers = np.bincount(group, minlength=len(edges))
    occupied = np.flatnonzero(customers)

    def mean(counts: NDArray[np.int64]) -> Floats:
        return np.bincount(group, counts, minlength=len(edges))[occupied] / customers[occupied]

    table = _summary(np.stack([mean(counts) for counts in replicas]), level)
    table.insert(0, "customers", customers[occupied])
    table.insert(1, "actual", mean(parts.purchases))
    table.index = pd.Index(np.asarray(edges)[occupied], name=by)
    return table


def _spread_draws(parameters: Parameters, draws: int) -> NDArray[np.int64]:
    """Return the indices of that many draws, spread evenly."""
    n = parameters.r.shape[1]
    return np.linspace(0, n - 1, min(draws, n)).round().astype(np.int64)


def _summary(replicas: Floats | NDArray[np.int64], level: float) -> pd.DataFrame:
    lower, upper = np.quantile(replicas, arguments.tails(level), axis=0)
    return pd.DataFrame({"mean": replicas.mean(axis=0), "lower": lower, "upper": upper})


def _repeat_days(transactions: Transactions, end: dt.date) -> Floats:
    """Days of repeat purchases, counted from the log's first day, of customers known at ``end``."""
    days = purchase_days(transactions)
    repeats = days.filter((days.date > days["first"]) & (days["first"] <= end))
    dates = repeats.select("date").to_pandas()["date"]
    return days_since(transactions.start, dates)

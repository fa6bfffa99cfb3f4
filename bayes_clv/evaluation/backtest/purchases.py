"""Backtest of purchases from rolling origins: fit to the past, forecast, and compare methods.

At each origin every method uses only the log up to that day and learns its segments from it. It
forecasts each customer's purchases within each horizon by the exact distribution of
``sample_purchases``, averaged over posterior draws. All methods forecast for the same customers, so
that differences are paired.

The methods are: one set of parameters for all customers (pooled, the reference); segments with the
landmark likelihood; segments fitted to their own past, which uses the data twice and is included to
show the effect of that error; and a mixture of some, with weights learnt inside the past.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bayes_clv import arguments
from bayes_clv.data.described import Described, listed
from bayes_clv.data.engines import cached
from bayes_clv.data.given_log import Log, as_log
from bayes_clv.data.rfm import sample_customers, summarise
from bayes_clv.data.transactions import Transactions
from bayes_clv.evaluation.backtest.fit_and_score import Scored, customers_at, evaluate, rfm_segments
from bayes_clv.evaluation.backtest.fits import Fits
from bayes_clv.evaluation.backtest.methods import POOLED, Method, default_methods
from bayes_clv.evaluation.backtest.scoring_rules import mean_difference
from bayes_clv.evaluation.backtest.splits import Split, default_splits
from bayes_clv.inference.sampling import SamplerSettings

FAST_CUSTOMERS = 20_000
FAST_DRAWS = 500
DRAWS = 1000


@dataclass(frozen=True, repr=False)
class Backtest(Described):
    """Scores of every method's forecasts on every split.

    Attributes
    ----------
    table
        One row per split and method; the columns are those of ``SCORES``.
    overall
        One row per method, over all splits: ``gain`` of the log score over pooled with its standard
        error (customers are clusters), and the means of the other scores.
    segments
        Per split, method and RFM segment at the origin: customers, observed (``actual``) and
        expected purchases.
    reliability
        Per split and method, in bins of the forecast probability of buying again: forecast,
        observed, customers.
    corner
        Per split and method, frequent customers gone silent: the share who bought (``observed``),
        and its forecast with the interval; see :mod:`bayes_clv.evaluation.backtest.watched`.
    cells
        The same for each cell of the RFM grid; ``z`` is the miss in standard deviations.
    stacking
        The weight of each base method in the mixture, per split, and its log score on the inner
        split; see :mod:`bayes_clv.evaluation.backtest.stacking`.
    n_customers
        Number of customers in the log; ``sampled`` is the number that a fast run used, or None.
    methods, splits
        In the order of the tables.
    seconds
        Wall time.
    """

    table: pd.DataFrame
    overall: pd.DataFrame
    segments: pd.DataFrame
    reliability: pd.DataFrame
    corner: pd.DataFrame
    cells: pd.DataFrame
    stacking: pd.DataFrame
    source: str
    n_customers: int
    sampled: int | None
    methods: tuple[Method, ...]
    splits: tuple[Split, ...]
    settings: SamplerSettings
    seconds: float

    def at(self, split: Split) -> pd.DataFrame:
        """Return the rows of ``table`` for one split."""
        rows = (self.table["origin"] == split.origin) & (self.table["horizon"] == split.horizon)
        return self.table[rows]

    @property
    def best(self) -> Method:
        """The sound method with the best log score over all splits, among those ``fit`` offers.

        Pooled, unless that method is better by more than two standard errors.
        """
        sound = self.overall["sound"]
        offered = [
            method
            for method in self.methods
            if method.options and (sound[method.name] or method.name == POOLED.name)
        ]
        gains = self.overall.loc[[method.name for method in offered]]
        name = str(gains["gain"].idxmax())
        clearly = gains["gain"][name] > 2 * gains["gain_se"][name]
        best = name if clearly else POOLED.name
        return next(method for method in offered if method.name == best)

    @property
    def recommendation(self) -> str:
        """The method to fit, in words, and the splits on which pooled was clearly better."""
        best = self.best
        if best.name == "pooled":
            words = "No segmentation is clearly better than pooled: "
        else:
            row = self.overall.loc[best.name]
            words = (
                f"{best.name} predicts best: log score {row['gain']:+.4f} ± {row['gain_se']:.4f} "
                "per customer over pooled: "
            )
        words += f"bayes-clv fit {best.options}"
        of_best = self.table[self.table["method"] == best.name]
        worse = of_best[of_best["gain"] < -2 * of_best["gain_se"]]
        if len(worse):
            where = ", ".join(f"{row.origin} + {row.horizon} days" for row in worse.itertuples())
            words += f". But pooled was clearly better at {where}"
        unsound = self.overall.index[~self.overall["sound"]]
        if len(unsound):
            words += f". Do not rely on methods with an unsound fit: {', '.join(unsound)}"
        return words + "."

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "source": self.source,
            "customers": self.n_customers,
            "fast": self.sampled is not None,
            "sampled": self.sampled,
            "draws": self.settings.draws * self.settings.chains,
            "seed": self.settings.seed,
            "seconds": round(self.seconds, 1),
            "best": {"method": self.best.name, "options": self.best.options},
            "recommendation": self.recommendation,
            "splits": self.table.to_dict(orient="records"),
            "overall": self.overall.reset_index().to_dict(orient="records"),
            "segments": self.segments.to_dict(orient="records"),
            "reliability": self.reliability.to_dict(orient="records"),
            "corner": self.corner.to_dict(orient="records"),
            "cells": self.cells.to_dict(orient="records"),
            "stacking": self.stacking.to_dict(orient="records"),
        }

    def _facts(self) -> Mapping[str, object]:
        return {
            "source": self.source,
            "customers": self.n_customers,
            "methods": listed(method.name for method in self.methods),
            "splits": len(self.splits),
            "best": self.best.name,
        }


SCORES = (
    "origin",
    "horizon",
    "method",
    "customers",
    "active",
    "log_score",
    "gain",
    "gain_se",
    "crps",
    "mae",
    "rmse",
    "expected",
    "expected_lower",
    "expected_upper",
    "actual",
    "brier",
    "calibration_error",
    "auc",
    "coverage_50",
    "coverage_90",
    "segment_error",
    "sound",
    "seconds",
)


def backtest(
    transactions: Log,
    *,
    methods: Sequence[Method] | None = None,
    splits: Sequence[Split] | None = None,
    draws: int | None = None,
    seed: int = 0,
    fast: bool = False,
    on_step: Callable[[str, int, int], None] = lambda words, done, total: None,
) -> Backtest:
    """Fit every method to the past of every origin, and score its forecasts.

    Parameters
    ----------
    transactions
        The log, or what ``read_transactions`` reads without options.
    methods
        By default ``default_methods()``; ``POOLED`` is always added.
    splits
        By default ``default_splits``.
    draws
        Draws per chain, of four chains; 1000 by default, 500 in a fast run.
    seed
        Random seed of the sampler, and of the sample of customers in a fast run.
    fast
        Whether to use at most 20,000 customers, and half as many draws.
    on_step
        Called with the name of the fit, the number of fits done, and the number of all fits.

    Raises
    ------
    InputError
        If the log or an argument is invalid.
    """
    transactions = as_log(transactions)
    fast, seed = arguments.flag("fast", fast), arguments.whole("seed", seed, least=0)
    methods = arguments.instances("methods", methods or default_methods(), Method)
    splits = splits or default_splits(transactions.start, transactions.end)
    splits = arguments.instances("splits", splits, Split)
    began = time.perf_counter()
    if not any(method.name == POOLED.name for method in methods):
        methods = (POOLED, *methods)
    splits = tuple(sorted(splits, key=lambda split: (split.origin, split.horizon)))
    draws = (FAST_DRAWS if fast else DRAWS) if draws is None else draws
    settings = SamplerSettings(draws, seed=seed)
    n_customers = int(transactions.table.customer_id.nunique().execute())
    sampled = min(n_customers, FAST_CUSTOMERS) if fast else None
    if fast:
        transactions = _sampled(transactions, FAST_CUSTOMERS, seed)
    rows: list[Scored] = []
    origins = sorted({split.origin for split in splits})
    for o, origin in enumerate(origins):
        past = transactions.until(origin)
        of_origin = [split for split in splits if split.origin == origin]
        customers = customers_at(transactions, of_origin)
        group = rfm_segments(customers)
        fits = Fits()
        for m, method in enumerate(methods):
            step = o * len(methods) + m
            on_step(f"{origin}: {method.name}", step, len(origins) * len(methods))
            rows += evaluate(method, past, of_origin, customers, group, settings, fits)
    on_step("comparing", len(origins) * len(methods), len(origins) * len(methods))
    return Backtest(
        table=_table(rows),
        overall=_overall(rows),
        segments=pd.concat([row.by_segment for row in rows], ignore_index=True),
        reliability=pd.concat([row.by_bin for row in rows], ignore_index=True),
        corner=_joined(row.corner for row in rows),
        cells=_joined(row.cells for row in rows),
        stacking=_joined(row.stack for row in rows),
        source=transactions.source,
        n_customers=n_customers,
        sampled=sampled,
        methods=methods,
        splits=splits,
        settings=settings,
        seconds=time.perf_counter() - began,
    )


def _sampled(transactions: Transactions, n: int, seed: int) -> Transactions:
    all_customers = summarise(transactions).select("customer_id", "landmark")
    sample = sample_customers(all_customers, n, seed).select("customer_id")
    table = cached(transactions.table.semi_join(sample, "customer_id"))
    return replace(transactions, table=table)


def _joined(frames: Iterable[pd.DataFrame | None]) -> pd.DataFrame:
    """All rows; an empty frame where there are none."""
    found = [frame for frame in frames if frame is not None and len(frame)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def _table(rows: Sequence[Scored]) -> pd.DataFrame:
    reference = {row.split: row for row in rows if row.method == POOLED.name}
    records = []
    for row in rows:
        difference = row.forecasts.log_score - reference[row.split].forecasts.log_score
        gain, error = mean_difference(difference, np.arange(len(difference)))
        records.append(row.scores | {"gain": gain, "gain_se": error})
    by = ["origin", "horizon"]
    return pd.DataFrame(records)[list(SCORES)].sort_values(by, kind="stable", ignore_index=True)


_AVERAGED = (
    "log_score",
    "crps",
    "mae",
    "rmse",
    "brier",
    "calibration_error",
    "auc",
    "coverage_50",
    "coverage_90",
    "segment_error",
)


def _overall(rows: Sequence[Scored]) -> pd.DataFrame:
    """Average over all splits: a gain weights customers equally, the other scores weight splits."""
    reference = {row.split: row for row in rows if row.method == POOLED.name}
    records = {}
    for method in dict.fromkeys(row.method for row in rows):
        scored = [row for row in rows if row.method == method]
        differences = [
            row.forecasts.log_score - reference[row.split].forecasts.log_score for row in scored
        ]
        customer, _ = pd.factorize(pd.concat([row.customer for row in scored], ignore_index=True))
        gain, error = mean_difference(np.concatenate(differences), customer)
        means = {name: float(np.mean([row.scores[name] for row in scored])) for name in _AVERAGED}
        records[method] = {"gain": gain, "gain_se": error, **means} | {
            "sound": all(row.scores["sound"] for row in scored)
        }
    return pd.DataFrame.from_dict(records, orient="index").rename_axis("method")

"""Forecast with one fitted method from one origin, or with a mixture of methods, and score.

A mixture's weights are learnt on an inner split of the past; its bases are then fitted to the
whole past.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_clv.data.engines import cached
from bayes_clv.data.rfm import durations, summarise
from bayes_clv.data.states import States
from bayes_clv.data.transactions import Transactions
from bayes_clv.errors import InputError
from bayes_clv.evaluation.backtest.fits import Fits
from bayes_clv.evaluation.backtest.forecasts import Forecasts, forecast
from bayes_clv.evaluation.backtest.methods import Method
from bayes_clv.evaluation.backtest.scoring_rules import (
    auc,
    brier,
    calibration_error,
    coverage,
    reliability,
)
from bayes_clv.evaluation.backtest.splits import Split
from bayes_clv.evaluation.backtest.stacking import inner_split, stacking_weights
from bayes_clv.evaluation.backtest.watched import Watched
from bayes_clv.inference.sampling import SamplerSettings
from bayes_clv.segments.estimators import RFMSegmenter

type Floats = NDArray[np.float64]

# Per chain. Only means over draws matter, to which even 40 effective draws add an error of less
# than half a unit of the log-likelihood of all customers. So few draws are sampled once, not again
# until R-hat is below 1.01, which takes minutes.
INNER_DRAWS = 100
LEVEL = 0.9  # mass of the interval of the total


@dataclass(frozen=True)
class Scored:
    """One method's scores on one split, and the forecasts needed to compare it with others."""

    split: Split
    method: str
    customer: pd.Series
    forecasts: Forecasts
    scores: dict[str, Any]
    by_segment: pd.DataFrame
    by_bin: pd.DataFrame
    corner: pd.DataFrame
    cells: pd.DataFrame
    stack: pd.DataFrame | None = None


def customers_at(transactions: Transactions, splits: Sequence[Split]) -> pd.DataFrame:
    """Return states at the origin, and ``purchases_H``: purchase days in the H days after it."""
    origin = splits[0].origin
    dates = [origin, *(split.end for split in splits)]
    states = cached(durations(summarise(transactions, dates)))
    now = states.filter(states.landmark == ibis.literal(origin))
    frame: pd.DataFrame = now.order_by("customer_id").to_pandas()
    for split in splits:
        then = states.filter(states.landmark == ibis.literal(split.end))
        counts = then.select("customer_id", "frequency").to_pandas().set_index("customer_id")
        later = counts["frequency"].reindex(frame["customer_id"]).to_numpy()
        frame[f"purchases_{split.horizon}"] = later - frame["frequency"].to_numpy()
    return frame


def rfm_segments(customers: pd.DataFrame) -> pd.Series:
    """Return RFM segments at the origin; the scores by segment use them for all methods."""
    rule = RFMSegmenter().fit(customers).rule_
    names = np.array(rule.names, dtype=object)
    return pd.Series(names[rule.assign(States.from_frame(customers))], name="segment")


def evaluate(
    method: Method,
    past: Transactions,
    splits: Sequence[Split],
    customers: pd.DataFrame,
    group: pd.Series,
    settings: SamplerSettings,
    fits: Fits | None = None,
) -> list[Scored]:
    """Fit one method to the past, and score its forecasts on every split of one origin.

    Parameters
    ----------
    method
        The method to fit.
    past
        The log until the origin.
    splits
        All splits of one origin.
    customers, group
        From ``customers_at`` and ``rfm_segments``.
    settings
        Sampler settings.
    fits
        Those already made; the new ones are added.
    """
    fits = fits or Fits()
    watched, states = Watched(customers), States.from_frame(customers)
    bases = method.bases or (method,)
    fitted = [fits.of(base, past, settings) for base in bases]
    rows = []
    for split in splits:
        began = time.perf_counter()
        stack = stacked(bases, past, split, settings, fits) if method.bases else None
        weights = [1.0] if stack is None else stack["weight"].tolist()
        parts = [it.part(states, weight) for it, weight in zip(fitted, weights, strict=True)]
        seconds = time.perf_counter() - began + sum(it.seconds for it in fitted)
        outcomes = customers[f"purchases_{split.horizon}"].to_numpy(dtype=np.int64)
        forecasts = forecast(parts, states, outcomes, split.horizon, watched.subsets)
        sampler = {"sound": all(it.sound for it in fitted), "seconds": seconds}
        labels: dict[str, Any] = {
            "origin": split.origin,
            "horizon": split.horizon,
            "method": method.name,
        }
        by_segment = by_rfm_segment(forecasts, group)
        lower, upper = forecasts.total_interval(LEVEL, settings.seed)
        total = {"expected_lower": lower, "expected_upper": upper}
        corner, cells = watched.shares(forecasts, labels, settings.seed)
        rows.append(
            Scored(
                split,
                method.name,
                customers["customer_id"],
                forecasts,
                scores=labels | scores_of(forecasts, by_segment) | total | sampler,
                by_segment=by_segment.assign(**labels),
                by_bin=by_bin(forecasts).assign(**labels),
                corner=corner,
                cells=cells,
                stack=stack,
            )
        )
    return rows


def stacked(
    bases: Sequence[Method],
    past: Transactions,
    split: Split,
    settings: SamplerSettings,
    fits: Fits,
) -> pd.DataFrame:
    """Learn the weights of a mixture on an inner split of the past.

    Where the past is too short for that, weights are equal.

    Returns
    -------
    One row per base: origin and horizon of the outer and of the inner split, ``method``,
    ``weight``, and ``log_score`` on the inner split.
    """
    inner = inner_split(past.start, split)
    few = replace(settings, draws=min(settings.draws, INNER_DRAWS))
    weights, means = np.full(len(bases), 1 / len(bases)), [None] * len(bases)
    if inner is not None:
        try:
            scores = inner_scores(bases, past, inner, few, fits)
            weights, means = stacking_weights(scores), scores.mean(axis=0).tolist()
        except InputError:  # nobody bought twice before the inner origin, or it is the first day
            inner = None
    columns = {
        "origin": split.origin,
        "horizon": split.horizon,
        "inner_origin": inner and inner.origin,
        "inner_horizon": inner and inner.horizon,
        "method": [base.name for base in bases],
        "weight": weights,
        "log_score": means,
    }
    return pd.DataFrame(columns).astype({"inner_origin": object, "inner_horizon": object})


def inner_scores(
    methods: Sequence[Method],
    past: Transactions,
    inner: Split,
    settings: SamplerSettings,
    fits: Fits,
) -> Floats:
    """Return the log scores of methods on one split of a log, ``(customer, method)``."""
    customers = customers_at(past, [inner])
    states = States.from_frame(customers)
    outcomes = customers[f"purchases_{inner.horizon}"].to_numpy(dtype=np.int64)
    before = past.until(inner.origin)
    fitted = [fits.of(method, before, settings) for method in methods]
    made = [forecast([it.part(states)], states, outcomes, inner.horizon) for it in fitted]
    return np.stack([it.log_score for it in made], axis=1)


def scores_of(forecasts: Forecasts, by_segment: pd.DataFrame) -> dict[str, Any]:
    """Return the scores of one method on one split that need no other method's forecasts."""
    error = forecasts.expected - forecasts.outcome
    actual = int(forecasts.outcome.sum())
    segment_error = (by_segment["expected"] - by_segment["actual"]).abs().sum()
    return {
        "customers": len(forecasts.outcome),
        "active": float(forecasts.happened.mean()),
        "log_score": float(forecasts.log_score.mean()),
        "crps": float(forecasts.crps.mean()),
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt(np.mean(error**2))),
        "expected": float(forecasts.expected.sum()),
        "actual": actual,
        "brier": brier(forecasts.chance, forecasts.happened),
        "calibration_error": calibration_error(forecasts.chance, forecasts.happened),
        "auc": auc(forecasts.chance, forecasts.happened),
        "coverage_50": coverage(forecasts.below, forecasts.up_to, 0.5),
        "coverage_90": coverage(forecasts.below, forecasts.up_to, 0.9),
        "segment_error": float(segment_error / actual) if actual else float("nan"),
    }


def by_rfm_segment(forecasts: Forecasts, group: pd.Series) -> pd.DataFrame:
    """Return observed and expected purchases, and the number of customers, by RFM segment."""
    frame = pd.DataFrame(
        {"segment": group, "actual": forecasts.outcome, "expected": forecasts.expected}
    )
    grouped = frame.groupby("segment")
    return grouped.sum().assign(customers=grouped.size()).reset_index()


def by_bin(forecasts: Forecasts) -> pd.DataFrame:
    """Return forecast and observed shares who bought, in bins of the forecast."""
    forecast_share, observed, size = reliability(forecasts.chance, forecasts.happened).T
    return pd.DataFrame(
        {"forecast": forecast_share, "observed": observed, "customers": size.astype(np.int64)}
    )

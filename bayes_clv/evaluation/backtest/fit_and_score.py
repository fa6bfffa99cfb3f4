"""Fit one method at one origin, forecast, and score."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import pandas as pd

from bayes_clv.data.engines import cached
from bayes_clv.data.rfm import durations, summarise
from bayes_clv.data.states import States
from bayes_clv.data.transactions import Transactions
from bayes_clv.evaluation.backtest.forecasts import Forecasts, Part, forecast
from bayes_clv.evaluation.backtest.methods import Method
from bayes_clv.evaluation.backtest.scoring_rules import (
    auc,
    brier,
    calibration_error,
    coverage,
    reliability,
)
from bayes_clv.evaluation.backtest.splits import Split
from bayes_clv.inference.estimator import HierarchicalBetaGeo
from bayes_clv.inference.fitting import fit_table
from bayes_clv.inference.landmarks import own_past_table
from bayes_clv.inference.sampling import SamplerSettings
from bayes_clv.posterior.draws import by_code, reactivation_of
from bayes_clv.posterior.mixtures import ModelDraws
from bayes_clv.posterior.state_groups import Assigned
from bayes_clv.segments.estimators import RFMSegmenter

FORECAST_DRAWS = 1000  # enough for an average over draws
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
    """
    began = time.perf_counter()
    model = HierarchicalBetaGeo(method.segmenter, method.landmarks, dropout=method.dropout)
    data = model.prepare(past, seed=settings.seed)
    table = own_past_table(data.at_end) if method.own_past else data.table
    fitted = fit_table(table, data.rule.names, settings, dropout=method.dropout)
    seconds = time.perf_counter() - began
    draws = ModelDraws(by_code(fitted.tree), method.dropout, reactivation_of(fitted.tree))
    states = States.from_frame(customers)
    assigned = Assigned(data.rule.assign(states), data.rule if data.rule.soft else None)
    part = Part(1.0, draws.thinned(FORECAST_DRAWS), assigned)
    rows = []
    for split in splits:
        outcomes = customers[f"purchases_{split.horizon}"].to_numpy(dtype=np.int64)
        forecasts = forecast([part], states, outcomes, split.horizon)
        labels: dict[str, Any] = {
            "origin": split.origin,
            "horizon": split.horizon,
            "method": method.name,
        }
        by_segment = by_rfm_segment(forecasts, group)
        lower, upper = forecasts.total_interval(LEVEL, settings.seed)
        scores = (
            labels
            | scores_of(forecasts, by_segment)
            | {
                "expected_lower": lower,
                "expected_upper": upper,
                "sound": fitted.diagnostics.sound,
                "seconds": seconds,
            }
        )
        forecast_share, observed, size = reliability(forecasts.chance, forecasts.happened).T
        by_bin = pd.DataFrame(
            {"forecast": forecast_share, "observed": observed, "customers": size.astype(np.int64)}
        )
        rows.append(
            Scored(
                split,
                method.name,
                customers["customer_id"],
                forecasts,
                scores,
                by_segment.assign(**labels),
                by_bin.assign(**labels),
            )
        )
    return rows


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

"""One method, one origin: fit to the past, forecast, and score."""

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
from bayes_clv.inference.estimator import HierarchicalBetaGeo
from bayes_clv.inference.fitting import fit_table
from bayes_clv.inference.landmarks import own_past_table
from bayes_clv.inference.sampling import SamplerSettings
from bayes_clv.posterior.draws import by_code
from bayes_clv.segments.estimators import RFMSegmenter

FORECAST_DRAWS = 1000  # are enough: averages over draws hardly change with more
LEVEL = 0.9  # of the interval of the total


@dataclass(frozen=True)
class Scored:
    """One method on one split: its scores, and the log scores to compare it by."""

    split: Split
    method: str
    customer: pd.Series
    forecasts: Forecasts
    scores: dict[str, Any]
    by_segment: pd.DataFrame
    by_bin: pd.DataFrame


def customers_at(transactions: Transactions, splits: Sequence[Split]) -> pd.DataFrame:
    """States at the origin, and ``purchases_H``, the purchase days in the H days after it."""
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
    """RFM segments at the origin, by which all methods are compared."""
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
        What to fit.
    past
        The log until the origin.
    splits
        All of one origin.
    customers, group
        From ``customers_at`` and ``rfm_segments``.
    settings
        Of the sampler.
    """
    began = time.perf_counter()
    model = HierarchicalBetaGeo(method.segmenter, method.landmarks, dropout=method.dropout)
    data = model.prepare(past, seed=settings.seed)
    table = own_past_table(data.at_end) if method.own_past else data.table
    fitted = fit_table(table, data.rule.names, settings, dropout=method.dropout)
    seconds = time.perf_counter() - began
    parameters = by_code(fitted.tree)
    parameters = parameters[:, :: max(1, parameters.r.shape[1] // FORECAST_DRAWS)]
    states = States.from_frame(customers)
    codes = data.rule.assign(states)
    rows = []
    for split in splits:
        outcomes = customers[f"purchases_{split.horizon}"].to_numpy(dtype=np.int64)
        made = forecast(parameters, codes, states, outcomes, split.horizon, method.dropout)
        of: dict[str, Any] = {
            "origin": split.origin,
            "horizon": split.horizon,
            "method": method.name,
        }
        by_segment = by_rfm_segment(made, group)
        lower, upper = made.total_interval(LEVEL, settings.seed)
        scores = (
            of
            | scores_of(made, by_segment)
            | {
                "expected_lower": lower,
                "expected_upper": upper,
                "sound": fitted.diagnostics.sound,
                "seconds": seconds,
            }
        )
        chance, share, size = reliability(made.chance, made.happened).T
        by_bin = pd.DataFrame(
            {"forecast": chance, "observed": share, "customers": size.astype(np.int64)}
        )
        rows.append(
            Scored(
                split,
                method.name,
                customers["customer_id"],
                made,
                scores,
                by_segment.assign(**of),
                by_bin.assign(**of),
            )
        )
    return rows


def scores_of(made: Forecasts, by_segment: pd.DataFrame) -> dict[str, Any]:
    """Return the scores that one method has by itself on one split: most of ``SCORES``."""
    error = made.expected - made.outcome
    actual = int(made.outcome.sum())
    missed = (by_segment["expected"] - by_segment["actual"]).abs().sum()
    return {
        "customers": len(made.outcome),
        "active": float(made.happened.mean()),
        "log_score": float(made.log_score.mean()),
        "crps": float(made.crps.mean()),
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt(np.mean(error**2))),
        "expected": float(made.expected.sum()),
        "actual": actual,
        "brier": brier(made.chance, made.happened),
        "calibration_error": calibration_error(made.chance, made.happened),
        "auc": auc(made.chance, made.happened),
        "coverage_50": coverage(made.below, made.up_to, 0.5),
        "coverage_90": coverage(made.below, made.up_to, 0.9),
        "segment_error": float(missed / actual) if actual else float("nan"),
    }


def by_rfm_segment(made: Forecasts, group: pd.Series) -> pd.DataFrame:
    """Actual and expected purchases, and customers, of each of the groups."""
    frame = pd.DataFrame({"segment": group, "actual": made.outcome, "expected": made.expected})
    grouped = frame.groupby("segment")
    return grouped.sum().assign(customers=grouped.size()).reset_index()

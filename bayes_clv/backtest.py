"""Which pooling predicts best? Rolling origins: fit to the past, forecast, and see what came.

At each origin every method sees the log up to that day and no further, its segments are learnt from
that past, and each customer's purchases within each horizon are forecast by the exact law of
``sample_purchases`` over posterior draws. All methods answer for the same customers, so that
differences are paired.

The methods: one set of parameters for all (pooled, the reference); segments by the landmark
likelihood; and segments fitted to their own past, which uses the data twice and is here to show
what that costs.
"""

import datetime as dt
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ibis
import numpy as np
import pandas as pd

from bayes_clv.bgnbd import Dropout
from bayes_clv.errors import InputError
from bayes_clv.fitting import fit_table
from bayes_clv.forecasts import Forecasts, forecast
from bayes_clv.hierarchical import HierarchicalBetaGeo, Segmenter
from bayes_clv.landmarks import own_past_table
from bayes_clv.posterior import by_code
from bayes_clv.rfm import durations, sample_customers, summarise
from bayes_clv.sampling import SamplerSettings
from bayes_clv.scoring_rules import (
    auc,
    brier,
    calibration_error,
    coverage,
    mean_difference,
    reliability,
)
from bayes_clv.segments.estimators import FEATURES, KMeansSegmenter, RFMSegmenter
from bayes_clv.states import States
from bayes_clv.transactions import Transactions

FAST_CUSTOMERS = 20_000
FAST_DRAWS = 500
DRAWS = 1000
FORECAST_DRAWS = 1000  # an average over draws has long settled by then
LEVEL = 0.9  # of the interval of the total
_FEWEST_DAYS = 12  # in a log, for three origins and a horizon


@dataclass(frozen=True, slots=True)
class Split:
    """Fit to what was known on ``origin``; forecast the ``horizon`` days after it."""

    origin: dt.date
    horizon: int

    @property
    def end(self) -> dt.date:
        """The last day that is forecast."""
        return self.origin + dt.timedelta(days=self.horizon)


@dataclass(frozen=True)
class Method:
    """A way to share parameters between customers.

    Attributes
    ----------
    name
        For people.
    segmenter
        None pools everybody.
    landmarks
        How many, spread evenly over the past.
    dropout
        BG/NBD or MBG/NBD.
    own_past
        Fit each segment to the histories that define it: the baseline that is wrong.
    options
        What ``bayes-clv fit`` takes for the same model; empty where it refuses to.
    """

    name: str
    segmenter: Segmenter | None = None
    landmarks: int = 1
    dropout: Dropout = Dropout.AFTER_REPEAT
    own_past: bool = False
    options: str = ""


POOLED = Method("pooled", options="--segments none")


def default_methods(
    n_segments: Sequence[int] = (3, 5, 8), landmarks: Sequence[int] = (4,)
) -> tuple[Method, ...]:
    """Return the methods that the command line compares.

    Parameters
    ----------
    n_segments
        Of KMeans; the one in the middle also stands for KMeans elsewhere.
    landmarks
        How many dates, for each segmentation.
    """
    middle = sorted(n_segments)[len(n_segments) // 2]
    mbg = Dropout.AFTER_ANY
    methods = [
        POOLED,
        replace(POOLED, name="pooled, MBG/NBD", dropout=mbg, options=_options("none", dropout=mbg)),
        Method(f"KMeans {middle}, own past", KMeansSegmenter(middle), 1, own_past=True),
        Method("RFM, own past", RFMSegmenter(), 1, own_past=True),
    ]
    for m in landmarks:
        several = f" × {m}" if len(landmarks) > 1 else ""
        methods.append(Method(f"RFM{several}", RFMSegmenter(), m, options=_options("rfm", m)))
        methods += [
            Method(f"KMeans {k}{several}", KMeansSegmenter(k), m, options=_options("kmeans", m, k))
            for k in n_segments
        ]
        methods += [
            Method(
                f"KMeans {middle}{several}, {' + '.join(map(_short, features))}",
                KMeansSegmenter(middle, features=features),
                m,
                options=_options("kmeans", m, middle, features),
            )
            for features in (FEATURES[:2], FEATURES[:1])
        ]
        methods += [
            Method(
                f"{name}{several}, MBG/NBD",
                segmenter,
                m,
                mbg,
                options=_options(kind, m, k, dropout=mbg),
            )
            for name, segmenter, kind, k in (
                ("RFM", RFMSegmenter(), "rfm", None),
                (f"KMeans {middle}", KMeansSegmenter(middle), "kmeans", middle),
            )
        ]
    return tuple(methods)


def _short(feature: str) -> str:
    return {"idle_time": "idle", "monetary_value": "spend"}.get(feature, feature)


def _options(
    segments: str,
    landmarks: int | None = None,
    n_segments: int | None = None,
    features: tuple[str, ...] | None = None,
    dropout: Dropout | None = None,
) -> str:
    given = {
        "segments": segments,
        "n-segments": n_segments,
        "features": features and ",".join(features),
        "landmarks": landmarks,
        "dropout": dropout and dropout.value,
    }
    return " ".join(f"--{name} {value}" for name, value in given.items() if value is not None)


def default_splits(start: dt.date, end: dt.date) -> tuple[Split, ...]:
    """Three origins, at 1/2, 2/3 and 5/6 of the log, each with every horizon that fits.

    Horizons are 1/6, 1/3 and 1/2 of the log.
    """
    days = (end - start).days
    if days < _FEWEST_DAYS:
        raise InputError(f"a backtest needs a log of at least {_FEWEST_DAYS} days: it has {days}")
    splits = []
    for sixths in (3, 4, 5):
        origin = start + dt.timedelta(days=round(days * sixths / 6))
        for ahead in range(1, 6 - sixths + 1):
            to_the_end = ahead == 6 - sixths
            horizon = (end - origin).days if to_the_end else round(days * ahead / 6)
            splits.append(Split(origin, horizon))
    return tuple(splits)


def check_splits(
    transactions: Transactions, origins: Sequence[dt.date], horizons: Sequence[int]
) -> tuple[Split, ...]:
    """Return every origin with every horizon that the log still covers.

    Raises
    ------
    InputError
        An origin lies outside of the log, or none has a horizon that fits.
    """
    for origin in origins:
        if not transactions.start < origin < transactions.end:
            raise InputError(
                f"an origin must lie after {transactions.start} and before {transactions.end}: "
                f"{origin}"
            )
    for horizon in horizons:
        if horizon < 1:
            raise InputError(f"a horizon must be at least 1 day: {horizon}")
    splits = tuple(
        Split(origin, horizon)
        for origin in sorted(set(origins))
        for horizon in sorted(set(horizons)) or ((transactions.end - origin).days,)
        if origin + dt.timedelta(days=horizon) <= transactions.end
    )
    if not splits:
        raise InputError(f"no horizon ends by {transactions.end}, the observation end")
    return splits


@dataclass(frozen=True)
class Backtest:
    """What every method said on every split, and how good it was.

    Attributes
    ----------
    table
        One row per split and method; the columns are those of ``SCORES``.
    overall
        One row per method, over all splits: ``gain`` of the log score over pooled with its standard
        error (customers are clusters), and the means of the other scores.
    segments
        Per split, method and RFM segment of the origin: customers, actual and expected purchases.
    reliability
        Per split and method, in bins of the chance to buy again: said, came, customers.
    n_customers
        Customers in the log; ``sampled`` is how many of them a fast run looked at, or None.
    methods, splits
        In the order of the tables.
    seconds
        Wall time.
    """

    table: pd.DataFrame
    overall: pd.DataFrame
    segments: pd.DataFrame
    reliability: pd.DataFrame
    source: str
    n_customers: int
    sampled: int | None
    methods: tuple[Method, ...]
    splits: tuple[Split, ...]
    settings: SamplerSettings
    seconds: float

    def at(self, split: Split) -> pd.DataFrame:
        """Return the rows of ``table`` for one split."""
        here = (self.table["origin"] == split.origin) & (self.table["horizon"] == split.horizon)
        return self.table[here]

    @property
    def best(self) -> Method:
        """The best log score over all splits among the methods that ``fit`` offers.

        Pooled, unless another is better by more than two standard errors.
        """
        offered = [method for method in self.methods if method.options]
        gains = self.overall.loc[[method.name for method in offered]]
        name = str(gains["gain"].idxmax())
        clearly = gains["gain"][name] > 2 * gains["gain_se"][name]
        best = name if clearly else POOLED.name
        return next(method for method in offered if method.name == best)


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
    transactions: Transactions,
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
        The log.
    methods
        By default ``default_methods()``; ``POOLED`` is always among them.
    splits
        By default ``default_splits``.
    draws
        Per chain, of four; 1000 by default, 500 in a fast run.
    seed
        Of sampling, and of who is looked at in a fast run.
    fast
        Look at 20,000 customers at most, and draw half as often.
    on_step
        Told what is fitted, how many fits are done, and of how many.

    Raises
    ------
    InputError
        The log or an argument cannot be used.
    """
    began = time.perf_counter()
    methods = tuple(methods or default_methods())
    if not any(method.name == POOLED.name for method in methods):
        methods = (POOLED, *methods)
    splits = tuple(splits or default_splits(transactions.start, transactions.end))
    splits = tuple(sorted(splits, key=lambda split: (split.origin, split.horizon)))
    settings = SamplerSettings(draws or (FAST_DRAWS if fast else DRAWS), seed=seed)
    n_customers = int(transactions.table.customer_id.nunique().execute())
    sampled = min(n_customers, FAST_CUSTOMERS) if fast else None
    if fast:
        transactions = _of_some(transactions, FAST_CUSTOMERS, seed)
    rows: list[Scored] = []
    origins = sorted({split.origin for split in splits})
    for o, origin in enumerate(origins):
        past = transactions.until(origin)
        here = [split for split in splits if split.origin == origin]
        customers = customers_at(transactions, here)
        group = rfm_segments(customers)
        for m, method in enumerate(methods):
            step = o * len(methods) + m
            on_step(f"{origin}: {method.name}", step, len(origins) * len(methods))
            rows += evaluate(method, past, here, customers, group, settings)
    on_step("comparing", len(origins) * len(methods), len(origins) * len(methods))
    return Backtest(
        table=_table(rows),
        overall=_overall(rows),
        segments=pd.concat([row.by_segment for row in rows], ignore_index=True),
        reliability=pd.concat([row.by_bin for row in rows], ignore_index=True),
        source=transactions.source,
        n_customers=n_customers,
        sampled=sampled,
        methods=methods,
        splits=splits,
        settings=settings,
        seconds=time.perf_counter() - began,
    )


@dataclass(frozen=True)
class Scored:
    """One method on one split: scores, and what is needed to compare it with others."""

    split: Split
    method: str
    customer: pd.Series
    forecasts: Forecasts
    scores: dict[str, Any]
    by_segment: pd.DataFrame
    by_bin: pd.DataFrame


def _of_some(transactions: Transactions, n: int, seed: int) -> Transactions:
    everybody = summarise(transactions).select("customer_id", "landmark")
    some = sample_customers(everybody, n, seed).select("customer_id")
    table = transactions.table.semi_join(some, "customer_id").cache()
    return replace(transactions, table=table)


def customers_at(transactions: Transactions, splits: Sequence[Split]) -> pd.DataFrame:
    """States at the origin, and ``purchases_H``, the purchase days in the H days after it."""
    origin = splits[0].origin
    states = durations(summarise(transactions, [origin, *(split.end for split in splits)]))
    now = states.filter(states.landmark == ibis.literal(origin))
    frame: pd.DataFrame = now.order_by("customer_id").to_pandas()
    for split in splits:
        then = states.filter(states.landmark == ibis.literal(split.end))
        counts = then.select("customer_id", "frequency").to_pandas().set_index("customer_id")
        later = counts["frequency"].reindex(frame["customer_id"]).to_numpy()
        frame[f"purchases_{split.horizon}"] = later - frame["frequency"].to_numpy()
    return frame


def rfm_segments(customers: pd.DataFrame) -> pd.Series:
    """RFM segments of the origin: the same yardstick for all methods."""
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
        How long to sample.
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
        said, came, size = reliability(made.chance, made.happened).T
        by_bin = pd.DataFrame({"said": said, "came": came, "customers": size.astype(np.int64)})
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
    """Over all splits: gains weigh customers alike, and the scores the splits."""
    reference = {row.split: row for row in rows if row.method == POOLED.name}
    records = {}
    for method in dict.fromkeys(row.method for row in rows):
        mine = [row for row in rows if row.method == method]
        differences = [
            row.forecasts.log_score - reference[row.split].forecasts.log_score for row in mine
        ]
        who, _ = pd.factorize(pd.concat([row.customer for row in mine], ignore_index=True))
        gain, error = mean_difference(np.concatenate(differences), who)
        means = {name: float(np.mean([row.scores[name] for row in mine])) for name in _AVERAGED}
        records[method] = {"gain": gain, "gain_se": error, **means} | {
            "sound": all(row.scores["sound"] for row in mine)
        }
    return pd.DataFrame.from_dict(records, orient="index").rename_axis("method")

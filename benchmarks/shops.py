"""Which method predicts best, shop by shop? ``python -m benchmarks.shops [--data FOLDER]``.

Out of sample, on four retailers' logs: the methods of the backtest, and gradient boosting
(`benchmarks.boosting`). On each split all methods forecast the purchases of the same customers,
from the same day, over the same days. The splits are

    CDNOW       its published split: 39 weeks, and the 39 weeks after it
    retailer    the six that ``bayes-clv backtest`` makes of a log by default
    grocer      the first 90 days of 2007, from all of 2006
    apparel     a year from the end of 2008, and a year from the middle of 2009

The files of the last three are not in the project, and are left out if they are missing. Other
logs, kept aside, are added by ``--log NAME FILE``, with ``--origin`` and ``--horizon``.

"fit" is what ``bayes-clv fit`` makes of a log if no option is given. "RFM, hard, BG/NBD" is what it
made before segments were soft and customers could come back. The corner are customers with at least
8 repeat orders whose silence is at least 10 times as long as their mean gap: they are few, and
mistakes about them are large.
"""

import datetime as dt
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_clv import Transactions, load_cdnow, read_transactions
from bayes_clv.data.states import States
from bayes_clv.evaluation.backtest.fit_and_score import customers_at, evaluate, rfm_segments
from bayes_clv.evaluation.backtest.fits import Fits
from bayes_clv.evaluation.backtest.methods import POOLED, Method, default_methods
from bayes_clv.evaluation.backtest.scoring_rules import (
    Floats,
    auc,
    brier,
    calibration_error,
    log_scores,
    mean_difference,
)
from bayes_clv.evaluation.backtest.splits import Split, check_splits, default_splits
from bayes_clv.evaluation.backtest.watched import (
    LEVEL,
    LONG_SILENCE,
    MANY_PURCHASES,
    gone_silent,
    share_who_buy,
)
from bayes_clv.inference.sampling import SamplerSettings
from bayes_clv.posterior.choices import AUTO
from bayes_clv.segments.estimators import KMeansSegmenter, RFMSegmenter
from benchmarks import report
from benchmarks.boosting import boosted
from benchmarks.data import RETAILERS, SHARED
from benchmarks.harness import Row, say
from benchmarks.report import Column, Report

_HARD = RFMSegmenter(bandwidth=None)
METHODS = (
    POOLED,
    Method("RFM, hard, BG/NBD", _HARD, 4),
    Method("RFM, hard", _HARD, 4, AUTO),
    Method("RFM, no return", RFMSegmenter(), 4, AUTO, reactivation=False),
    Method("fit", RFMSegmenter(), 4, AUTO),
    Method("KMeans 5", KMeansSegmenter(5), 4, AUTO),
    default_methods()[-1],
)
BOOSTING = "gradient boosting"
DEVELOPING: dict[str, tuple[Split, ...] | None] = {
    "CDNOW": (Split(dt.date(1997, 9, 30), 273),),
    "retailer": None,  # the backtest's default
    "grocer": (Split(dt.date(2006, 12, 31), 90),),
    "apparel": (Split(dt.date(2008, 12, 31), 365), Split(dt.date(2009, 6, 30), 365)),
}
DRAWS, FEWER_DRAWS = 1000, 500
_FORECAST, _MANY_DRAWS = ("forecast", "lower", "upper"), 4000
CERTAIN = 1e-12  # chances are kept this far from 0 and 1, so that a surprise costs 27.6 nats

_SCORES = {
    "gain": Column("over pooled", "+.4f"),
    "gain_se": Column("its error", ".4f"),
    "buying": Column("buying, over pooled", "+.4f"),
    "buying_se": Column("its error", ".4f"),
    "calibration_error": Column("calib. error", ".3f"),
    "brier": Column("Brier", ".4f"),
    "auc": Column("AUC", ".3f"),
}
SPLIT = {
    "log": Column("log"),
    "origin": Column("origin"),
    "horizon": Column("days", "d"),
    "customers": Column("customers", ",d"),
}
OF_SPLITS = SPLIT | {
    "active": Column("came back", ".0%"),
    "method": Column("method"),
    "log_score": Column("log score", ".4f"),
    **_SCORES,
    "seconds": Column("fit, s", ".0f"),
    "sound": Column("fit"),
}
AVERAGES = {
    "method": Column("method"),
    "over": Column("average over"),
    **_SCORES,
    "worst": Column("worst split", "+.4f"),
}
CORNER = SPLIT | {
    "customers": Column("in the corner", ",d"),
    "observed": Column("came back", ".1%"),
    "method": Column("method"),
    "forecast": Column("forecast", ".1%"),
    "lower": Column(f"{LEVEL:.0%} from", ".1%"),
    "upper": Column("to", ".1%"),
    "inside": Column("inside"),
}


@dataclass(frozen=True)
class Scored:
    """One method's forecasts on one split; arrays are ``(customer,)``, in the same order for all.

    Attributes
    ----------
    log, split, method
        Of these forecasts.
    customer
        Identifiers.
    chance, happened
        Forecast probability of at least one purchase, and whether there was one.
    log_score
        Log score of the number of purchases.
    corner
        Of the customers in the corner: ``watched.COLUMNS``; empty if there are none.
    seconds, sound
        Of the fit; boosting has none.
    """

    log: str
    split: Split
    method: str
    customer: NDArray[np.generic]
    chance: Floats
    happened: NDArray[np.bool_]
    log_score: Floats
    corner: Row
    seconds: float | None = None
    sound: bool | None = None

    @property
    def where(self) -> tuple[str, Split]:
        return self.log, self.split

    @property
    def log_score_of_buying(self) -> Floats:
        """Log score of whether the customer buys at all."""
        chance = np.clip(self.chance, CERTAIN, 1 - CERTAIN)
        return log_scores(np.column_stack([1 - chance, chance]), self.happened.astype(np.int64))


def parser() -> ArgumentParser:
    parser = report.parser(__doc__ or "")
    add = parser.add_argument
    add("--data", type=Path, default=SHARED, metavar="FOLDER", help="where the logs' files are")
    add("--log", nargs=2, action="append", default=[], metavar=("NAME", "FILE"), help="one more")
    add("--origin", action="append", default=[], help="last day of the past in each --log")
    add("--horizon", action="append", default=[], type=int, help="days ahead in each --log")
    add("--only", action="append", metavar="NAME", help="this log only; may be repeated")
    add(
        "--method", action="append", choices=[it.name for it in METHODS], help="this one and pooled"
    )
    add("--draws", type=int, help="draws per chain")
    return parser


def measure(arguments: Namespace) -> list[Report]:
    methods = chosen_methods(arguments.method or [it.name for it in METHODS])
    settings = SamplerSettings(arguments.draws or (DRAWS if arguments.full else FEWER_DRAWS))
    found, missing = chosen_logs(arguments)
    scored: list[Scored] = []
    for name, file in found.items():
        log = load_cdnow() if file is None else read_transactions(file)
        splits = DEVELOPING.get(name)
        if name not in DEVELOPING and (arguments.origin or arguments.horizon):
            splits = check_splits(log, arguments.origin, arguments.horizon)
        splits = splits or default_splits(log.start, log.end)
        scored += scores_of(name, log, splits, methods, settings)
    notes = [
        "Log scores are per customer, in nats; more is better. Over pooled: mean difference from "
        "pooled BG/NBD, customer by customer, with its standard error; of the number of purchases, "
        "and of whether the customer buys at all (buying). Calib. error: mean distance between "
        "forecast chances of buying and observed shares in 20 bins. "
        f"Ours: {settings.draws * settings.chains:,} draws.",
        _ABOUT_BOOSTING,
    ]
    if missing:
        notes.append(f"Left out because their files are missing: {', '.join(missing)}.")
    about_corner = [
        f"Customers with at least {MANY_PURCHASES} repeat orders, silent for at least "
        f"{LONG_SILENCE} of their own mean gaps. Interval: {LEVEL:.0%} of the share that comes "
        "back, with the uncertainty of the parameters, which boosting does not give."
    ]
    return [
        Report("Averages over splits", AVERAGES, averages(scored), notes),
        Report("Each split", OF_SPLITS, of_splits(scored), []),
        Report("Frequent customers gone silent", CORNER, of_corner(scored), about_corner),
    ]


_ABOUT_BOOSTING = (
    "Gradient boosting: scikit-learn's HistGradientBoosting, trained on up to six landmarks inside "
    "the past, half a horizon apart, each with a whole horizon of future before the origin; there "
    "is none where the past is too short for that. A classifier for the chance of buying; for the "
    "number, a hurdle: that chance, and a negative binomial for purchases beyond the first, whose "
    "mean is a Poisson boosting's, with one dispersion fitted to customers whom it had not seen. "
    "Five folds of customers, early stopping within training, no tuning."
)


def chosen_logs(arguments: Namespace) -> tuple[dict[str, Path | None], list[str]]:
    """Return the logs to measure with their files (None: CDNOW), and those whose files are missing.

    Raises
    ------
    SystemExit
        No log has a name given by ``--only``, or none is left.
    """
    files: dict[str, Path | None] = {
        name: arguments.data / RETAILERS[name] if name in RETAILERS else None for name in DEVELOPING
    }
    files |= {name: Path(file) for name, file in arguments.log}
    wanted = arguments.only or list(files)
    if unknown := [name for name in wanted if name not in files]:
        raise SystemExit(f"--only names no log: {', '.join(unknown)}; there are {', '.join(files)}")
    found = {name: file for name in wanted if (file := files[name]) is None or file.exists()}
    missing = [name for name in wanted if name not in found]
    if not found:
        raise SystemExit(f"no file of these logs was found: {', '.join(missing)}")
    return found, missing


def chosen_methods(names: Sequence[str]) -> tuple[Method, ...]:
    """Return methods by their names; pooled is always the first."""
    return tuple(it for it in METHODS if it is POOLED or it.name in names)


def scores_of(
    name: str,
    log: Transactions,
    splits: Sequence[Split],
    methods: Sequence[Method],
    settings: SamplerSettings,
) -> list[Scored]:
    """Forecast on every split by each method and by boosting, and score the forecasts."""
    scored = []
    for origin, some in groupby(sorted(splits, key=_origin_first), lambda split: split.origin):
        of_origin, past = list(some), log.until(origin)
        customers = customers_at(log, of_origin)
        group, ids = rfm_segments(customers), customers["customer_id"].to_numpy()
        corner, fits = gone_silent(States.from_frame(customers)), Fits()
        for method in methods:
            say(f"{name}, {origin}: {method.name}")
            for made in evaluate(method, past, of_origin, customers, group, settings, fits):
                kept, about = made.forecasts, made.scores
                inside = made.corner.to_dict("records")
                of_method = (ids, kept.chance, kept.happened, kept.log_score, *(inside or [{}]))
                fit = (about["seconds"], about["sound"])
                scored.append(Scored(name, made.split, method.name, *of_method, *fit))
        for split in of_origin:
            say(f"{name}, {origin} + {split.horizon} days: {BOOSTING}")
            if found := boosted(past, split, settings.seed):
                known, hurdle = found
                outcome = customers[f"purchases_{split.horizon}"].to_numpy(dtype=np.int64)
                score = log_scores(hurdle.probabilities(int(outcome.max(initial=0))), outcome)
                assert np.array_equal(known.to_numpy(), ids)  # else scores would be of others
                inside = corner_of(hurdle.chance[corner], outcome[corner] > 0, settings.seed)
                chances = (ids, hurdle.chance, outcome > 0, score, inside)
                scored.append(Scored(name, split, BOOSTING, *chances))
    return scored


def corner_of(chance: Floats, happened: NDArray[np.bool_], seed: int) -> Row:
    """Compare chances without draws of parameters with what happened in the corner."""
    if not len(chance):
        return {}
    rng = np.random.default_rng(seed)
    return share_who_buy(chance, np.full(_MANY_DRAWS, chance.sum()), happened, rng)


def of_splits(scored: Sequence[Scored]) -> list[Row]:
    """Return one row per split and method."""
    pooled = _pooled(scored)
    return [_row(it, pooled[it.where]) for it in scored]


def _row(it: Scored, pooled: Scored) -> Row:
    one_each = np.arange(len(it.customer))
    gain, gain_se = mean_difference(it.log_score - pooled.log_score, one_each)
    of_buying = it.log_score_of_buying - pooled.log_score_of_buying
    buying, buying_se = mean_difference(of_buying, one_each)
    return _labels(it) | {
        "customers": len(it.customer),
        "active": float(it.happened.mean()),
        "log_score": float(it.log_score.mean()),
        "gain": gain,
        "gain_se": gain_se,
        "buying": buying,
        "buying_se": buying_se,
        "calibration_error": calibration_error(it.chance, it.happened),
        "brier": brier(it.chance, it.happened),
        "auc": auc(it.chance, it.happened),
        "seconds": it.seconds,
        "sound": None if it.sound is None else "sound" if it.sound else "unsound",
    }


def averages(scored: Sequence[Scored]) -> list[Row]:
    """Return one row per method, over all splits, and again over those that boosting has."""
    with_boosting = {it.where for it in scored if it.method == BOOSTING}
    everywhere = {it.where for it in scored}
    rows = []
    for splits in [everywhere, with_boosting] if with_boosting < everywhere else [everywhere]:
        some = [it for it in scored if it.where in splits]
        for method in dict.fromkeys(it.method for it in some):
            own = [it for it in some if it.method == method]
            if len(own) == len(splits):
                rows.append(_average(own, _pooled(some)))
    return rows


def _average(own: Sequence[Scored], pooled: dict[tuple[str, Split], Scored]) -> Row:
    """Average the scores of one method: splits have equal weight, customers are clusters."""
    rows = [_row(it, pooled[it.where]) for it in own]
    names = ("gain", "buying", "calibration_error", "brier", "auc")
    means = {name: float(np.mean([row[name] for row in rows])) for name in names}
    return {
        "method": own[0].method,
        "over": f"{len(own)} split{'s' if len(own) > 1 else ''}",
        **means,
        "gain_se": _error(own, pooled, lambda it: it.log_score),
        "buying_se": _error(own, pooled, lambda it: it.log_score_of_buying),
        "worst": min(row["gain"] for row in rows),
    }


def _error(
    own: Sequence[Scored],
    pooled: dict[tuple[str, Split], Scored],
    score: Callable[[Scored], Floats],
) -> float:
    """Return the standard error of the mean over splits of a score's mean gain over pooled."""
    parts = []
    for it in own:
        gain = score(it) - score(pooled[it.where])
        weighted = (gain - gain.mean()) / (len(gain) * len(own))
        parts.append(pd.DataFrame({"log": it.log, "customer": it.customer, "part": weighted}))
    by_customer = pd.concat([it.astype({"customer": str}) for it in parts])
    clusters = by_customer.groupby(["log", "customer"])["part"].sum()
    return float(np.sqrt((clusters**2).sum()))


def of_corner(scored: Sequence[Scored]) -> list[Row]:
    """Return, per split and method, which share of the corner came back, and the forecasts."""
    return [
        _labels(it)
        | {name: it.corner[name] for name in ("customers", "observed", *_FORECAST)}
        | {"inside": "yes" if within(it.corner) else "no"}
        for it in scored
        if it.corner
    ]


def within(corner: Row) -> bool:
    """Whether the share that came back is in its forecast's interval."""
    return bool(corner["lower"] <= corner["observed"] <= corner["upper"])


def _labels(it: Scored) -> Row:
    return {
        "log": it.log,
        "origin": it.split.origin.isoformat(),
        "horizon": it.split.horizon,
        "method": it.method,
    }


def _pooled(scored: Sequence[Scored]) -> dict[tuple[str, Split], Scored]:
    return {it.where: it for it in scored if it.method == POOLED.name}


def _origin_first(split: Split) -> tuple[dt.date, int]:
    return split.origin, split.horizon


if __name__ == "__main__":
    report.run("shops", parser().parse_args(), measure)

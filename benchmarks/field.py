"""Who predicts purchases best? ``python -m benchmarks.field [--log FILE]``: ours and the peers.

All methods forecast for the same customers, from the same day, over the same days. A peer estimates
its parameters in its own environment and returns its draws, or its one estimate. Each method's
forecast is then the model's exact distribution of the number of purchases at these parameters,
averaged over draws, and all are scored alike. (The peers themselves give expectations only.) The
peers' segments are those of the customers at the origin, by KMeans with 5 centroids. Covariates
allow nothing else, so these fits use the data twice.

The data are CDNOW at its published split, 39 weeks and 39 weeks: the 1/10 sample or, with
``--full``, all of it; and another log, such as Online Retail II, if ``--log`` names one.
"""

from argparse import ArgumentParser, Namespace
from pathlib import Path

import numpy as np
import pandas as pd

from bayes_clv.models.bgnbd import Dropout, Parameters
from benchmarks import data, report
from benchmarks.harness import Row, in_a_process, in_peer, say
from benchmarks.report import Column, Report

PEERS = {
    "pymc-marketing": ("pooled", Dropout.AFTER_REPEAT),
    "pymc-marketing-mbg": ("pooled, MBG/NBD", Dropout.AFTER_ANY),
    "pymc-marketing-segments": ("KMeans 5 as covariates", Dropout.AFTER_REPEAT),
    "lifetimes": ("pooled", Dropout.AFTER_REPEAT),
    "lifetimes-mbg": ("pooled, MBG/NBD", Dropout.AFTER_ANY),
}
COLUMNS = {
    "name": Column("method"),
    "log_score": Column("log score", ".4f"),
    "gain": Column("over pooled", "+.4f"),
    "gain_se": Column("its error", ".4f"),
    "crps": Column("CRPS", ".4f"),
    "mae": Column("MAE", ".3f"),
    "rmse": Column("RMSE", ".3f"),
    "expected": Column("orders", ",.0f"),
    "brier": Column("Brier", ".4f"),
    "calibration_error": Column("calib. error", ".3f"),
    "auc": Column("AUC", ".3f"),
    "coverage_50": Column("cover 50 %", ".0%"),
    "coverage_90": Column("cover 90 %", ".0%"),
    "segment_error": Column("segment error", ".0%"),
}


def parser() -> ArgumentParser:
    parser = report.parser(__doc__ or "")
    parser.add_argument("--log", type=Path, help="another log, split in the middle")
    return parser


def measure(arguments: Namespace) -> list[Report]:
    logs: list[tuple[str, Path | None, bool]] = [
        ("CDNOW", None, False) if arguments.full else ("CDNOW, 1/10 sample", None, True)
    ]
    if arguments.log:
        logs.append((arguments.log.stem, arguments.log, False))
    return [_compare(*log, peers=arguments.peer) for log in logs]


def _compare(name: str, path: Path | None, sample: bool, *, peers: bool) -> Report:
    with data.folder() as folder:
        say(f"{name}: fitting ours")
        ours = in_a_process(fit_ours, path, sample, folder)
        rows = ours["rows"]
        for peer, (words, dropout) in PEERS.items() if peers else ():
            say(f"{name}: fitting {peer}")
            draws = folder / f"{peer}.npz"
            run = in_peer("parameters", folder / "customers.parquet", peer, draws)
            row = in_a_process(score_peer, folder, draws, dropout)
            package = peer.removesuffix("-mbg").removesuffix("-segments")
            rows.append(row | {"name": f"{package} {run['version']}: {words}"})
    title = (
        f"{name}: known on {ours['origin']}, forecast for {ours['horizon']} days: "
        f"{ours['customers']:,} customers, {ours['active']:.0%} came back, "
        f"{ours['actual']:,} orders"
    )
    notes = [
        "Over pooled: mean difference of the log score from our pooled BG/NBD, customer by "
        "customer, with its standard error. Segment error: the sum of the RFM segments' absolute "
        "differences between forecast and observed orders, as a share of all observed orders. "
        "Ours: 4,000 draws; pymc-marketing: 2,000, its default priors; lifetimes: one "
        "estimate."
    ]
    return Report(title, COLUMNS, rows, notes)


def fit_ours(path: Path | None, sample: bool, folder: Path) -> Row:
    """Backtest ours, with the log split in the middle; write customers and scores for the peers."""
    from bayes_clv import KMeansSegmenter, RFMSegmenter, load_cdnow, read_transactions
    from bayes_clv.data.states import States
    from bayes_clv.evaluation.backtest.fit_and_score import customers_at, evaluate, rfm_segments
    from bayes_clv.evaluation.backtest.methods import POOLED, Method
    from bayes_clv.evaluation.backtest.purchases import backtest
    from bayes_clv.evaluation.backtest.splits import default_splits
    from bayes_clv.inference.estimator import HierarchicalBetaGeo

    log = read_transactions(path) if path else load_cdnow(sample=sample)
    first, *others = default_splits(log.start, log.end)
    split = [it for it in (first, *others) if it.origin == first.origin][-1]  # the longest
    methods = [
        POOLED,
        Method("pooled, MBG/NBD", dropout=Dropout.AFTER_ANY),
        Method("RFM by landmarks", RFMSegmenter(), 4),
        Method("KMeans 5 by landmarks", KMeansSegmenter(5), 4),
        Method("RFM by landmarks, MBG/NBD", RFMSegmenter(), 4, Dropout.AFTER_ANY),
    ]
    made = backtest(log, methods=methods, splits=[split])
    customers, past = customers_at(log, [split]), log.until(split.origin)
    group = rfm_segments(customers)
    (pooled,) = evaluate(POOLED, past, [split], customers, group, made.settings)
    rule = HierarchicalBetaGeo(KMeansSegmenter(5), 4).prepare(past).rule
    codes = rule.assign(States.from_frame(customers))
    _, customers["code"] = np.unique(codes, return_inverse=True)  # without gaps
    customers["group"] = group.to_numpy()
    customers["log_score_of_pooled"] = pooled.forecasts.log_score
    kept = ["customer_id", "frequency", "recency", "T", "code", "group", "log_score_of_pooled"]
    customers = customers.rename(columns={f"purchases_{split.horizon}": "outcome"})
    customers.assign(horizon=split.horizon)[[*kept, "outcome", "horizon"]].to_parquet(
        folder / "customers.parquet"
    )
    table = made.table.rename(columns={"method": "name"})
    rows = table.drop(columns=["origin", "sound", "seconds"]).to_dict("records")
    for row in rows:
        row["name"] = f"ours: {row['name']}"
    one = rows[0]
    return {
        "rows": rows,
        "origin": split.origin.isoformat(),
        "horizon": split.horizon,
        **{name: one[name] for name in ("customers", "active", "actual")},
    }


def score_peer(folder: Path, draws: Path, dropout: Dropout) -> Row:
    """Score the forecasts from a peer's draws."""
    from bayes_clv.data.states import States
    from bayes_clv.evaluation.backtest.fit_and_score import by_rfm_segment, scores_of
    from bayes_clv.evaluation.backtest.forecasts import Part, forecast
    from bayes_clv.evaluation.backtest.scoring_rules import mean_difference
    from bayes_clv.posterior.mixtures import ModelDraws
    from bayes_clv.posterior.state_groups import Assigned

    customers = pd.read_parquet(folder / "customers.parquet")
    with np.load(draws) as found:
        parameters = Parameters(*(found[name] for name in ("r", "alpha", "a", "b")))
    codes = customers["code"].to_numpy() if len(parameters.r) > 1 else np.zeros(len(customers), int)
    made = forecast(
        [Part(1.0, ModelDraws(parameters, dropout), Assigned(codes))],
        States.from_frame(customers),
        customers["outcome"].to_numpy(dtype=np.int64),
        float(customers["horizon"].iloc[0]),
    )
    difference = made.log_score - customers["log_score_of_pooled"].to_numpy()
    gain, error = mean_difference(difference, np.arange(len(difference)))
    return scores_of(made, by_rfm_segment(made, customers["group"].rename("segment"))) | {
        "gain": gain,
        "gain_se": error,
    }


if __name__ == "__main__":
    report.run("field", parser().parse_args(), measure)

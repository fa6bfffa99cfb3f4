"""Are forecasts of spend right? ``python -m benchmarks.money [--datasets N]``.

First CDNOW at its published split, 39 weeks and 39 weeks: spend in the second half, forecast from
the first half by us and by the peers' customer lifetime values.

Then simulated datasets, whose true values are known. Hyperparameters are drawn around those of a
shop like CDNOW, 500 customers are simulated with them, and purchases and spend are fitted with the
priors that the true values were drawn from. For 120 of the customers, the intervals for the next
year are compared with the true values: the expectations at the true parameters, and the money that
the customer then spends. The peers' method multiplies purchases by the mean over draws of the
expected spend; it is evaluated on the same draws.
"""

import os
from argparse import ArgumentParser, Namespace
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import data, report
from benchmarks.harness import Row, in_a_process, in_peer, say
from benchmarks.report import Column, Report

ORIGIN, DAYS = "1997-09-30", 273
PEERS = ("pymc-marketing", "lifetimes")
QUICK, FULL = 40, 400
CUSTOMERS, ASKED = 500, 120
LEVEL = 0.9
YEAR = 365.0

FIELD = {
    "name": Column("method"),
    "expected": Column("forecast, total", ",.0f"),
    "lower": Column("from (90 %)", ",.0f"),
    "upper": Column("to", ",.0f"),
    "actual": Column("observed", ",.0f"),
    "mae": Column("MAE", ".2f"),
    "gini": Column("Gini, of best", ".3f"),
    "decile_error": Column("decile error", ".0%"),
    "coverage_50": Column("cover 50 %", ".0%"),
    "coverage_90": Column("cover 90 %", ".0%"),
}
COVERAGE = {
    "name": Column("90 % interval of"),
    "coverage": Column("covers", ".1%"),
    "error": Column("standard error", ".1%"),
}


def parser() -> ArgumentParser:
    parser = report.parser(__doc__ or "")
    parser.add_argument("--datasets", type=int, help="how many simulated datasets")
    return parser


def measure(arguments: Namespace) -> list[Report]:
    n_datasets = arguments.datasets or (FULL if arguments.full else QUICK)
    return [_field(sample=not arguments.full, peers=arguments.peer), _coverage(n_datasets)]


def _field(*, sample: bool, peers: bool) -> Report:
    name = "CDNOW, 1/10 sample" if sample else "CDNOW"
    with data.folder() as folder:
        say(f"{name}: fitting ours")
        rows = in_a_process(ours, sample, folder)["rows"]
        for peer in PEERS if peers else ():
            say(f"{name}: fitting {peer}")
            found = folder / f"{peer}.npz"
            run = in_peer("value", folder / "customers.parquet", peer, DAYS, found)
            row = in_a_process(score_peer, folder, found)
            rows.append(row | {"name": f"{peer} {run['version']}"})
    notes = [
        "Intervals of the total: ours is that of the outcome; pymc-marketing's is that of its "
        "expectation, the only one that it has; lifetimes has none. Decile error: customers are "
        "put in ten groups by forecast spend; the sum of the groups' absolute differences between "
        "forecast and observed spend, as a share of all observed spend."
    ]
    title = f"{name}: known on {ORIGIN}, spend in the {DAYS} days after it"
    return Report(title, FIELD, rows, notes)


def ours(sample: bool, folder: Path) -> Row:
    """Backtest ours, and leave the customers for the peers."""
    import datetime as dt

    from bayes_clv import load_cdnow
    from bayes_clv.evaluation.backtest.spend import backtest_money, spend_after

    log = load_cdnow(sample=sample)
    made = backtest_money(log, dt.date.fromisoformat(ORIGIN), DAYS)
    customers, actual = spend_after(log, made.split)
    customers.assign(actual=actual).to_parquet(folder / "customers.parquet")
    rows = made.table.to_dict("records")
    for row in rows:
        mine = made.deciles[made.deciles.method == row["method"]]
        row["decile_error"] = _decile_error(mine)
        row["name"] = f"ours: {row['method']}"
    return {"rows": rows}


def score_peer(folder: Path, found: Path) -> Row:
    """Score a peer's forecasts as ours are scored; without outcomes there is no coverage."""
    from bayes_clv.evaluation.backtest.spend import MoneyForecasts, by_decile, scores_of

    actual = pd.read_parquet(folder / "customers.parquet")["actual"].to_numpy()
    with np.load(found) as forecasts:
        nothing = np.full(len(actual), np.nan)
        made = MoneyForecasts(actual, forecasts["expected"], nothing, nothing, forecasts["total"])
    scores = scores_of(made) | {"decile_error": _decile_error(by_decile(made))}
    if len(made.total) == 1:
        scores |= {"lower": None, "upper": None}
    return scores | {"coverage_50": None, "coverage_90": None}


def _decile_error(deciles: pd.DataFrame) -> float:
    forecast, observed = (deciles[name] * deciles.customers for name in ("expected", "actual"))
    return float((forecast - observed).abs().sum() / observed.sum())


def _coverage(n_datasets: int) -> Report:
    say(f"fitting {n_datasets} simulated datasets")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        rows = list(pool.map(one_dataset, range(n_datasets)))
    table = pd.DataFrame(rows)
    error = table.std() / np.sqrt(n_datasets)
    covered = [
        {"name": name, "coverage": table[name].mean(), "error": error[name]} for name in table
    ]
    title = (
        f"Coverage of {LEVEL:.0%} intervals in {n_datasets} simulated datasets of "
        f"{CUSTOMERS} customers"
    )
    notes = [
        "Share of customers whose interval contains the true value: mean over datasets, and its "
        "standard error between datasets."
    ]
    return Report(title, COVERAGE, covered, notes)


def one_dataset(number: int) -> Row:
    """Share of a dataset's customers whose true value lies within each interval."""
    import ibis

    from bayes_clv.evaluation.backtest.scoring_rules import coverage
    from bayes_clv.evaluation.simulate.lives import live_on, simulate_lives
    from bayes_clv.inference.fitting import fit_spend, fit_table
    from bayes_clv.inference.landmarks import landmark_table
    from bayes_clv.inference.sampling import SamplerSettings
    from bayes_clv.inference.spend.table import spend_table
    from bayes_clv.models import gammagamma
    from bayes_clv.models.bgnbd import Dropout, Parameters
    from bayes_clv.models.gammagamma import SpendParameters
    from bayes_clv.models.priors import ComponentPrior, Priors, SpendPriors
    from bayes_clv.posterior.discounting import ValueTerms
    from bayes_clv.posterior.mixtures import (
        Evaluator,
        ModelDraws,
        expected_purchases,
        expected_value,
    )
    from bayes_clv.posterior.outcomes import sample_value
    from bayes_clv.posterior.state_groups import Group, Memberships

    rng = np.random.default_rng([19, number])
    priors = Priors(
        rate=ComponentPrior(0.8, 0.3),
        shape=ComponentPrior(-0.5, 0.4),
        dropout=ComponentPrior(-1.2, 0.4),
        concentration=ComponentPrior(1.2, 0.4),
    )
    spend_priors = SpendPriors(
        level=ComponentPrior(0.0, 0.3),
        shape=ComponentPrior(1.2, 0.5),
        tail=ComponentPrior(0.8, 0.4),
    )
    unit, mean_T = 40.0, 300.0

    def drawn(of: Priors | SpendPriors) -> list[float]:
        return [rng.normal(*pair) for pair in zip(of.column("mean"), of.column("sd"), strict=True)]

    rate, shape, dropout, concentration = drawn(priors)
    level, p, tail = drawn(spend_priors)
    total, share = np.exp(concentration), 1 / (1 + np.exp(-dropout))
    r = np.exp(shape)
    truth = Parameters(
        *(np.array([v]) for v in (r, r / np.exp(rate) * mean_T, total * share, total * (1 - share)))
    )
    p, q = np.exp(p), 1 + np.exp(tail)
    paid = SpendParameters(*(np.array([v]) for v in (p, q, np.exp(level) * unit * (q - 1) / p)))

    T = rng.uniform(200.0, 400.0, CUSTOMERS)
    lives = simulate_lives(truth[0], T, rng=rng)
    x = lives.frequency.astype(float)
    nu = rng.gamma(paid.q.item(), size=CUSTOMERS) / paid.v.item()
    some = np.maximum(x, 1)
    mean = np.where(x > 0, rng.gamma(paid.p.item() * some) / nu / some, 0.0)
    frame = pd.DataFrame(
        {"frequency": x, "recency": lives.recency, "T": T, "monetary_value": mean, "code": 0}
    )
    states = ibis.memtable(frame.assign(customer_id=np.arange(CUSTOMERS), landmark=0))
    settings = SamplerSettings(draws=500, tune=300, seed=number)
    table, money = landmark_table(states), spend_table(states, 0)
    if money is None:
        raise RuntimeError("nobody spent anything")
    one = ("everybody",)
    bought = fit_table(table, one, settings, priors=priors).tree["posterior"]
    spent = fit_spend(money, one, settings, priors=spend_priors).tree["posterior"]
    of, costs = (
        kind(*(bought_or[f"{name}_population"].to_numpy().ravel() for name in names))
        for kind, bought_or, names in (
            (Parameters, bought, ("r", "alpha", "a", "b")),
            (SpendParameters, spent, ("p", "q", "v")),
        )
    )

    def model_of(parameters: Parameters, spend: SpendParameters) -> ModelDraws:
        return ModelDraws(parameters[None], Dropout.AFTER_REPEAT, spend=spend[None])

    terms, model, real = ValueTerms(YEAR, 0.1), model_of(of, costs), model_of(truth, paid)
    orders, worth = expected_purchases(YEAR, terms.discounting()), expected_value(terms)
    later, _ = live_on(rng, lives.rate, lives.leaving, lives.alive, np.full(CUSTOMERS, YEAR))
    pays = rng.gamma(paid.p.item(), size=len(later.time)) / nu[later.customer]
    observed = np.bincount(later.customer, pays * np.exp(-terms.force * later.time), CUSTOMERS)
    seen: dict[str, list[float]] = {}
    chances = []
    for i in range(ASKED):
        m = mean[i] if x[i] > 0 else 0.0
        group = Group(
            slice(0, 1),
            x[i],
            lives.recency[i : i + 1],
            T[i : i + 1],
            np.array([m if x[i] > 0 else np.nan]),
            Memberships(np.zeros(1, dtype=np.int64)),
        )
        each = gammagamma.expected_spend(costs, x[i], m)
        now, value = Evaluator(model, group, (orders, worth))(group)[:, 0]
        true_each = gammagamma.expected_spend(paid, x[i], m).item()
        true_value = Evaluator(real, group, (worth,))(group).item()
        for name, draws, true in (
            ("expected spend per purchase", each, true_each),
            ("expected value of a year", value, true_value),
            (
                "the same, with spend averaged first (the peers' method)",
                now * each.mean(),
                true_value,
            ),
        ):
            lower, upper = np.quantile(draws, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
            seen.setdefault(name, []).append(float(lower <= true <= upper))
        outcome = sample_value(terms, number)(model, group)(group)[0]
        chances.append([(outcome < observed[i]).mean(), (outcome <= observed[i]).mean()])
    row = {name: float(np.mean(values)) for name, values in seen.items()}
    below, up_to = np.array(chances).T
    return row | {"observed value of the year (outcome)": coverage(below, up_to, LEVEL)}


if __name__ == "__main__":
    report.run("money", parser().parse_args(), measure)

"""The hierarchical model of spend: its table and density against sums over customers."""

import datetime as dt
from functools import cache

import numpy as np
import pandas as pd
import pytensor
import pytest
from pytensor.compile.mode import Mode

from bayes_clv.data.datasets import load_cdnow
from bayes_clv.data.reading import read_transactions
from bayes_clv.evaluation.simulate.logs import Scenario, Spend, simulate_transactions
from bayes_clv.inference.convergence import diagnose
from bayes_clv.inference.estimator import HierarchicalBetaGeo
from bayes_clv.inference.fitting import fit_spend
from bayes_clv.inference.parts import Prepared
from bayes_clv.inference.sampling import SamplerSettings, check_density
from bayes_clv.inference.spend.density import Floats, SpendDensity, value_and_gradient_by_eta
from bayes_clv.inference.spend.model import build_spend_model
from bayes_clv.inference.spend.table import HIGHEST, LOWEST, SpendTable, spend_table
from bayes_clv.models import gammagamma
from bayes_clv.models.bgnbd import Parameters
from bayes_clv.models.gammagamma import SpendParameters
from bayes_clv.models.priors import SpendPriors


@cache
def prepared(*, segments: bool = True) -> Prepared:
    log = load_cdnow(sample=True)
    return HierarchicalBetaGeo(**({} if segments else {"segmenter": None})).prepare(log)


def arranged(data: Prepared) -> SpendTable:
    table = spend_table(data.states, len(data.rule.names))
    assert table is not None
    return table


def episodes(data: Prepared, *, pooled: bool) -> pd.DataFrame:
    """What customers spent between landmarks, by pandas."""
    states = data.states.select(
        "customer_id", "landmark", "frequency", "T", "monetary_value", "code"
    )
    frame = states.to_pandas().sort_values(["customer_id", "landmark"])
    frame = frame[frame["T"] > 0].assign(spent=frame.frequency * frame.monetary_value)
    before = frame.groupby("customer_id")[["frequency", "spent", "code"]].shift()
    frame["x"], frame["s"] = before.frequency.fillna(0), before.spent.fillna(0)
    frame["more"], frame["more_spend"] = frame.frequency - frame.x, frame.spent - frame.s
    frame["group"] = -1 if pooled else before.code.fillna(-1).astype(int)
    return frame[(frame.more > 0) & (frame.more_spend > 1e-9)]


def by_customer(eta: Floats, data: Prepared, unit: float, *, pooled: bool) -> float:
    """The log-likelihood as a sum over customers, spend in units."""
    rows = episodes(data, pooled=pooled)
    level, shape, tail = eta[rows.group].T
    parameters = SpendParameters(np.exp(shape), 1 + np.exp(tail), np.exp(level + tail - shape))
    each = gammagamma.log_likelihood_of_more(
        parameters, rows.x, rows.s / unit, rows.more, rows.more_spend / unit
    )
    return float(each.sum())


@pytest.mark.parametrize("segments", [True, False])
def test_the_tables_likelihood_is_the_sum_over_customers(segments: bool) -> None:
    data = prepared(segments=segments)
    table = arranged(data)
    assert table.n_groups == (len(data.rule.names) + 1 if segments else 1)
    rng = np.random.default_rng(1)
    for _ in range(20):
        eta = rng.normal([0, 1, 1], [1, 1, 1], (table.n_groups, 3))
        value, _ = value_and_gradient_by_eta(eta, table.sums)
        expected = by_customer(eta, data, table.unit, pooled=not segments)
        assert value == pytest.approx(expected, rel=1e-10)


def test_beyond_the_polynomials_reach_the_likelihood_goes_straight_on() -> None:
    data = prepared(segments=False)
    table = arranged(data)
    for u in (LOWEST - 2, HIGHEST + 2):
        eta = np.array([[u, 1.0, 1.0]])  # ln v = level + tail − shape
        value, _ = value_and_gradient_by_eta(eta, table.sums)
        expected = by_customer(eta, data, table.unit, pooled=True)
        assert value == pytest.approx(expected, rel=1e-3)


def test_the_slope_is_that_of_the_value() -> None:
    table = arranged(prepared())
    rng = np.random.default_rng(2)
    for spread in (0.3, 3.0):
        eta = rng.normal([0, 1, 1], spread, (table.n_groups, 3))
        _, slope = value_and_gradient_by_eta(eta, table.sums)
        for place in np.ndindex(eta.shape):
            move = np.zeros_like(eta)
            move[place] = 1e-5
            up, down = (
                value_and_gradient_by_eta(eta + sign * move, table.sums)[0] for sign in (1, -1)
            )
            assert slope[place] == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-2)


def test_pooled_with_one_landmark_the_published_likelihood_is_met() -> None:
    log = load_cdnow(sample=True).until(dt.date(1997, 9, 30))
    data = HierarchicalBetaGeo(None).prepare(log)
    table = arranged(data)
    p, q, v = 6.25, 3.74, 15.44
    level = np.log(p * v / table.unit / (q - 1))
    value, _ = value_and_gradient_by_eta(np.array([[level, np.log(p), np.log(q - 1)]]), table.sums)
    rows = episodes(data, pooled=True)
    assert len(rows) == table.n_episodes[0] == 946
    # From the density of sums in units to that of means in dollars.
    of_means = value - len(rows) * np.log(table.unit) + np.log(rows.more).sum()
    assert of_means == pytest.approx(-4055.925, abs=0.05)


@pytest.mark.parametrize("segments", [True, False])
def test_the_density_is_the_models(segments: bool) -> None:
    data = prepared(segments=segments)
    table, priors = arranged(data), SpendPriors()
    model = build_spend_model(table, data.rule.names, priors)
    density = SpendDensity(table, priors)
    check_density(model, density)
    at = density.variables(density.start(0))
    other = SpendDensity(table, SpendPriors(), density.coordinates)
    point = {"mu": at.mu} | ({"tau_log__": np.log(at.tau), "z": at.z} if segments else {})
    outputs = [model[f"{name}{end}"] for name in "pqv" for end in ("_population", "")]
    values = model.replace_rvs_by_values(outputs)
    seen = pytensor.function(
        model.value_vars, values, mode=Mode(linker="py", optimizer="fast_compile")
    )(*(point[value.name] for value in model.value_vars))
    for which, name in enumerate("pqv"):
        groups = other.parameters(at)[name]
        np.testing.assert_allclose(groups[-1], seen[2 * which], rtol=1e-12)
        own = groups[:-1] if segments else groups
        np.testing.assert_allclose(own, seen[2 * which + 1], rtol=1e-12)


def test_the_table_of_spend_does_not_grow_with_customers() -> None:
    few, many = (
        arranged(HierarchicalBetaGeo(None).prepare(load_cdnow(sample=sample)))
        for sample in (True, False)
    )
    assert many.n_episodes[0] > 9 * few.n_episodes[0]
    assert many.sums.by_count.shape == few.sums.by_count.shape
    assert len(many.sums.purchases) < 2 * len(few.sums.purchases)


def test_purchases_that_cost_nothing_are_left_out_and_counted() -> None:
    days = pd.date_range("2024-01-01", periods=40)
    log = pd.DataFrame(
        {
            "customer_id": ["a", "a", "a", "b", "b", "c"],
            "date": days[[0, 10, 20, 0, 30, 39]],
            "amount": [10.0, 5.0, 7.0, 9.0, 0.0, 1.0],
        }
    )
    transactions = read_transactions(log, keep_zero_amounts=True)
    table = spend_table(HierarchicalBetaGeo(None).prepare(transactions).states, 0)
    assert table is not None
    assert table.without_spend == 1
    assert table.unit == pytest.approx(6.0)
    assert table.n_episodes.tolist() == [1.0]
    nothing = log.drop(columns="amount")
    without = HierarchicalBetaGeo(None).prepare(read_transactions(nothing))
    assert spend_table(without.states, 0) is None


@pytest.mark.slow
def test_the_posterior_finds_what_customers_were_simulated_with() -> None:
    truth = Spend(p=4.0, q=5.0, v=30.0)
    rates = Parameters(*map(np.array, (0.6, 40.0, 0.8, 2.5)))
    start, end = dt.date(2023, 1, 1), dt.date(2024, 6, 1)
    scenario = Scenario(rates, start, end, acquisition_days=300, spend=truth)
    simulated = simulate_transactions(scenario, 20_000, seed=3)
    data = HierarchicalBetaGeo(landmarks=3).prepare(read_transactions(simulated.log))
    table = arranged(data)
    fitted = fit_spend(table, data.rule.names, SamplerSettings())
    assert diagnose(fitted.tree).sound
    draws = fitted.tree["posterior"]
    for name in "pqv":
        values = draws[f"{name}_population"].to_numpy().ravel()
        assert abs(values.mean() - getattr(truth, name)) < 4 * values.std()
        assert values.std() < 0.15 * getattr(truth, name)


def test_the_order_of_rows_changes_no_digit() -> None:
    log = load_cdnow(sample=True).table.to_pandas()
    tables = [
        arranged(HierarchicalBetaGeo(None).prepare(read_transactions(rows, keep_zero_amounts=True)))
        for rows in (log, log.sample(frac=1, random_state=1))
    ]
    for first, second in zip(tables[0].sums, tables[1].sums, strict=True):
        np.testing.assert_array_equal(first, second)

"""Amounts that are extreme or vary in nothing still give a model of spend, and the right one."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayes_clv.data.datasets import load_cdnow
from bayes_clv.data.reading import read_transactions
from bayes_clv.data.transactions import Transactions
from bayes_clv.inference import estimator
from bayes_clv.inference.estimator import HierarchicalBetaGeo, Segmenter
from bayes_clv.inference.fitting import Fitted, fit_spend
from bayes_clv.inference.sampling import SamplerSettings
from bayes_clv.inference.spend.density import SpendDensity, value_and_gradient_by_eta
from bayes_clv.inference.spend.table import CERTAIN, SpendTable, spend_table
from bayes_clv.models.gammagamma import SpendParameters, expected_spend
from bayes_clv.models.priors import SpendPriors
from bayes_clv.posterior.diagnostics import Diagnostics
from bayes_clv.segments.estimators import KMeansSegmenter, RFMSegmenter

type Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
type Amounts = Callable[[pd.DataFrame, np.random.Generator], object]

SEGMENTERS = {"none": None, "rfm": RFMSegmenter(), "kmeans": KMeansSegmenter()}
GOOD = Diagnostics(1.002, 2000.0, 1500.0, 0, 0.9, ())
_FEW = SamplerSettings(draws=250, tune=200, chains=4)


def prices(rows: pd.DataFrame, rng: np.random.Generator) -> pd.Series:
    """One price for each customer, for good."""
    ids = rows.customer_id.unique()
    own = pd.Series(np.round(rng.gamma(2, 20, len(ids)) + 0.01, 2), ids)
    return rows.customer_id.map(own)


def scaled(by: float) -> Amounts:
    return lambda rows, rng: rows.amount * by


def one_more(amount: float, which: Callable[[pd.DataFrame], pd.Series]) -> Amounts:
    """One order of this amount, the first row that is chosen."""

    def amounts(rows: pd.DataFrame, rng: np.random.Generator) -> pd.Series:
        return rows.amount.where(rows.index != which(rows).idxmax(), amount)

    return amounts


def nth(rows: pd.DataFrame) -> pd.Series:
    return rows.groupby("customer_id").cumcount()


def count(rows: pd.DataFrame) -> pd.Series:
    return rows.groupby("customer_id")["date"].transform("size")


KINDS: dict[str, Amounts] = {
    "one price": lambda rows, rng: 9.99,
    "one price, and some buy two": lambda rows, rng: 9.99 * (1 + (rng.random(len(rows)) < 0.02)),
    "one price and a cent": lambda rows, rng: 9.99 + 0.01 * (rng.random(len(rows)) < 0.01),
    "own prices": prices,
    "own prices, nearly": lambda rows, rng: (
        prices(rows, rng) * (1 + 0.003 * rng.normal(size=len(rows)))
    ),
    "two prices": lambda rows, rng: rng.choice([9.99, 19.99], len(rows)),
    "alike": lambda rows, rng: rng.gamma(4, 2.0, len(rows)),
    "a cent": lambda rows, rng: 0.01,
    "millionths": scaled(1e-7),
    "millions of millions": scaled(1e12),
    "mixed": lambda rows, rng: 10 ** rng.uniform(-3, 9, len(rows)),
    "a huge order, bought once": one_more(1e9, lambda rows: count(rows) == 1),
    "a huge first order": one_more(1e9, lambda rows: (count(rows) > 4) & (nth(rows) == 0)),
    "a huge repeat order": one_more(1e9, lambda rows: (count(rows) > 4) & (nth(rows) == 1)),
    "a huge last order": one_more(1e17, lambda rows: (count(rows) > 4) & (nth(rows) == 4)),
    "free for some": lambda rows, rng: rows.amount.where(rows.customer_id % 4 > 0, 0.0),
    "missing for half": lambda rows, rng: rows.amount.where(rng.random(len(rows)) < 0.5),
}


def log_of(kind: str, *, merged: bool = True) -> Transactions:
    """CDNOW's sample with other amounts; a day has one row, unless they are not merged."""
    rows = load_cdnow(sample=True).table.to_pandas().sort_values(["customer_id", "date"])
    if merged:
        rows = rows.drop_duplicates(["customer_id", "date"])
    rows = rows.reset_index(drop=True)
    amounts = KINDS[kind](rows, np.random.default_rng(7))
    return read_transactions(rows.assign(amount=amounts), keep_zero_amounts=True)


def prepared(log: Transactions, segmenter: Segmenter | None) -> tuple[SpendTable, tuple[str, ...]]:
    data = HierarchicalBetaGeo(segmenter=segmenter).prepare(log)
    table = spend_table(data.states, len(data.rule.names))
    assert table is not None
    return table, data.rule.names


def population(fitted: Fitted) -> SpendParameters:
    draws = fitted.tree["posterior"]
    return SpendParameters(*(draws[f"{name}_population"].to_numpy().ravel() for name in "pqv"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_density_is_finite_and_its_gradient_is_its_slope_where_sampling_begins(
    kind: str,
) -> None:
    table, _ = prepared(log_of(kind, merged=False), RFMSegmenter())
    assert np.isfinite([table.unit, table.mean]).all()
    density = SpendDensity(table, SpendPriors())
    rng = np.random.default_rng(1)
    for seed in range(5):
        x = density.start(seed)
        value, gradient = density(x)
        along = rng.standard_normal(density.n_dim)
        along /= np.linalg.norm(along)
        ends = [density(x + sign * 1e-5 * along)[0] for sign in (1, -1)]
        scale = np.linalg.norm(gradient) + 100
        assert np.isfinite(value)
        assert gradient @ along == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-4 * scale)


def test_money_in_other_units_is_the_same_model() -> None:
    one, _ = prepared(read_transactions(load_cdnow(sample=True).table.to_pandas()), None)
    other, _ = prepared(log_of("millions of millions", merged=False), None)
    assert other.unit == pytest.approx(1e12 * one.unit, rel=1e-6)
    eta = np.array([[0.2, 1.5, 0.7]])
    value, slope = value_and_gradient_by_eta(eta, one.sums)
    again, slope_again = value_and_gradient_by_eta(eta, other.sums)
    assert again == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(slope_again, slope, rtol=1e-4, atol=1e-3)


def test_where_amounts_are_certain_p_and_q_come_to_rest() -> None:
    """The likelihood of constant prices rises for ever with p; it may not take η along."""
    table, names = prepared(log_of("one price"), None)
    fitted = fit_spend(table, names, _FEW)
    most = np.exp(CERTAIN + 1)
    found = population(fitted)
    assert fitted.diagnostics.sound
    assert np.quantile(found.p, 0.01) > np.exp(CERTAIN)
    assert found.p.max() < most
    assert found.q.max() < 1 + most
    for x, m in ((0, 0.0), (1, 9.99), (30, 9.99)):
        np.testing.assert_allclose(expected_spend(found, x, m), 9.99, rtol=5e-3)


def test_a_customers_own_constant_price_is_what_is_expected_of_them() -> None:
    data = HierarchicalBetaGeo().prepare(log_of("own prices"))
    table = spend_table(data.states, 0)
    assert table is not None
    fitted = fit_spend(table, ("all",), _FEW)
    assert fitted.diagnostics.sound
    for price in (5.0, 80.0):
        expected = expected_spend(population(fitted), 3.0, price)
        np.testing.assert_allclose(expected, price, rtol=0.02)


def test_one_huge_order_hardly_moves_what_is_expected_of_the_others() -> None:
    means = []
    for kind in ("a huge repeat order", "a huge order, bought once"):
        table, names = prepared(log_of(kind), None)
        fitted = fit_spend(table, names, _FEW)
        assert fitted.diagnostics.sound
        means.append(expected_spend(population(fitted), 5.0, 30.0).mean())
    assert means[0] == pytest.approx(means[1], rel=0.05)
    assert 25 < means[1] < 35


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("segmenter", SEGMENTERS.values(), ids=SEGMENTERS)
def test_every_kind_has_a_sound_model_of_spend_by_any_seed(
    monkeypatch: pytest.MonkeyPatch, kind: str, segmenter: Segmenter | None
) -> None:
    purchases = Fitted(xr.DataTree(), GOOD, SamplerSettings(), 1)  # amounts do not matter to them
    monkeypatch.setattr(estimator, "fit_table", lambda *given, **more: purchases)
    hierarchical = HierarchicalBetaGeo(segmenter)
    data = hierarchical.prepare(log_of(kind, merged=False))
    for seed in range(2):
        sampled = hierarchical.sample(data, SamplerSettings(seed=seed))
        assert sampled.spend is not None, (seed, sampled.left_out)
        assert sampled.diagnostics.sound, (seed, sampled.diagnostics.complaints)

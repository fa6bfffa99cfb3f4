"""The whole path on real data: published estimates, verdict, reproducibility."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayes_clv import plots
from bayes_clv.data.datasets import load_cdnow
from bayes_clv.data.reading import read_transactions
from bayes_clv.data.transactions import Transactions
from bayes_clv.errors import InputError
from bayes_clv.evaluation.predictive_checks import track
from bayes_clv.evaluation.sensitivity import with_log_densities
from bayes_clv.inference import estimator as hierarchical
from bayes_clv.inference.estimator import HierarchicalBetaGeo
from bayes_clv.inference.fitting import Fitted, fit_spend
from bayes_clv.inference.parts import Prepared
from bayes_clv.inference.sampling import SamplerSettings
from bayes_clv.inference.spend.table import SpendTable
from bayes_clv.models.bgnbd import Dropout, Parameters, expected_purchases
from bayes_clv.models.priors import NormalPrior, Priors, ReactivationPriors
from bayes_clv.posterior.diagnostics import Diagnostics
from bayes_clv.posterior.draws import reactivation_of, spend_by_code
from bayes_clv.posterior.posterior import Posterior, load_posterior
from bayes_clv.segments.estimators import KMeansSegmenter, RFMSegmenter

# Fader, Hardie & Lee (2005), by maximum likelihood, in weeks.
PUBLISHED = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
CALIBRATION_END = "1997-09-30"


def calibration_sample() -> Transactions:
    log = load_cdnow(sample=True).table.to_pandas()
    return read_transactions(log, end=CALIBRATION_END, keep_zero_amounts=True)


@pytest.fixture(scope="module")
def pooled() -> Posterior:
    model = HierarchicalBetaGeo(segmenter=None, dropout=Dropout.AFTER_REPEAT)
    return model.fit(calibration_sample(), seed=1)


def test_the_pooled_fit_of_the_cdnow_sample_is_sound_and_counts_everybody(
    pooled: Posterior,
) -> None:
    assert pooled.diagnostics.sound, pooled.diagnostics.complaints
    assert pooled.record.n_customers == 2357
    assert pooled.segment_names == ("all customers",)


@pytest.mark.parametrize("name", PUBLISHED)
def test_posterior_means_lie_within_a_posterior_standard_deviation_of_the_published_estimates(
    pooled: Posterior, name: str
) -> None:
    draws = pooled.tree["posterior"][f"{name}_population"].to_numpy().ravel()
    if name == "alpha":
        draws = draws / 7  # days to weeks
    assert abs(draws.mean() - PUBLISHED[name]) < draws.std()
    assert np.quantile(draws, 0.05) < PUBLISHED[name] < np.quantile(draws, 0.95)


def test_the_example_customer_is_expected_to_buy_about_as_often_as_published(
    pooled: Posterior,
) -> None:
    customer = pd.DataFrame({"frequency": [2], "recency": [30.43 * 7], "T": [38.86 * 7]})
    answer = pooled.expected_purchases(customer, horizon=39 * 7).iloc[0]
    assert answer["lower"] < 1.226 < answer["upper"]
    assert answer["mean"] == pytest.approx(1.226, abs=0.06)  # prior shrinkage and Monte Carlo error
    parameters = Parameters(*(np.array(value) for value in PUBLISHED.values()))
    assert expected_purchases(parameters, 2, 30.43, 38.86, 39) == pytest.approx(1.226, abs=5e-4)


def test_segments_pool_partially_and_the_same_seed_gives_the_same_posterior(
    tmp_path: Path,
) -> None:
    def fit() -> Posterior:
        estimator = HierarchicalBetaGeo(KMeansSegmenter(3), landmarks=3, dropout=Dropout.AFTER_ANY)
        return estimator.fit(load_cdnow(sample=True), draws=200, tune=250, chains=2, seed=7)

    first, second = fit(), fit()
    assert first.rule == second.rule
    for name in ("r", "alpha", "a", "b", "tau"):
        np.testing.assert_array_equal(
            first.tree["posterior"][name].to_numpy(), second.tree["posterior"][name].to_numpy()
        )
    versions = set()
    for posterior in (first, second):
        posterior.save(tmp_path / "model.clv")
        versions.add(load_posterior(tmp_path / "model.clv").version)
    assert len(versions) == 1
    comparison = first.compare_segments()
    assert comparison.table["customers"].sum() == 2357
    # Under MBG/NBD nobody is alive for certain, and segments differ.
    assert (comparison.table["prob_alive"] < 1).all()
    assert comparison.table["buys_again"].max() > 2 * comparison.table["buys_again"].min()


def test_segments_of_the_users_own_are_read_from_a_column() -> None:
    log = load_cdnow(sample=True).table.to_pandas()
    log["channel"] = np.where(log["customer_id"] % 3 == 0, "shop", "web")
    transactions = read_transactions(log, segment="channel", keep_zero_amounts=True)
    posterior = HierarchicalBetaGeo(segmenter="column", landmarks=2).fit(
        transactions, draws=100, tune=150, chains=2, seed=3
    )
    assert posterior.segment_names == ("shop", "web")
    table = posterior.compare_segments().table
    ids = log.groupby("channel")["customer_id"].nunique()
    assert table["customers"].to_dict() == ids.to_dict()


def test_a_log_in_which_nobody_came_back_is_refused_with_the_reason() -> None:
    once = pd.DataFrame({"customer": ["a", "b"], "date": ["2024-01-01", "2024-02-01"]})
    with pytest.raises(InputError, match="no customer bought on two days"):
        HierarchicalBetaGeo().fit(read_transactions(once))


def test_own_segments_without_a_column_are_refused_with_the_remedy() -> None:
    with pytest.raises(InputError, match="segment=COLUMN"):
        HierarchicalBetaGeo(segmenter="column").fit(load_cdnow(sample=True))


GOOD = Diagnostics(1.002, 2000.0, 1500.0, 0, 0.9, ())
BAD = Diagnostics(1.4, 8.0, 9.0, 300, 0.2, ("R-hat is 1.4, it must be below 1.01",))


@pytest.mark.parametrize(
    ("purchases", "spend", "kept"),
    [(GOOD, GOOD, True), (GOOD, BAD, False), (BAD, BAD, True), (BAD, GOOD, True)],
)
def test_spend_that_failed_never_takes_sound_purchases_down(
    monkeypatch: pytest.MonkeyPatch, purchases: Diagnostics, spend: Diagnostics, kept: bool
) -> None:
    settings = SamplerSettings()

    def fitted(verdict: Diagnostics) -> Callable[..., Fitted]:
        return lambda *given, **more: Fitted(xr.DataTree(), verdict, settings, 1)

    monkeypatch.setattr(hierarchical, "fit_table", fitted(purchases))
    monkeypatch.setattr(hierarchical, "fit_spend", fitted(spend))
    estimator = HierarchicalBetaGeo(segmenter=None)
    sampled = estimator.sample(estimator.prepare(load_cdnow(sample=True)), settings)
    assert (sampled.spend is not None) == kept
    assert bool(sampled.left_out) != kept
    assert sampled.diagnostics.sound == (purchases.sound and (spend.sound or not kept))
    if not kept:
        assert "left out, because its draws cannot be trusted (R-hat is 1.4" in sampled.left_out


@pytest.mark.parametrize("trouble", [BAD, RuntimeError("no")])
def test_spend_whose_segments_failed_is_fitted_without_them(
    monkeypatch: pytest.MonkeyPatch, trouble: Diagnostics | Exception
) -> None:
    settings = SamplerSettings(draws=20, tune=50, chains=2)

    def fit_or_fail(table: SpendTable, *given: Any, **more: Any) -> Fitted:
        if table.n_segments and isinstance(trouble, Exception):
            raise trouble
        fitted = fit_spend(table, *given, **more)
        return replace(fitted, diagnostics=BAD if table.n_segments else GOOD)

    purchases = Fitted(xr.DataTree(), GOOD, settings, 1)
    monkeypatch.setattr(hierarchical, "fit_table", lambda *given, **more: purchases)
    monkeypatch.setattr(hierarchical, "fit_spend", fit_or_fail)
    estimator = HierarchicalBetaGeo(landmarks=2)
    data = estimator.prepare(load_cdnow(sample=True))
    sampled = estimator.sample(data, settings)
    assert sampled.spend is not None
    assert sampled.spend.table.n_segments == 0
    assert sampled.left_out.startswith(
        "spend is taken to be alike in all segments; with their own, its "
    )
    found = spend_by_code(sampled.tree)
    assert found.p.shape == (len(data.rule.names) + 1, 40)
    for values in (found.p, found.q, found.v):
        np.testing.assert_array_equal(values, np.tile(values[-1], (len(values), 1)))
    assert list(sampled.tree["spend/posterior"]["segment"].values) == list(data.rule.names)


@pytest.mark.parametrize("fault", [np.linalg.LinAlgError("Singular matrix"), RuntimeError("no")])
def test_spend_that_cannot_be_computed_never_takes_purchases_down(
    monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    taken = Fitted(xr.DataTree(), GOOD, SamplerSettings(), 1)

    def fails(*given: object, **more: object) -> Fitted:
        raise fault

    monkeypatch.setattr(hierarchical, "fit_table", lambda *given, **more: taken)
    monkeypatch.setattr(hierarchical, "fit_spend", fails)
    estimator = HierarchicalBetaGeo(segmenter=None)
    sampled = estimator.sample(estimator.prepare(load_cdnow(sample=True)), SamplerSettings())
    assert sampled.purchases is taken
    assert sampled.spend is None
    assert f"left out, because its posterior cannot be computed ({fault})" in sampled.left_out


def test_more_segments_than_the_log_can_carry_are_refused_before_sampling() -> None:
    rows = load_cdnow(sample=True).table.to_pandas()

    def prepared(segment: pd.Series) -> Prepared:
        log = rows.assign(segment=segment.astype(str))
        transactions = read_transactions(log, segment="segment", keep_zero_amounts=True)
        return HierarchicalBetaGeo(segmenter="column").prepare(transactions)

    number = rows["customer_id"].rank(method="dense").astype(int)
    with pytest.raises(InputError, match="2,357 segments, more than 1,000: use fewer"):
        prepared(number)
    with pytest.raises(InputError, match=r"600 segments of 2,357 customers, 3\.9 each on average"):
        prepared(number % 600)
    warning = prepared(number % 100).warning
    assert "100 segments of 2,357 customers, 23.6 each on average, fewer than 30" in warning
    assert prepared(number % 20).warning == ""


def test_reactivation_is_for_segments_and_several_landmarks() -> None:
    log = load_cdnow(sample=True)
    model = HierarchicalBetaGeo(KMeansSegmenter(3), reactivation=True)
    data = model.prepare(log)
    assert data.stretches is not None
    assert data.stretches.first.n_customers == data.table.n_customers
    for without in (
        replace(model, reactivation=False),
        replace(model, segmenter=None),
        replace(model, landmarks=1),
    ):
        assert without.prepare(log).stretches is None
    with pytest.raises(InputError, match="reactivation must be True or False"):
        HierarchicalBetaGeo(reactivation="often")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"reactivation_priors must be .*ReactivationPriors"):
        HierarchicalBetaGeo(reactivation_priors=Priors())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "returns", "soft"),
    [
        (HierarchicalBetaGeo(), True, True),
        (HierarchicalBetaGeo(soft_fit=False), True, False),
        (HierarchicalBetaGeo(reactivation=False), False, False),
        (HierarchicalBetaGeo(reactivation=False, soft_fit=True), False, True),
        (HierarchicalBetaGeo(RFMSegmenter(bandwidth=None)), False, False),
        (HierarchicalBetaGeo(RFMSegmenter(bandwidth=None), reactivation=True), True, False),
        (HierarchicalBetaGeo(None), False, False),
    ],
)
def test_customers_may_come_back_where_segments_are_soft_unless_told_otherwise(
    model: HierarchicalBetaGeo, returns: bool, soft: bool
) -> None:
    data = model.prepare(load_cdnow(sample=True))
    assert (data.stretches is not None) == returns
    assert (data.table.weight % 1 != 0).any() == soft


def test_a_soft_fit_counts_purchases_by_weight_and_needs_soft_segments(tmp_path: Path) -> None:
    log = load_cdnow(sample=True)
    model = HierarchicalBetaGeo(KMeansSegmenter(3), spend=False, reactivation=True)
    hard, soft = replace(model, soft_fit=False).prepare(log), model.prepare(log)
    assert (hard.table.weight % 1 == 0).all()
    assert (soft.table.weight % 1 != 0).any()
    assert soft.table.n_customers == hard.table.n_customers
    assert hard.stretches is not None and soft.stretches is not None  # noqa: PT018
    without = replace(model, reactivation=False)
    assert (without.prepare(log).table.weight % 1 == 0).all(), "soft only with reactivation"
    assert soft.stretches.n_stretches == pytest.approx(hard.stretches.n_stretches)
    assert len(soft.stretches) > len(hard.stretches)
    assert replace(model, segmenter=None, soft_fit=True).prepare(log).table.n_customers == 2_357
    rows = log.table.to_pandas()
    own = read_transactions(
        rows.assign(shop=np.where(rows["customer_id"].rank() % 2 < 1, "a", "b")), segment="shop"
    )
    for segmenter, of in ((KMeansSegmenter(3, bandwidth=None), log), ("column", own)):
        with pytest.raises(InputError, match="soft_fit needs soft segments"):
            HierarchicalBetaGeo(segmenter, soft_fit=True).prepare(of)
    with pytest.raises(InputError, match="soft_fit must be True or False"):
        HierarchicalBetaGeo(soft_fit="yes")  # type: ignore[arg-type]
    posterior = replace(without, soft_fit=True).fit(log, draws=50, chains=2)
    posterior.save(tmp_path / "soft.clv")
    assert load_posterior(tmp_path / "soft.clv").record.soft_fit


def test_a_fit_with_reactivation_holds_its_draws_and_its_priors(tmp_path: Path) -> None:
    priors = ReactivationPriors(chance=NormalPrior(-3.0, 0.4))
    model = HierarchicalBetaGeo(
        KMeansSegmenter(3), spend=False, reactivation=True, reactivation_priors=priors
    )
    log = load_cdnow(sample=True)
    posterior = model.fit(log, draws=100, tune=150, chains=2, seed=3)
    back = reactivation_of(posterior.tree)
    assert back is not None
    assert back.probability.shape == back.r.shape == back.alpha.shape == (200,)
    assert ((back.probability > 0) & (back.probability < 0.5)).all()
    assert 5 < np.median(back.alpha / back.r) < 5_000, "days between purchases"
    assert posterior.record.reactivation == priors
    posterior.save(tmp_path / "model.clv")
    again = load_posterior(tmp_path / "model.clv")
    assert again.record.reactivation == priors
    np.testing.assert_array_equal(reactivation_of(again.tree).alpha, back.alpha)
    plots.plot_prior_posterior(posterior)
    data = model.prepare(log, seed=3)
    tree = with_log_densities(posterior, data.table, draws=40, stretches=data.stretches)
    shape = tree["log_likelihood"]["landmarks"].shape
    assert tree["log_prior"]["afresh"].shape[:2] == shape
    logp = posterior.tree["sample_stats"]["logp"].to_numpy()
    assert np.isfinite(logp).all()
    with pytest.raises(InputError, match="stretches must be given"):
        with_log_densities(posterior, data.table)
    assert track(posterior, log, draws=20).table["mean"].sum() > 0


def test_a_model_without_reactivation_holds_none(pooled: Posterior) -> None:
    assert reactivation_of(pooled.tree) is None
    assert pooled.record.reactivation is None

"""The calibration study on posteriors that are known to be right and known to be wrong.

Fits that are wrong are made on purpose: draws that ignore the data or come from other priors, and a
fit that counts every customer five times. Each must be found out, by the quantity that shows it.
"""

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from arviz_stats.ecdf_utils import ecdf_pit
from scipy.stats import binom

from bayes_clv.data.states import States
from bayes_clv.errors import InputError
from bayes_clv.evaluation.sbc.design import LEVELS, QUADRANTS, Design
from bayes_clv.evaluation.sbc.rank_uniformity import Uniformity
from bayes_clv.evaluation.sbc.replicates import FailedReplicate, Replicate, run_replicate
from bayes_clv.evaluation.sbc.results import LEVEL, Calibration
from bayes_clv.evaluation.sbc.simulated_data import simulate_dataset
from bayes_clv.evaluation.sbc.study import calibrate
from bayes_clv.inference.fitting import Fitted, fit_table
from bayes_clv.inference.landmarks import LandmarkTable
from bayes_clv.inference.sampling import SamplerSettings
from bayes_clv.models import bgnbd, reactivation
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.models.hyperparameters import draw_prior
from bayes_clv.models.priors import (
    COMPONENTS,
    ComponentPrior,
    NormalPrior,
    Priors,
    ReactivationPriors,
)
from bayes_clv.plots.sbc import plot_calibration
from bayes_clv.posterior.diagnostics import Diagnostics
from bayes_clv.posterior.draws import PARAMETERS, REACTIVATION, reactivation_of
from benchmarks import calibration

SMALL = SamplerSettings(draws=500, chains=2)
POOLED = replace(Design.pooled(), n_customers=100, checked=10, sampler=SMALL)
SEGMENTED = replace(Design.segmented(), n_customers=100, checked=10, sampler=SMALL)
DATA_DEPENDENT = {"mean P(alive)", "mean P(purchase)", "log-likelihood"}


def assert_average(values: np.ndarray, expected: float) -> None:
    standard_error = np.std(values) / np.sqrt(len(values))
    assert standard_error > 0
    assert abs(np.mean(values) - expected) < 5 * standard_error


# --- uniformity ----------------------------------------------------------------------------------


def test_the_p_value_is_the_exact_one_where_every_outcome_can_be_counted() -> None:
    """All 3⁴ ranks of four replicates among two draws, by enumeration."""
    n_ranks, n_draws = 4, 2

    def gamma(ranks: tuple[int, ...]) -> float:
        tails = []
        for j in range(n_draws):
            count, chance = sum(rank <= j for rank in ranks), (j + 1) / (n_draws + 1)
            tails.append(sum(binom.pmf(range(count + 1), n_ranks, chance)))
            tails.append(sum(binom.pmf(range(count, n_ranks + 1), n_ranks, chance)))
        return 2 * min(tails)

    outcomes = list(itertools.product(range(n_draws + 1), repeat=n_ranks))
    exact = np.array([gamma(ranks) for ranks in outcomes])
    test = Uniformity.of(n_ranks, n_draws)
    for ranks, value in zip(outcomes, exact, strict=True):
        expected = np.mean(exact <= value + 1e-12)
        error = np.sqrt(expected * (1 - expected) / len(test.simulated))
        assert abs(test.p_value(ranks) - expected) <= 5 * error + 1 / len(test.simulated)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_the_band_holds_the_whole_ecdf_of_uniform_ranks_as_often_as_it_says(level: float) -> None:
    test, rng = Uniformity.of(300, 99), np.random.default_rng(300)
    lower, upper = test.band(level)
    counts = np.array([test.counts(ranks) for ranks in rng.integers(100, size=(4_000, 300))])
    within = ((lower <= counts) & (counts <= upper)).all(axis=1)
    error = np.sqrt(level * (1 - level) / len(within))
    # Ranks are discrete: the band may hold a little more, never less.
    assert level - 5 * error < within.mean() < level + 5 * error + 0.02


def test_leaving_the_band_is_the_same_as_a_small_p_value() -> None:
    test, rng = Uniformity.of(200, 99), np.random.default_rng(4)
    lower, upper = test.band(LEVEL)
    seen = set()
    for power in np.linspace(1, 1.5, 200):
        ranks = np.floor(100 * rng.random(200) ** power).astype(int)
        counts = test.counts(ranks)
        leaves = bool(((counts < lower) | (counts > upper)).any())
        assert leaves == (test.p_value(ranks) < 1 - LEVEL)
        seen.add(leaves)
    assert seen == {True, False}


def test_the_band_is_arviz_s() -> None:
    """ArviZ evaluates at as many points as there are ranks, and rounds counts its own way."""
    n = 100
    _, _, lower, upper = ecdf_pit(np.random.default_rng(0).random(n), 0.99, 20_000)
    ours = np.array(Uniformity.of(n, n - 1).band(0.99))
    assert np.abs(ours - n * np.array([lower[1:-1], upper[1:-1]])).max() <= 1 + 1e-9


@pytest.mark.parametrize(
    "wrong",
    [
        lambda u: u**1.3,
        lambda u: 0.5 + 0.5 * np.sign(u - 0.5) * np.abs(2 * u - 1) ** 0.7,
        lambda u: 0.5 + 0.5 * np.sign(u - 0.5) * np.abs(2 * u - 1) ** 1.4,
    ],
    ids=["shifted", "posterior too narrow", "posterior too wide"],
)
def test_ranks_that_are_not_uniform_are_found_out(wrong: Callable[..., np.ndarray]) -> None:
    u = np.random.default_rng(7).random(1_000)
    test = Uniformity.of(1_000, 99)
    assert test.p_value(np.floor(100 * u).astype(int)) > 0.05
    assert test.p_value(np.floor(100 * wrong(u)).astype(int)) < 0.001


# --- worlds --------------------------------------------------------------------------------------


def test_the_truth_is_drawn_from_the_priors() -> None:
    priors, size = Priors(rate=ComponentPrior(0.3, 1.5, 0.4)), 100_000
    drawn = draw_prior(np.random.default_rng(3), priors, 2, time_unit=200.0, size=size)
    r, alpha, a, b = (getattr(drawn.parameters, name) for name in PARAMETERS)
    eta = {
        "rate": np.log(200.0 * r / alpha),
        "shape": np.log(r),
        "dropout": np.log(a / b),
        "concentration": np.log(a + b),
    }
    for row, name in enumerate(COMPONENTS):
        prior = getattr(priors, name)
        first, second, population = eta[name]
        np.testing.assert_allclose(population, drawn.mu[row], atol=1e-9)
        assert_average(population, prior.mean)
        assert_average((population - prior.mean) ** 2, prior.sd**2)
        assert_average(drawn.tau[row], prior.between * np.sqrt(2 / np.pi))
        assert_average(drawn.tau[row] ** 2, prior.between**2)
        standard = (first - population) / drawn.tau[row]
        assert_average(standard, 0.0)
        assert_average(standard**2, 1.0)
        assert_average((first - population) * (second - population), 0.0)


def test_without_segments_the_one_there_is_is_the_population() -> None:
    drawn = draw_prior(np.random.default_rng(3), Priors(), 0, time_unit=1.0, size=5)
    assert drawn.tau is None
    for name in PARAMETERS:
        segment, population = getattr(drawn.parameters, name)
        np.testing.assert_array_equal(segment, population)


@pytest.mark.parametrize("dropout", list(Dropout), ids=lambda it: it.model_name)
def test_a_world_is_what_its_truth_foretells(dropout: Dropout) -> None:
    """Purchases after the observation end, segment by segment, and the unit of time."""
    design = replace(Design.segmented(dropout), n_customers=20_000)
    world = simulate_dataset(design, np.random.default_rng(12))
    assert world.table.n_customers == 20_000
    assert world.table.mean_T == pytest.approx(world.states.T.mean(), rel=1e-12)
    states, code = world.states, world.observed.code
    expected = bgnbd.expected_purchases(
        world.truth.parameters[code, 0],
        states.frequency,
        states.recency,
        states.T,
        design.horizon,
        dropout,
    )
    assert set(code) == set(range(len(QUADRANTS.names)))
    for segment in set(code):
        assert_average((world.future - expected)[code == segment], 0.0)


def test_the_quadrants_part_customers_at_60_days_and_at_one_purchase() -> None:
    frame = pd.DataFrame(
        {"frequency": [0, 0, 1, 1, 9], "recency": [0, 0, 40, 30, 0.5], "T": [59, 61, 99, 91, 60]}
    )
    names = [QUADRANTS.names[code] for code in QUADRANTS.assign(States.from_frame(frame))]
    assert names == ["new", "silent", "regular", "lapsed", "regular"]


# --- replicates ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dropout", list(Dropout), ids=lambda it: it.model_name)
@pytest.mark.parametrize("design", [POOLED, SEGMENTED], ids=["pooled", "segmented"])
def test_a_replicate_ranks_every_quantity_and_covers_every_measure(
    design: Design, dropout: Dropout
) -> None:
    replicate = run_replicate(replace(design, dropout=dropout), 0, 3)
    groups = ["population"] if design.is_pooled else ["population", *QUADRANTS.names]
    names = {f"{name}, {group}" for name in PARAMETERS for group in groups}
    names |= {f"mu, {name}" for name in COMPONENTS} | DATA_DEPENDENT
    if not design.is_pooled:
        names |= {f"tau, {name}" for name in COMPONENTS}
    assert set(replicate.ranks) == names
    assert all(0 <= rank <= design.n_draws for rank in replicate.ranks.values())
    measures = {"P(alive)", "P(purchase)", "expected purchases", "purchases"}
    assert set(replicate.coverage) == {(name, level) for name in measures for level in LEVELS}
    assert all(0 <= share <= 1 for share in replicate.coverage.values())


@pytest.mark.parametrize("dropout", list(Dropout), ids=lambda it: it.model_name)
def test_with_reactivation_its_variables_are_ranked_too(dropout: Dropout) -> None:
    design = replace(
        Design.segmented(dropout, reactivation=True), n_customers=100, checked=10, sampler=SMALL
    )
    assert design.name == f"{dropout.model_name}, 4 segments × 3 landmarks, reactivation"
    replicate = run_replicate(design, 0, 3)
    without = run_replicate(replace(design, reactivation=None), 0, 3)
    assert set(replicate.ranks) == {*without.ranks, *REACTIVATION}
    assert set(replicate.coverage) == set(without.coverage)


def test_a_world_with_reactivation_is_what_its_truth_foretells() -> None:
    """Purchases after the observation end, of those who were silent for long and of the others."""
    design = replace(
        Design.segmented(Dropout.AFTER_ANY, reactivation=True),
        n_customers=20_000,
        reactivation=ReactivationPriors(chance=NormalPrior(-2.0, 0.1)),
    )
    world = simulate_dataset(design, np.random.default_rng(12))
    states, code, back = world.states, world.observed.code, world.truth.reactivation
    assert back is not None
    given = (states.frequency, states.recency, states.T, design.horizon, design.dropout)
    theta = world.truth.parameters[code, 0]
    expected = reactivation.expected_purchases(theta, back[0], *given)
    idle = states.T - states.recency > 200
    for chosen in (idle, ~idle):
        assert_average((world.future - expected)[chosen], 0.0)
    never = bgnbd.expected_purchases(theta, *given)
    missed = (world.future - never)[idle]
    assert np.mean(missed) > 5 * np.std(missed) / np.sqrt(len(missed))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_how_often_customers_come_back_is_recovered(seed: int) -> None:
    """Within four posterior standard deviations, by frequent customers who fall silent."""
    means = {"rate": 2.5, "shape": 0.5, "dropout": -2.0, "concentration": 1.0}
    priors = Priors(**{name: ComponentPrior(mean, 0.1, 0.1) for name, mean in means.items()})
    coming_back = ReactivationPriors(
        NormalPrior(-2.0, 0.01), NormalPrior(0.8, 0.1), NormalPrior(0.0, 0.1)
    )
    design = replace(
        Design.segmented(Dropout.AFTER_ANY),
        n_customers=2_000,
        priors=priors,
        reactivation=coming_back,
    )
    world = simulate_dataset(design, np.random.default_rng(seed))
    fitted = fit_table(
        world.table,
        design.rule.names,
        SamplerSettings(draws=500, chains=2, seed=seed),
        dropout=design.dropout,
        stretches=world.stretches,
        reactivation=ReactivationPriors(chance=NormalPrior(-3.0, 1.5)),
    )
    back = reactivation_of(fitted.tree)
    assert back is not None
    log_odds = np.log(back.probability / (1 - back.probability))
    assert abs(np.mean(log_odds) + 2.0) < 4 * np.std(log_odds)
    assert np.std(log_odds) < 0.5, "a third of the prior's"


def test_a_pooled_design_has_no_reactivation() -> None:
    with pytest.raises(InputError, match="reactivation needs two segments or more"):
        replace(POOLED, reactivation=ReactivationPriors())


def test_the_same_seed_and_number_give_the_same_replicate_and_others_another() -> None:
    first, again, other = (run_replicate(POOLED, 8, number).ranks for number in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("design", [POOLED, SEGMENTED], ids=["pooled", "segmented"])
@pytest.mark.parametrize(("rate", "least", "most"), [(-12.0, 0, 0), (6.0, 10_000, 1e9)])
def test_a_world_where_nobody_buys_twice_or_everybody_always_is_a_replicate_too(
    design: Design, rate: float, least: int, most: float
) -> None:
    priors = Priors(rate=ComponentPrior(rate, 0.1), dropout=ComponentPrior(-6.0, 0.1))
    replicate = run_replicate(replace(design, priors=priors), 1, 0)
    assert least <= replicate.n_repeats <= most


# --- fits that are wrong -------------------------------------------------------------------------


def draws_from(priors: Priors) -> Callable[..., Fitted]:
    """A fit that ignores the data: its draws are from given priors."""

    def fit(
        table: LandmarkTable, names: tuple[str, ...], settings: SamplerSettings, **_: Any
    ) -> Fitted:
        n_segments = len(names) if len(names) > 1 else 0
        size = (settings.chains, settings.draws)
        rng = np.random.default_rng(settings.seed)
        drawn = draw_prior(rng, priors, n_segments, table.mean_T, settings.chains * settings.draws)
        of_components = {"mu": drawn.mu} | ({} if drawn.tau is None else {"tau": drawn.tau})
        variables = {
            name: (("component", "chain", "draw"), rows.reshape(-1, *size))
            for name, rows in of_components.items()
        }
        for name in PARAMETERS:
            rows = getattr(drawn.parameters, name).reshape(-1, *size)
            variables[name] = (("segment", "chain", "draw"), rows[:-1])
            variables[f"{name}_population"] = (("chain", "draw"), rows[-1])
        tree = xr.DataTree.from_dict({"posterior": xr.Dataset(variables)})
        return Fitted(tree, Diagnostics(1.0, 500.0, 500.0, 0, 1.0, ()), settings)

    return fit


@pytest.mark.long
def test_draws_that_ignore_the_data_pass_for_parameters_and_fail_for_the_likelihood() -> None:
    """So the first half says that truth and draws are of one prior, and are ranked rightly."""
    study = calibrate(SEGMENTED, 80, seed=2, jobs=1, fit=draws_from(Priors()))
    table = study.table
    parameters = table.index.difference(list(DATA_DEPENDENT))
    assert table.loc[parameters, "p_value"].min() > 0.01 / len(table)
    assert "log-likelihood" in study.beyond_chance
    assert "NOT CALIBRATED: " in study.verdict
    assert table.loc["log-likelihood", "outside"]


@pytest.mark.long
def test_draws_from_other_priors_are_found_out_where_they_differ() -> None:
    other = Priors(shape=ComponentPrior(0.3, 1.0), dropout=ComponentPrior(-1.0, 0.8))
    study = calibrate(POOLED, 100, seed=3, jobs=1, fit=draws_from(other))
    assert {"mu, shape", "r, population", "mu, dropout"} <= set(study.beyond_chance)
    assert {"mu, rate", "mu, concentration"}.isdisjoint(study.beyond_chance)


def everybody_five_times(table: LandmarkTable, *arguments: Any, **options: Any) -> Fitted:
    """A fit that uses the data five times."""
    return fit_table(replace(table, weight=5 * table.weight), *arguments, **options)


@pytest.mark.long
def test_the_fit_passes_and_a_fit_that_uses_the_data_five_times_is_found_out() -> None:
    right, wrong = (
        calibrate(POOLED, 50, seed=5, jobs=1, fit=fit) for fit in (fit_table, everybody_five_times)
    )
    assert right.beyond_chance == ()
    assert wrong.beyond_chance != ()
    for level in LEVELS:
        for measure in ("P(purchase)", "expected purchases", "purchases"):
            found = right.coverage_table.loc[measure, level]
            assert abs(found["coverage"] - level) < 5 * found["standard_error"]
        narrow = wrong.coverage_table.loc["expected purchases", level]
        assert narrow["coverage"] < level - 2 * narrow["standard_error"]


# --- studies -------------------------------------------------------------------------------------


def study_of(ranks: dict[str, np.ndarray], coverage: float = 0.9) -> Calibration:
    """Gather a study whose ranks are given."""
    columns = {("P(alive)", level): coverage for level in LEVELS}
    verdict = Diagnostics(1.0, 500.0, 500.0, 0, 1.0, ())
    rows = [dict(zip(ranks, row, strict=True)) for row in zip(*ranks.values(), strict=True)]
    return Calibration.of(
        POOLED,
        0,
        [
            Replicate(row, columns, replace(verdict, ess_bulk=500.0 + k), 10 + k, 0.5)
            for k, row in enumerate(rows)
        ],
    )


def test_the_verdict_names_what_is_outside_and_what_no_chance_explains() -> None:
    rng = np.random.default_rng(2)
    even = rng.permutation(np.arange(200) % 100)
    ranks = {"even": even, "low": even // 2, "evenly too": rng.permutation(even)}
    study = study_of(ranks)
    assert study.outside == study.beyond_chance == ("low",)
    assert study.expected_outside == pytest.approx(0.03)
    assert study.verdict == (
        "1 of 3 quantities outside (low), 0.0 expected by chance: NOT CALIBRATED: low."
    )
    assert study_of({"even": even}).verdict == (
        "0 of 1 quantities outside, 0.0 expected by chance: calibrated."
    )


def test_a_world_that_cannot_be_fitted_is_told_and_neither_ranked_nor_hidden() -> None:
    def fit(table: LandmarkTable, *arguments: Any, **options: Any) -> Fitted:
        if table.frequency.sum() % 2:
            raise RuntimeError("out of luck")
        return draws_from(Priors())(table, *arguments, **options)

    study = calibrate(SEGMENTED, 12, seed=6, jobs=1, fit=fit)
    assert 0 < len(study.failed) < 12
    assert study.n_replicates == 12 - len(study.failed)
    assert {it.reason for it in study.failed} == {"out of luck"}
    assert study.verdict.endswith(f" COULD NOT BE FITTED: {len(study.failed)} simulated datasets.")
    numbers = {it.number for it in study.failed}
    again = [run_replicate(SEGMENTED, 6, number, fit) for number in range(12)]
    assert numbers == {k for k, it in enumerate(again) if isinstance(it, FailedReplicate)}


def test_coverage_is_averaged_over_replicates_that_have_intervals() -> None:
    found = study_of({"x": np.arange(4)})
    shares = found.coverage.copy()
    shares["P(alive)", 0.9] = [1.0, 0.5, np.nan, 0.75]
    row = replace(found, coverage=shares).coverage_table.loc["P(alive)", 0.9]
    assert row["coverage"] == pytest.approx(0.75)
    assert row["standard_error"] == pytest.approx(0.25 / np.sqrt(3))


@pytest.mark.long
def test_processes_change_nothing() -> None:
    one, two = (calibrate(POOLED, 4, seed=11, jobs=jobs) for jobs in (1, 2))
    pd.testing.assert_frame_equal(one.ranks, two.ranks)
    pd.testing.assert_frame_equal(one.coverage, two.coverage)


def test_the_figure_shows_every_quantity_the_band_and_what_leaves_it() -> None:
    even = np.random.default_rng(2).permutation(np.arange(200) % 100)
    study = study_of({"even": even, "low": even // 2})
    figure = plot_calibration([study, study_of({"even": even})])
    histograms, distributions, coverage = figure.axes[:3]
    assert [label.get_text() for label in histograms.get_yticklabels()] == ["even", "low"]
    np.testing.assert_allclose(histograms.collections[0].get_array()[0], 0.0, atol=1e-9)
    off = histograms.collections[0].get_array()[1]
    assert (off[:10] > 3).all(), "twice as many as there should be"
    np.testing.assert_allclose(off[10:], -10 / np.sqrt(200 * 0.05 * 0.95), rtol=0.1)
    low = next(it for it in distributions.lines if str(it.get_label()).startswith("outside"))
    z = np.arange(1, study.design.n_draws + 1) / (study.design.n_draws + 1)
    np.testing.assert_allclose(low.get_xdata(), z)
    below = (even // 2)[:, None] < np.arange(1, study.design.n_draws + 1)
    np.testing.assert_allclose(low.get_ydata(), below.mean(axis=0) - z, atol=1e-12)
    points = [it.lines[0].get_xdata().tolist() for it in coverage.containers]
    assert np.ravel(points) == pytest.approx([40, 0]), "90% where 50% and 90% were said"
    labels = [text.get_text() for text in distributions.get_legend().get_texts()]
    assert labels == ["99% band", "outside: low"]
    assert distributions.get_title(loc="left") == "200 replicates, 1 of 2 outside"
    assert [label.get_text() for label in coverage.get_yticklabels()] == [
        "P(alive), 50%",
        "P(alive), 90%",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"landmarks": ()}, r"landmarks must be positive and ascending: \(\)"),
        ({"landmarks": (5.0, 5.0)}, r"landmarks must be positive and ascending: \(5.0, 5.0\)"),
        ({"checked": 101}, "checked must lie between 1 and n_customers, 100: 101"),
        ({"n_draws": 1001}, "n_draws must lie between 1 and the 1000 draws of the sampler: 1001"),
    ],
)
def test_a_design_that_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(POOLED, **change)


@pytest.mark.parametrize(("name", "value"), [("n_replicates", 1), ("seed", -1), ("jobs", 0)])
def test_a_study_that_cannot_be_is_refused(name: str, value: int) -> None:
    with pytest.raises(InputError, match=rf"^{name} must be at least [012]: {value}$"):
        calibrate(POOLED, **{"n_replicates": 2, "jobs": 1, name: value})


@pytest.mark.long
def test_the_command_writes_the_page_and_the_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = SamplerSettings(draws=200, chains=2)  # so few that it does not climb
    for name, design in (("pooled", POOLED), ("segmented", SEGMENTED)):
        small = replace(design, sampler=few)
        monkeypatch.setattr(
            Design, name, lambda dropout, small=small, **_: replace(small, dropout=dropout)
        )
    calibration.main(["--replicates", "2", "--seed", "4", "--jobs", "1", "--to", str(tmp_path)])
    page = (tmp_path / "calibration.md").read_text()
    for name in ("calibration.png", "calibration-mbg.png"):
        assert f"({name})" in page
        assert (tmp_path / name).stat().st_size > 10_000
    for heading in ("BG/NBD, pooled", "MBG/NBD, 4 segments × 3 landmarks"):
        assert f"## {heading}\n" in page
    assert page.count("| log-likelihood | ") == 4
    assert page.count("| tau, concentration | ") == 2
    assert "`make sbc ARGS='--replicates 2 --seed 4'`" in page
    assert re.findall(r"Seed (\d): 2 simulated datasets of", page) == ["4", "5", "6", "7"]
    assert re.findall(r"Seed (\d): 2 datasets,", page) == ["4", "5"], "sampled once"
    for made in ("none", "up to 0 of 400", "more"):
        assert len(re.findall(rf"^\| {made} \| ", page, re.MULTILINE)) == 2 * 4

"""Every public function refuses what has no meaning: by argument, rule and value, in one line."""

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayes_clv
from bayes_clv import (
    ComponentPrior,
    HierarchicalBetaGeo,
    KMeansSegmenter,
    Posterior,
    Priors,
    RFMSegmenter,
    arguments,
    load_cdnow,
    load_posterior,
    plots,
)
from bayes_clv.data.transactions import Transactions
from bayes_clv.errors import InputError
from bayes_clv.evaluation import fit_alone, track, with_log_densities
from bayes_clv.evaluation.backtest import Method, Split, backtest, backtest_money, default_methods
from bayes_clv.evaluation.sbc import Design, calibrate
from bayes_clv.evaluation.simulate import Scenario, Spend, simulate_transactions
from bayes_clv.inference import SamplerSettings, fit_table
from bayes_clv.models import Dropout, Parameters, SpendPriors
from bayes_clv.posterior import ValueTerms, compare_log, score_log
from bayes_clv.segments import compare_n_segments

CUSTOMERS = pd.DataFrame(
    {"frequency": [3, 0, 1], "recency": [30.0, 0.0, 9.0], "T": [60.0, 9.0, 99.0]}
)
NO_NUMBERS: list[Any] = [True, "90", None, np.nan, np.inf, [90], 1j, np.array([9.0, 1.0])]
NO_DAYS = [*NO_NUMBERS, 0, -1, dt.timedelta(-1), np.timedelta64("NaT", "D"), dt.date(2024, 1, 1)]
NO_LEVELS = [*NO_NUMBERS, 0, 1, 90]
NO_SEEDS = [*NO_NUMBERS, -1, 0.5, 2**70]
NO_COUNTS = [*NO_NUMBERS, 0, -3, 2.5]
NO_FLAGS = [0, 1, "yes", None]
NO_DATES = [5, "soon", dt.timedelta(3), pd.NaT, "2024-02-30", []]
NO_OBJECTS = [None, 5, "text", [1], CUSTOMERS]
PARAMETERS = Parameters(*map(np.float64, (0.25, 30.0, 0.8, 2.5)))
START, END = dt.date(2024, 1, 1), dt.date(2024, 12, 31)

MODEL = HierarchicalBetaGeo
# How the argument is called in the call, the values that are refused, and the call.
type Case = tuple[str, list[Any], Callable[[Any], Any]]


def cases(posterior: Posterior, log: Transactions) -> dict[str, list[Case]]:
    p, c = posterior, CUSTOMERS
    scenario = Scenario(PARAMETERS, START, END)
    table = HierarchicalBetaGeo(segmenter=None).prepare(log).table
    comparison = p.compare_segments(c)
    return {
        "posterior": [
            ("level", NO_LEVELS, lambda it: p.probability_alive(c, level=it)),
            ("horizon", NO_DAYS, lambda it: p.probability_of_purchase(c, it)),
            ("horizon", NO_DAYS, lambda it: p.expected_purchases(c, horizon=it)),
            ("horizon", NO_DAYS, lambda it: p.sample_purchases(c, it)),
            ("seed", NO_SEEDS, lambda it: p.sample_purchases(c, 9, seed=it)),
            ("level", NO_LEVELS, lambda it: p.expected_spend(c, level=it)),
            ("horizon", NO_DAYS, lambda it: p.customer_lifetime_value(c, it)),
            ("margin", [*NO_NUMBERS, 0], lambda it: p.customer_lifetime_value(c, margin=it)),
            (
                "annual_discount_rate",
                [*NO_NUMBERS, -0.1],
                lambda it: p.sample_value(c, annual_discount_rate=it),
            ),
            ("seed", NO_SEEDS, lambda it: p.sample_value(c, seed=it)),
            ("horizon", NO_DAYS, lambda it: p.compare_segments(c, horizon=it)),
            ("value_horizon", NO_DAYS, lambda it: p.compare_segments(c, value_horizon=it)),
            ("level", NO_LEVELS, lambda it: p.compare_segments(c, level=it)),
            ("horizon", NO_DAYS, lambda it: p.answer(1, 2, 3, horizon=it)),
            ("level", NO_LEVELS, lambda it: p.answer(1, 2, 3, level=it)),
            ("path", [None, 5, "", ["a"]], p.save),
            ("path", [None, 5, "", ["a"]], load_posterior),
            ("horizon", NO_DAYS, lambda it: ValueTerms(it)),
            ("margin", [*NO_NUMBERS, 0, -1], lambda it: ValueTerms(margin=it)),
            ("transactions", [None, 5, [1], c], lambda it: compare_log(p, it)),
            ("transactions", [None, 5, [1], c], lambda it: score_log(p, it, 90)),
            ("horizon", NO_DAYS, lambda it: score_log(p, log, it)),
            ("horizon", NO_DAYS, lambda it: compare_log(p, log, horizon=it)),
            ("level", NO_LEVELS, lambda it: compare_log(p, log, level=it)),
        ],
        "model": [
            ("segmenter", ["rfmm", "", 5, RFMSegmenter, True], lambda it: MODEL(segmenter=it)),
            ("landmarks", [*NO_COUNTS[:5], 0, 2.5, "2024-01-01"], lambda it: MODEL(landmarks=it)),
            ("landmark", [["soon"], [5], [None]], lambda it: MODEL(landmarks=it)),
            ("landmarks", [[]], lambda it: MODEL(landmarks=it)),
            ("priors", [None, {}, SpendPriors()], lambda it: MODEL(priors=it)),
            ("spend_priors", [None, {}, Priors()], lambda it: MODEL(spend_priors=it)),
            ("dropout", ["never", None, 5, True, "BG/NBD"], lambda it: MODEL(dropout=it)),
            ("spend", NO_FLAGS, lambda it: MODEL(spend=it)),
            ("transactions", [None, 5, [1], c], lambda it: MODEL().fit(it)),
            ("draws", NO_COUNTS, lambda it: MODEL().fit(log, draws=it)),
            ("tune", NO_COUNTS, lambda it: MODEL().fit(log, tune=it)),
            ("chains", NO_COUNTS, lambda it: MODEL().fit(log, chains=it)),
            ("seed", NO_SEEDS, lambda it: MODEL().fit(log, seed=it)),
            ("progress", NO_FLAGS, lambda it: MODEL().fit(log, progress=it)),
            ("on_stage", [None, 5, "say"], lambda it: MODEL().fit(log, on_stage=it)),
            ("target_accept", [*NO_NUMBERS, 0, 1.5], lambda it: SamplerSettings(target_accept=it)),
            ("max_depth", NO_COUNTS, lambda it: SamplerSettings(max_depth=it)),
            ("rate", [5, (1,), "ab", {}, None], lambda it: Priors(rate=it)),
            ("level", [5, (1, 2, 3, 4)], lambda it: SpendPriors(level=it)),
            ("mean", NO_NUMBERS, lambda it: ComponentPrior(it, 1)),
            ("sd", [*NO_NUMBERS, 0], lambda it: ComponentPrior(0, it)),
            ("between", [*NO_NUMBERS, -1], lambda it: Priors(rate=(0, 1, it))),
            ("table", NO_OBJECTS, lambda it: fit_table(it, ("all",), SamplerSettings())),
            ("settings", NO_OBJECTS, lambda it: fit_table(table, ("all",), it)),
            ("n_segments", NO_COUNTS, lambda it: KMeansSegmenter(it).fit(c)),
            ("features", [[], "idle", 5, None, ["age"]], lambda it: kmeans(features=it)),
            ("random_state", [True, "1", -1, 0.5], lambda it: kmeans(random_state=it)),
            ("customers", [None, 5, [1], "a.csv"], lambda it: compare_n_segments(it, [2])),
            ("n_segments", [5, "35", [1], [2.5], [True]], lambda it: compare_n_segments(c, it)),
            ("resamples", NO_COUNTS, lambda it: compare_n_segments(c, [2], resamples=it)),
        ],
        "data": [
            ("sample", NO_FLAGS, lambda it: load_cdnow(sample=it)),
            ("end", NO_DATES, log.until),
            ("landmark", [["soon"], [5]], lambda it: bayes_clv.summarise(log, it)),
            ("landmarks", ["2024-01-01", 5], lambda it: bayes_clv.summarise(log, it)),
            ("transactions", [None, 5, [1]], bayes_clv.customers),
            ("states", [None, 5, c], bayes_clv.durations),
            ("segment", [5, True, ["a"]], lambda it: bayes_clv.read_transactions(c, segment=it)),
        ],
        "evaluation": [
            ("transactions", [None, 5, [1], c], backtest),
            ("methods", ["pooled", 5, [5], ["pooled"]], lambda it: backtest(log, methods=it)),
            ("splits", ["now", 5, [5]], lambda it: backtest(log, splits=it)),
            ("draws", NO_COUNTS[:2] + NO_COUNTS[3:], lambda it: backtest(log, draws=it)),
            ("seed", NO_SEEDS, lambda it: backtest(log, seed=it)),
            ("fast", NO_FLAGS, lambda it: backtest(log, fast=it)),
            ("origin", NO_DATES, lambda it: backtest_money(log, it)),
            ("horizon", ["90", True, [9], 0], lambda it: backtest_money(log, None, it)),
            ("methods", ["pooled", 5, [5]], lambda it: backtest_money(log, methods=it)),
            ("segmenter", ["rfmm", 5], lambda it: Method("x", it)),
            ("landmarks", NO_COUNTS, lambda it: Method("x", landmarks=it)),
            ("dropout", ["never", None], lambda it: Method("x", dropout=it)),
            ("name", [None, 5], Method),
            ("origin", [None, *NO_DATES], lambda it: Split(it, 9)),
            ("horizon", [*NO_NUMBERS, -1, 2.5], lambda it: Split(START, it)),
            ("n_segments", [5, "35", [0], [True], []], default_methods),
            ("posterior", NO_OBJECTS, lambda it: track(it, log)),
            ("transactions", [None, 5, [1], c], lambda it: track(p, it)),
            ("period", [*NO_COUNTS, dt.timedelta(hours=5)], lambda it: track(p, log, period=it)),
            ("draws", NO_COUNTS, lambda it: track(p, log, draws=it)),
            ("table", NO_OBJECTS, lambda it: with_log_densities(p, it)),
            ("table", NO_OBJECTS, lambda it: fit_alone(it, ("a",), SamplerSettings())),
            ("design", NO_OBJECTS, calibrate),
            ("n_replicates", NO_COUNTS, lambda it: calibrate(Design.pooled(), it)),
            ("jobs", NO_COUNTS[:2] + NO_COUNTS[3:], lambda it: calibrate(Design.pooled(), jobs=it)),
            ("landmarks", [5, "360", [], ["9"], [9, 3]], lambda it: Design(p.rule, it)),
            ("horizon", NO_DAYS, lambda it: Design(p.rule, (9.0,), horizon=it)),
            ("n_customers", NO_NUMBERS, lambda it: Design(p.rule, (9.0,), n_customers=it)),
            ("dropout", ["never", None], lambda it: Design(p.rule, (9.0,), it)),
            ("parameters", NO_OBJECTS, lambda it: Scenario(it, START, END)),
            ("start", [None, *NO_DATES], lambda it: Scenario(PARAMETERS, it, END)),
            ("acquisition_days", [True, "9", 0, 1.5], lambda it: scenario_of(acquisition_days=it)),
            ("dropout", ["never", None], lambda it: scenario_of(dropout=it)),
            ("spend", [5, True, "no"], lambda it: scenario_of(spend=it)),
            ("p", [*NO_NUMBERS, 0], lambda it: Spend(p=it)),
            ("scenario", NO_OBJECTS, lambda it: simulate_transactions(it, 5)),
            ("n_customers", NO_COUNTS, lambda it: simulate_transactions(scenario, it)),
            ("seed", NO_SEEDS[:-1], lambda it: simulate_transactions(scenario, 5, seed=it)),
        ],
        "plots": [
            ("comparison", NO_OBJECTS, plots.plot_segment_comparison),
            ("comparison", NO_OBJECTS, plots.plot_pairwise_churn),
            ("measure", ["alive", 5, None], lambda it: plots.plot_pairwise_churn(comparison, it)),
            ("comparison", NO_OBJECTS, plots.plot_value_at_risk),
            ("posterior", NO_OBJECTS, lambda it: plots.state_matrix(it)),
            ("measure", ["alive", 5, None], lambda it: plots.state_matrix(p, it)),
            ("T", NO_DAYS, lambda it: plots.state_matrix(p, T=it)),
            ("steps", NO_COUNTS, lambda it: plots.state_matrix(p, steps=it)),
            ("max_frequency", NO_COUNTS, lambda it: plots.state_matrix(p, max_frequency=it)),
            ("posterior", NO_OBJECTS, lambda it: plots.alive_history(it, log, 1)),
            ("customer", ["nobody"], lambda it: plots.alive_history(p, log, it)),
            ("posterior", NO_OBJECTS, lambda it: plots.new_customer(it, 90)),
            ("days", NO_DAYS, lambda it: plots.new_customer(p, it)),
            ("posterior", NO_OBJECTS, plots.heterogeneity),
            ("seed", NO_SEEDS, lambda it: plots.heterogeneity(p, seed=it)),
            ("customers", [5, "a.csv", [1]], lambda it: plots.heterogeneity(p, it)),
            ("posterior", NO_OBJECTS, plots.plot_prior_posterior),
            ("customers", [None, 5, [1], "a.csv"], plots.plot_customers),
            ("customers", [None, 5, [1], "a.csv"], plots.plot_exposure),
            ("most", NO_COUNTS, lambda it: plots.plot_exposure(c, most=it)),
            ("segments", ["a", ["a"], None], lambda it: plots.segment_profile(c, it)),
            ("transactions", [None, 5, [1], c], plots.calendar),
            ("transactions", [None, 5, [1], c], plots.cohorts),
            ("table", [None, 5, "a"], plots.plot_cohorts),
            ("result", NO_OBJECTS, plots.plot_reliability),
            ("result", NO_OBJECTS, plots.plot_gains),
            ("studies", [[5], ["a"]], plots.plot_calibration),
            ("tracking", NO_OBJECTS, plots.plot_tracking),
            ("matrix", NO_OBJECTS, plots.plot_state_matrix),
            ("history", NO_OBJECTS, plots.plot_alive_history),
            ("densities", NO_OBJECTS, plots.plot_heterogeneity),
            ("table", [None, 5, "a"], plots.plot_n_segments),
            ("table", [None, 5, "a"], plots.plot_new_customer),
            ("table", [None, 5, "a"], plots.plot_shrinkage),
            ("table", [None, 5, "a"], plots.plot_purchase_counts),
            ("profile", [None, 5, "a"], plots.plot_segment_profile),
        ],
    }


def kmeans(**how: Any) -> Any:
    return KMeansSegmenter(2, **how).fit(CUSTOMERS)


def scenario_of(**how: Any) -> Scenario:
    return Scenario(PARAMETERS, START, END, **how)


@pytest.fixture(scope="module")
def log() -> Transactions:
    return load_cdnow(sample=True)


@pytest.mark.parametrize("part", ["posterior", "model", "data", "evaluation", "plots"])
def test_what_has_no_meaning_is_refused_by_argument_and_value(
    part: str, posterior_by_hand: Callable[..., Posterior], log: Transactions
) -> None:
    wrong = []
    for name, values, call in cases(posterior_by_hand(spend=True), log)[part]:
        for value in values:
            try:
                call(value)
            except InputError as refused:
                words = str(refused)
                seen = any(it in words for it in told(value))
                if re.search(rf"\b{name}\b", words) and seen and "\n" not in words:
                    continue
                wrong.append((name, value, words))
            except Exception as error:
                wrong.append((name, value, repr(error)[:200]))
            else:
                wrong.append((name, value, "accepted"))
    assert wrong == []


def told(value: Any) -> list[str]:
    """How a message may tell a value: itself, one in it, its type, or that there is none."""
    inner = [repr(it) for it in value] if isinstance(value, list | tuple) else []
    nothing = ["none", "some of", "()"] if isinstance(value, list) and not value else []
    kinds = [f"got {type(value).__name__}", "one row per purchase", "one name for each customer"]
    return [arguments.shown(value), str(value), *inner, *nothing, *kinds]


@pytest.mark.parametrize(
    "horizon",
    [
        90.0,
        np.int64(90),
        np.float32(90),
        dt.timedelta(90),
        pd.Timedelta("90D"),
        np.timedelta64(90, "D"),
    ],
    ids=repr,
)
def test_a_horizon_is_the_same_in_every_form(
    horizon: Any, posterior_by_hand: Callable[..., Posterior]
) -> None:
    posterior = posterior_by_hand(spend=True)
    for method in (
        "probability_of_purchase",
        "expected_purchases",
        "sample_purchases",
        "customer_lifetime_value",
        "sample_value",
    ):
        answer = getattr(posterior, method)
        pd.testing.assert_frame_equal(answer(CUSTOMERS, horizon), answer(CUSTOMERS, 90))
    assert posterior.answer(3, 30, 60, horizon=horizon) == posterior.answer(3, 30, 60)
    assert ValueTerms(horizon) == ValueTerms(90.0)
    assert type(ValueTerms(horizon).horizon) is float


def test_words_and_dates_stand_for_what_they_name() -> None:
    model = HierarchicalBetaGeo(
        "kmeans", ["1997-10-01", np.datetime64("1998-01-01")], dropout="after_any"
    )  # type: ignore[arg-type]
    assert isinstance(model.segmenter, KMeansSegmenter)
    assert model.landmarks == (dt.date(1997, 10, 1), dt.date(1998, 1, 1))
    assert model.dropout is Dropout.AFTER_ANY
    assert isinstance(HierarchicalBetaGeo("rfm").segmenter, RFMSegmenter)
    assert HierarchicalBetaGeo(landmarks=np.int64(3)).landmarks == 3
    assert Priors(rate=(0, 1)) == Priors(rate=ComponentPrior(0.0, 1.0))  # type: ignore[arg-type]
    assert Priors(rate=[0, 1, 2]).rate == ComponentPrior(0.0, 1.0, 2.0)  # type: ignore[arg-type]


def test_answers_about_a_log_are_those_about_its_customers(
    posterior_by_hand: Callable[..., Posterior], log: Transactions
) -> None:
    posterior, known = posterior_by_hand(spend=True), bayes_clv.customers(log)
    days = {name: pd.to_timedelta(known[name], unit="D") for name in ("recency", "T")}
    for method in (posterior.probability_alive, posterior.expected_spend):
        expected = method(known)
        pd.testing.assert_frame_equal(method(log), expected)
        pd.testing.assert_frame_equal(method(known.assign(**days)), expected)


def test_a_fit_takes_what_reading_takes(tmp_path: Any, log: Transactions) -> None:
    frame = log.table.to_pandas()
    frame.to_parquet(tmp_path / "log.parquet")
    read = bayes_clv.read_transactions(frame)
    tables = [
        HierarchicalBetaGeo(segmenter="rfm").prepare(given).table
        for given in (read, frame, tmp_path / "log.parquet", str(tmp_path / "log.parquet"))
    ]
    for table in tables[1:]:
        np.testing.assert_array_equal(table.weight, tables[0].weight)
        np.testing.assert_array_equal(table.segment, tables[0].segment)

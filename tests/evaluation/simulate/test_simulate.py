"""Simulated customers against what theory says of them, by formulas that the package does not use.

Everything is seeded. Where an average is compared, it may be five standard errors off.
"""

import datetime as dt
import tracemalloc
from dataclasses import replace
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy.integrate import quad
from scipy.special import betaln, gammaln, hyp2f1
from scipy.stats import beta

from bayes_clv import customers, read_transactions
from bayes_clv.data.states import States
from bayes_clv.errors import InputError
from bayes_clv.evaluation.simulate import logs
from bayes_clv.evaluation.simulate.landmarks import (
    LandmarkLives,
    Segmented,
    draw_latents,
    simulate_landmarks,
)
from bayes_clv.evaluation.simulate.lives import Lives, live_on, simulate_lives
from bayes_clv.evaluation.simulate.logs import (
    Scenario,
    Simulated,
    Spend,
    simulate_transactions,
    write_transactions,
)
from bayes_clv.inference.landmarks import landmark_table
from bayes_clv.inference.purchases.layout import LikelihoodLayout
from bayes_clv.inference.purchases.likelihood import value_and_gradient_by_eta
from bayes_clv.inference.purchases.stretch_layout import StretchLayout
from bayes_clv.inference.purchases.stretch_likelihood import value_and_gradient_of_stretches
from bayes_clv.inference.stretches import stretch_table
from bayes_clv.models import bgnbd
from bayes_clv.models.bgnbd import Dropout, Parameters
from bayes_clv.models.reactivation import Reactivation
from bayes_clv.segments.rules import POPULATION, KMeansRule, PooledRule

# CDNOW in weeks, as BTYD's walkthrough gives it: E[X(52)] = 1.444004 there.
CDNOW = Parameters(0.2425967, 4.413659, 0.7929869, 2.426164)
N, T = 200_000, 52.0
SCENARIO = Scenario(
    replace(CDNOW, alpha=7 * CDNOW.alpha),
    start=dt.date(2023, 1, 1),
    end=dt.date(2024, 12, 31),
    acquisition_days=365,
)
NAMES = ("r", "alpha", "a", "b")
# Three segments that live by parameters far from the population's and from each other's.
BY_FREQUENCY = Segmented(
    KMeansRule(
        names=("once", "now and then", "often"),
        features=("frequency",),
        location=(0.0,),
        scale=(1.0,),
        centroids=((0.0,), (0.9,), (2.0,)),
    ),
    Parameters(
        np.array([0.5, 1.5, 3.0]),
        np.array([30.0, 12.0, 4.0]),
        np.array([0.4, 2.0, 0.6]),
        np.array([1.0, 2.5, 6.0]),
    ),
)
WEEKS = (13.0, 26.0, 39.0)
both = pytest.mark.parametrize("dropout", list(Dropout), ids=lambda it: it.model_name)


def lives_of(dropout: Dropout, *, n: int = N, T: float = T, seed: int = 52) -> Lives:
    rng = np.random.default_rng(seed)
    return simulate_lives(CDNOW, np.full(n, T), dropout=dropout, rng=rng)


def assert_average(values: np.ndarray, expected: float) -> None:
    standard_error = np.std(values) / np.sqrt(len(values))
    assert standard_error > 0
    assert abs(np.mean(values) - expected) < 5 * standard_error


def survival(t: float, dropout: Dropout) -> float:
    """Alive t after the first purchase: leaving has rate λp, and E exp(−λpt) = (α/(α+pt))^r."""

    def of(p: float) -> float:
        first = 1 - p if dropout is Dropout.AFTER_ANY else 1.0
        return (
            first * (CDNOW.alpha / (CDNOW.alpha + p * t)) ** CDNOW.r * beta.pdf(p, CDNOW.a, CDNOW.b)
        )

    return quad(of, 0, 1, epsabs=1e-10)[0]


def chance_of_n_purchases(x: int, t: float) -> float:
    """P(X(t) = x) of BG/NBD: Fader, Hardie & Lee 2005, equation 8."""
    r, alpha, a, b = CDNOW.r, CDNOW.alpha, CDNOW.a, CDNOW.b

    def buys_if_nobody_leaves(j: int) -> float:
        log = gammaln(r + j) - gammaln(r) - gammaln(j + 1) + r * np.log(alpha / (alpha + t))
        return np.exp(log + j * np.log(t / (alpha + t)))

    stays = np.exp(betaln(a, b + x) - betaln(a, b)) * buys_if_nobody_leaves(x)
    if x == 0:
        return stays
    leaves = np.exp(betaln(a + 1, b + x - 1) - betaln(a, b))
    return stays + leaves * (1 - sum(map(buys_if_nobody_leaves, range(x))))


def test_rates_and_chances_of_leaving_are_gamma_and_beta() -> None:
    lives = lives_of(Dropout.AFTER_REPEAT)
    r, alpha, a, b = CDNOW.r, CDNOW.alpha, CDNOW.a, CDNOW.b
    assert_average(lives.rate, r / alpha)
    assert_average((lives.rate - r / alpha) ** 2, r / alpha**2)
    assert_average(lives.leaving, a / (a + b))
    assert_average((lives.leaving - a / (a + b)) ** 2, a * b / (a + b) ** 2 / (a + b + 1))


def test_the_mean_number_of_purchases_is_the_published_one() -> None:
    assert_average(lives_of(Dropout.AFTER_REPEAT).frequency, 1.444004)


def test_the_mean_number_of_purchases_of_mbg_nbd_is_that_of_the_hypergeometric_formula() -> None:
    # MBG/NBD is BG/NBD among those who stay after the first purchase: p ~ Beta(a, b + 1) there.
    r, alpha, a, b = CDNOW.r, CDNOW.alpha, CDNOW.a, CDNOW.b + 1
    shrunk = (alpha / (alpha + T)) ** r * hyp2f1(r, b, a + b - 1, T / (alpha + T))
    stays = CDNOW.b / (CDNOW.a + CDNOW.b)
    expected = stays * (a + b - 1) / (a - 1) * (1 - shrunk)
    assert_average(lives_of(Dropout.AFTER_ANY).frequency, expected)


@pytest.mark.parametrize("x", [0, 1, 2, 5, 12])
def test_the_numbers_of_purchases_follow_the_published_probabilities(x: int) -> None:
    bought = lives_of(Dropout.AFTER_REPEAT).frequency == x
    assert_average(bought, chance_of_n_purchases(x, T))


@both
@pytest.mark.parametrize("t", [4.0, 52.0, 1000.0])
def test_as_many_are_alive_as_theory_says(dropout: Dropout, t: float) -> None:
    assert_average(lives_of(dropout, n=50_000, T=t).alive, survival(t, dropout))


@both
def test_probability_alive_is_calibrated_at_the_true_parameters(dropout: Dropout) -> None:
    lives = lives_of(dropout)
    states = lives.states
    chance = bgnbd.probability_alive(CDNOW, states.frequency, states.recency, states.T, dropout)
    uncertain = chance < 1
    for low, high in ((0.0, 0.05), (0.05, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 1.0)):
        here = uncertain & (chance >= low) & (chance < high)
        assert here.sum() > 500
        assert_average(lives.alive[here] - chance[here], 0.0)
    assert lives.alive[~uncertain].all()


@both
def test_the_states_are_draws_from_the_likelihood(dropout: Dropout) -> None:
    """The score, the slope of ln L by a parameter, is 0 on average at the truth."""
    states = lives_of(dropout).states
    for name in NAMES:
        step = 1e-5 * getattr(CDNOW, name)
        up, down = (
            bgnbd.log_likelihood(
                replace(CDNOW, **{name: getattr(CDNOW, name) + sign * step}),
                states.frequency,
                states.recency,
                states.T,
                dropout,
            )
            for sign in (1, -1)
        )
        assert_average((up - down) / (2 * step), 0.0)


def test_purchases_are_ordered_and_lie_within_the_time_observed() -> None:
    lives = lives_of(Dropout.AFTER_REPEAT, n=5_000)
    customer, time = lives.repeats.customer, lives.repeats.time
    assert (np.diff(customer) >= 0).all()
    assert (np.diff(time)[np.diff(customer) == 0] > 0).all()
    assert time.min() > 0
    assert time.max() <= T
    frame = pd.DataFrame({"customer": customer, "time": time}).groupby("customer")["time"]
    np.testing.assert_array_equal(lives.frequency[frame.size().index], frame.size())
    np.testing.assert_array_equal(lives.recency[frame.max().index], frame.max())
    assert (lives.recency[lives.frequency == 0] == 0).all()


def test_a_life_in_two_parts_is_as_a_life_in_one() -> None:
    """What a later model builds on: who is alive, λ and p are all that the past says."""
    rng = np.random.default_rng(3)
    rate, leaving = np.full(N, 0.08), np.full(N, 0.2)
    early, alive = live_on(rng, rate, leaving, np.ones(N, bool), np.full(N, 20.0))
    late, alive = live_on(rng, rate, leaving, alive, np.full(N, 32.0))
    count = np.bincount(early.customer, minlength=N) + np.bincount(late.customer, minlength=N)
    assert_average(alive, np.exp(-0.08 * 0.2 * 52))
    assert_average(count, (1 - np.exp(-0.08 * 0.2 * 52)) / 0.2)


def test_nobody_buys_who_has_left_or_who_never_buys() -> None:
    rate = np.array([1e9, 0.0, 1.0])
    alive = np.array([False, True, True])
    bought, after = live_on(
        np.random.default_rng(0), rate, np.ones(3), alive, np.array([1.0, 9.0, 1e3])
    )
    assert bought.customer.tolist() == [2]
    assert after.tolist() == [False, True, False]
    assert alive.tolist() == [False, True, True]


def firsts(n: int) -> np.ndarray:
    """First purchases, over the first 20 weeks, so that some miss the first landmark."""
    return np.random.default_rng(20).uniform(0, 20, n)


def landmark_lives(
    segmented: Segmented,
    dropout: Dropout,
    *,
    n: int = N,
    landmarks: tuple[float, ...] = WEEKS,
    seed: int = 39,
) -> LandmarkLives:
    rng = np.random.default_rng(seed)
    return simulate_landmarks(CDNOW, segmented, firsts(n), landmarks, dropout=dropout, rng=rng)


def like_the_population(segmented: Segmented) -> Segmented:
    """Replace the segments' parameters by the population's."""
    n = len(segmented.rule.names)
    shared = Parameters(*(np.full(n, getattr(CDNOW, name)) for name in NAMES))
    return replace(segmented, parameters=shared)


def assert_same_average(one: np.ndarray, other: np.ndarray) -> None:
    error = np.hypot(np.std(one) / np.sqrt(len(one)), np.std(other) / np.sqrt(len(other)))
    assert error > 0
    assert abs(np.mean(one) - np.mean(other)) < 5 * error


@both
def test_with_equal_parameters_landmarks_change_nothing(dropout: Dropout) -> None:
    """Moments of the states, of what is unknown, and of both together."""
    told = landmark_lives(like_the_population(BY_FREQUENCY), dropout).lives
    ordinary = simulate_lives(CDNOW, told.T, dropout=dropout, rng=np.random.default_rng(93))

    def moments(lives: Lives) -> list[np.ndarray]:
        x, t_x, alive = lives.frequency, lives.recency, lives.alive
        few, slow = np.minimum(x, 30), np.minimum(lives.rate, 2.0)
        return [
            *(x == k for k in range(6)),
            *(few, t_x, t_x**2, few * t_x, t_x == 0),
            *(alive, lives.rate, lives.leaving, lives.leaving**2),
            *(alive * few, alive * t_x, alive * slow, alive * lives.leaving),
            *(few * slow, few * lives.leaving, t_x * slow, t_x * lives.leaving),
        ]

    for one, other in zip(moments(told), moments(ordinary), strict=True):
        assert_same_average(one, other)


@both
def test_what_is_unknown_is_drawn_as_of_those_who_lived_this_history(dropout: Dropout) -> None:
    """Customers of one history are found by living: no formula of the posterior is used."""
    T = np.full(3_000_000, 20.0)
    lives = simulate_lives(CDNOW, T, dropout=dropout, rng=np.random.default_rng(2))
    these = (lives.frequency == 2) & (lives.recency > 10) & (lives.recency < 11)
    assert these.sum() > 1_000
    rng = np.random.default_rng(3)
    recency = rng.choice(lives.recency[these], N)
    rate, leaving, alive = draw_latents(rng, CDNOW, np.full(N, 2.0), recency, T[:N], dropout)
    rates, chances, living = lives.rate[these], lives.leaving[these], lives.alive[these]
    assert_same_average(alive, living)
    for drawn, lived in ((rate, rates), (leaving, chances)):
        for power in (1, 2):
            assert_same_average(drawn[alive] ** power, lived[living] ** power)
            assert_same_average(drawn[~alive] ** power, lived[~living] ** power)


def scores(told: LandmarkLives, dropout: Dropout, *, beside: float = 0.0) -> np.ndarray:
    """∂ log p(data)/∂η at the truth, or beside it, ``(group, component)``; the population last."""
    table = landmark_table(ibis.memtable(told.history))
    layout = LikelihoodLayout.of(table, len(BY_FREQUENCY.rule.names), 1.0, dropout)
    r, alpha, a, b = (
        np.append(getattr(BY_FREQUENCY.parameters, name), getattr(CDNOW, name)) for name in NAMES
    )
    eta = np.column_stack([np.log(r / alpha), np.log(r), np.log(a / b), np.log(a + b)])
    return value_and_gradient_by_eta(eta + beside, layout)[1]


@both
def test_the_landmark_states_are_draws_from_the_landmark_likelihood(dropout: Dropout) -> None:
    """The score of every segment and of the population is 0 on average at the truth, not beside."""
    batches = [landmark_lives(BY_FREQUENCY, dropout, n=2_000, seed=k) for k in range(40)]
    at_truth = np.array([scores(told, dropout) for told in batches])
    beside = np.array([scores(told, dropout, beside=0.2) for told in batches])
    standard_errors = np.abs(beside.mean(axis=0)) / beside.std(axis=0) * np.sqrt(len(batches))
    for group in range(4):
        assert standard_errors[group].max() > 5
        for component in range(4):
            assert_average(at_truth[:, group, component], 0.0)


BACK = Reactivation(np.float64(0.15), np.float64(0.8), np.float64(6.0))  # in weeks


def scores_with_reactivation(
    told: LandmarkLives, dropout: Dropout, *, beside: float = 0.0
) -> np.ndarray:
    """∂ log p(data) by η of the segments, row by row, and by logit ε, ln(r_f/α_f), ln r_f."""
    table = stretch_table(ibis.memtable(told.history))
    r, alpha, a, b = (
        np.append(getattr(BY_FREQUENCY.parameters, name), getattr(CDNOW, name)) for name in NAMES
    )
    eta = np.column_stack([np.log(r / alpha), np.log(r), np.log(a / b), np.log(a + b)])
    v = np.array([np.log(0.15 / 0.85), np.log(0.8 / 6.0), np.log(0.8)])
    layout = StretchLayout.of(table, 1.0, dropout)
    _, by_eta, by_v = value_and_gradient_of_stretches(eta + beside, v + beside, layout)
    assert (by_eta[-1] == 0).all()
    return np.concatenate([by_eta[:-1].ravel(), by_v])


@both
def test_with_reactivation_they_are_draws_from_the_likelihood_of_stretches(
    dropout: Dropout,
) -> None:
    segmented = replace(BY_FREQUENCY, reactivation=BACK)
    batches = [landmark_lives(segmented, dropout, n=2_000, seed=k) for k in range(40)]
    at_truth = np.array([scores_with_reactivation(told, dropout) for told in batches])
    beside = np.array([scores_with_reactivation(told, dropout, beside=0.2) for told in batches])
    standard_errors = np.abs(beside.mean(axis=0)) / beside.std(axis=0) * np.sqrt(len(batches))
    assert standard_errors[-3:].max() > 5
    for component in range(at_truth.shape[1]):
        assert_average(at_truth[:, component], 0.0)


@both
def test_who_is_alive_at_the_last_landmark_is_calibrated_in_every_segment(
    dropout: Dropout,
) -> None:
    told = landmark_lives(BY_FREQUENCY, dropout)
    states = told.lives.states
    chance = bgnbd.probability_alive(
        BY_FREQUENCY.parameters[told.code], states.frequency, states.recency, states.T, dropout
    )
    for segment in range(3):
        here = told.code == segment
        assert here.sum() > 1_000
        if dropout is Dropout.AFTER_REPEAT and segment == 0:
            assert told.lives.alive[here].all()  # one-time buyers had no chance to leave
        else:
            assert_average(told.lives.alive[here] - chance[here], 0.0)


def test_the_history_tells_the_lives_at_every_landmark() -> None:
    n = 5_000
    told, first = landmark_lives(BY_FREQUENCY, Dropout.AFTER_REPEAT, n=n), firsts(n)
    lives, repeats = told.lives, told.lives.repeats
    bought = first[repeats.customer] + repeats.time
    for landmark in WEEKS:
        rows = told.history[told.history["landmark"] == landmark].set_index("customer_id")
        np.testing.assert_array_equal(rows.index, np.flatnonzero(first < landmark))
        np.testing.assert_allclose(rows["T"], landmark - first[rows.index])
        before = bought <= landmark
        times = pd.Series(repeats.time[before]).groupby(repeats.customer[before])
        frequency, recency = (
            it.reindex(rows.index).fillna(0) for it in (times.size(), times.max())
        )
        np.testing.assert_array_equal(rows["frequency"], frequency)
        np.testing.assert_allclose(rows["recency"], recency)
    at_end = told.history[told.history["landmark"] == WEEKS[-1]]
    np.testing.assert_array_equal(at_end["code"], told.code)
    np.testing.assert_array_equal(at_end["recency"], lives.recency)
    assert (np.diff(repeats.time)[np.diff(repeats.customer) == 0] > 0).all()


def test_who_first_buys_at_the_last_landmark_or_after_it_is_in_no_segment_yet() -> None:
    told = simulate_landmarks(
        CDNOW, BY_FREQUENCY, [1.0, 39.0, 50.0], WEEKS, rng=np.random.default_rng(1)
    )
    assert told.code[0] != POPULATION
    assert told.code[1:].tolist() == [POPULATION, POPULATION]
    assert told.lives.T.tolist() == [38.0, 0.0, 0.0]
    assert set(told.history["customer_id"]) == {0}


@pytest.fixture(scope="module")
def simulated() -> Simulated:
    return simulate_transactions(SCENARIO, 20_000, seed=23)


def test_the_log_tells_what_is_true(simulated: Simulated) -> None:
    log, truth = simulated.log, simulated.truth.set_index("customer_id")
    days = log.groupby("customer_id")["date"]
    assert truth.index.tolist() == list(range(1, 20_001))
    pd.testing.assert_series_equal(days.min(), truth["first"], check_names=False)
    gone = ~truth["alive"]
    pd.testing.assert_series_equal(days.max()[gone], truth["left"][gone], check_names=False)
    assert truth["left"][~gone].isna().all()
    assert log["date"].max() <= pd.Timestamp(SCENARIO.end)
    assert truth["first"].min() == pd.Timestamp(SCENARIO.start)
    assert truth["first"].max() == pd.Timestamp(SCENARIO.start) + pd.Timedelta(days=364)
    assert log.sort_values(["customer_id", "date"], kind="stable").index.equals(log.index)


def test_the_summary_of_the_log_is_the_state_in_days(simulated: Simulated) -> None:
    frame = customers(read_transactions(simulated.log, end=SCENARIO.end))
    truth = simulated.truth
    days = (pd.Timestamp(SCENARIO.end) - truth["first"]).dt.days
    np.testing.assert_array_equal(frame["T"], days)
    distinct = simulated.log.drop_duplicates(["customer_id", "date"]).groupby("customer_id").size()
    np.testing.assert_array_equal(frame["frequency"], distinct - 1)


def test_the_calendar_moves_the_last_purchase_by_nothing_on_average() -> None:
    """Days are ⌊u + τ⌋. The time since the last purchase is Exponential(λ), so E 1/λ on average."""
    r, alpha = 50.0, 100.0  # everybody buys every other day, and stays
    parameters = Parameters(r, alpha, 1e-6, 1e6)
    scenario = replace(SCENARIO, parameters=parameters, spend=None, acquisition_days=1)
    log = simulate_transactions(scenario, 2_000, seed=1).log
    last = log.groupby("customer_id")["date"].max()
    idle = (pd.Timestamp(SCENARIO.end) - last).dt.days.to_numpy()
    assert 5 * np.std(idle) / np.sqrt(len(idle)) < 0.25  # half a day would be seen
    assert_average(idle, alpha / (r - 1))


def test_spend_is_gamma_gamma_and_has_nothing_to_do_with_the_rate(
    simulated: Simulated,
) -> None:
    p, q, v = 6.25, 3.74, 15.44
    truth = simulated.truth.set_index("customer_id")
    assert_average(truth["mean_spend"].to_numpy(), p * v / (q - 1))
    relative = (
        simulated.log["amount"]
        / truth["mean_spend"].reindex(simulated.log["customer_id"]).to_numpy()
    )
    assert_average(relative.to_numpy(), 1.0)
    assert_average((relative.to_numpy() - 1) ** 2, 1 / p)
    assert abs(np.corrcoef(truth["rate"], truth["mean_spend"])[0, 1]) < 5 / np.sqrt(len(truth))
    cents = simulated.log["amount"] * 100
    assert np.abs(cents - cents.round()).max() < 1e-6
    assert simulated.log["amount"].min() >= 0.01


def test_the_same_seed_gives_the_same_log_and_another_one_another() -> None:
    first, again, other = (simulate_transactions(SCENARIO, 500, seed=s) for s in (1, 1, 2))
    pd.testing.assert_frame_equal(first.log, again.log)
    pd.testing.assert_frame_equal(first.truth, again.truth)
    assert not first.truth["rate"].equals(other.truth["rate"])


def test_chunks_are_different_customers_and_do_not_depend_on_how_many_follow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logs, "CHUNK", 100)
    few, many = (simulate_transactions(SCENARIO, n).truth for n in (200, 250))
    pd.testing.assert_frame_equal(few, many.head(200))
    assert many["customer_id"].tolist() == list(range(1, 251))
    assert many["rate"].is_unique


@pytest.mark.parametrize("spend", [Spend(), None], ids=["amounts", "no amounts"])
def test_the_written_log_is_the_log_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spend: Spend | None
) -> None:
    monkeypatch.setattr(logs, "CHUNK", 100)
    scenario, path = replace(SCENARIO, spend=spend), tmp_path / "log.parquet"
    rows = write_transactions(path, scenario, 250, seed=4)
    log = simulate_transactions(scenario, 250, seed=4).log
    assert rows == len(log)
    assert ("amount" in log) == (spend is not None)
    written = pd.read_parquet(path)
    written["date"] = pd.to_datetime(written["date"]).astype("datetime64[s]")
    pd.testing.assert_frame_equal(written, log)
    assert str(pq.read_schema(path).field("date").type) == "date32[day]"
    assert read_transactions(path).ledger.rows_in == rows


def test_writing_takes_no_more_memory_for_more_customers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "CHUNK", 1_000)

    def peak(n: int) -> int:
        tracemalloc.start()
        write_transactions(tmp_path / "log.parquet", SCENARIO, n)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(1_000)  # what is made once
    assert peak(20_000) < 2 * peak(2_000)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"end": SCENARIO.start}, "end must be after start, 2023-01-01: 2023-01-01"),
        ({"acquisition_days": 0}, "acquisition_days must lie between 1 and the 731 days"),
        ({"acquisition_days": 732}, "the 731 days of the log: 732"),
        ({"parameters": replace(CDNOW, a=0.0)}, "a must be one positive number: 0.0"),
        ({"parameters": replace(CDNOW, r=np.ones(2))}, r"r must be one positive number: \[1. 1.\]"),
        ({"landmarks": (SCENARIO.end,)}, "landmarks assign customers to segments: give segmented"),
        (
            {"segmented": BY_FREQUENCY, "landmarks": (SCENARIO.start,)},
            "landmarks must lie after 2023-01-01 and not after 2024-12-31: 2023-01-01",
        ),
        (
            {"segmented": replace(BY_FREQUENCY, parameters=CDNOW)},
            "r must be one positive number for each of the 3 segments: 0.24",
        ),
    ],
)
def test_a_scenario_that_cannot_be_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(SCENARIO, **change)


@pytest.mark.parametrize(("n", "seed"), [(0, 0), (1, -1)])
def test_a_number_or_a_seed_that_cannot_be_is_refused(n: int, seed: int) -> None:
    with pytest.raises(InputError, match=r"(n_customers|seed) must be at least [01]: (0|-1)"):
        simulate_transactions(SCENARIO, n, seed=seed)


IN_DAYS = replace(
    BY_FREQUENCY,
    parameters=replace(BY_FREQUENCY.parameters, alpha=7 * BY_FREQUENCY.parameters.alpha),
)


def test_the_log_of_the_landmark_model_tells_what_is_true() -> None:
    """Segments read off the log are the true ones, but for some who bought twice on a day."""
    landmarks = (dt.date(2023, 9, 1), dt.date(2024, 5, 1))
    scenario = replace(SCENARIO, segmented=IN_DAYS, landmarks=landmarks)
    simulated = simulate_transactions(scenario, 20_000, seed=29)
    log, truth = simulated.log, simulated.truth.set_index("customer_id")
    days, gone = log.groupby("customer_id")["date"], ~truth["alive"]
    pd.testing.assert_series_equal(days.min(), truth["first"], check_names=False)
    pd.testing.assert_series_equal(days.max()[gone], truth["left"][gone], check_names=False)
    assert log["date"].max() <= pd.Timestamp(scenario.end)
    states = States.from_frame(customers(read_transactions(log, end=scenario.end)))
    read_off = np.array(IN_DAYS.rule.names)[IN_DAYS.rule.assign(states)]
    assert set(read_off) == set(IN_DAYS.rule.names)
    assert 0.97 < np.mean(read_off == truth["segment"]) < 1


def test_what_is_bought_after_a_landmark_is_dated_after_its_day() -> None:
    """Three purchases a day, up to the customer's time of day on the landmark: half of that day."""
    start, landmark = dt.date(2023, 1, 1), dt.date(2023, 1, 31)
    busy = Parameters(300.0, 100.0, 1e-6, 1e6)
    scenario = Scenario(
        busy,
        start,
        end=dt.date(2023, 3, 1),
        acquisition_days=1,
        spend=None,
        segmented=Segmented(
            PooledRule(), Parameters(*(np.array([getattr(busy, n)]) for n in NAMES))
        ),
        landmarks=(landmark,),
    )
    log = simulate_transactions(scenario, 500, seed=5).log

    def on(day: dt.date) -> np.ndarray:
        bought = log[log["date"] == pd.Timestamp(day)].groupby("customer_id").size()
        return bought.reindex(range(1, 501), fill_value=0).to_numpy(dtype=float)

    assert_average(on(landmark - dt.timedelta(days=1)), 3.0)
    assert_average(on(landmark), 1.5)
    assert_average(on(landmark + dt.timedelta(days=1)), 4.5)

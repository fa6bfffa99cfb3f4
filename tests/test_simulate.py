"""Simulated customers against what theory says of them, by formulas that the package does not use.

Everything is seeded. Where an average is compared, it may be five standard errors off.
"""

import datetime as dt
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy.integrate import quad
from scipy.special import betaln, gammaln, hyp2f1
from scipy.stats import beta

from bayes_clv import bgnbd, customers, read_transactions, simulate
from bayes_clv.bgnbd import Dropout, Parameters
from bayes_clv.errors import InputError
from bayes_clv.simulate import (
    Lives,
    Scenario,
    Spend,
    live_on,
    simulate_lives,
    simulate_transactions,
    write_transactions,
)

# CDNOW in weeks, as BTYD's walkthrough gives it: E[X(52)] = 1.444004 there.
CDNOW = Parameters(0.2425967, 4.413659, 0.7929869, 2.426164)
N, T = 200_000, 52.0
SCENARIO = Scenario(
    replace(CDNOW, alpha=7 * CDNOW.alpha),
    start=dt.date(2023, 1, 1),
    end=dt.date(2024, 12, 31),
    acquisition_days=365,
)
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
    for name in ("r", "alpha", "a", "b"):
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


@pytest.fixture(scope="module")
def simulated() -> simulate.Simulated:
    return simulate_transactions(SCENARIO, 20_000, seed=23)


def test_the_log_tells_what_is_true(simulated: simulate.Simulated) -> None:
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


def test_the_summary_of_the_log_is_the_state_in_days(simulated: simulate.Simulated) -> None:
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
    simulated: simulate.Simulated,
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
    monkeypatch.setattr(simulate, "CHUNK", 100)
    few, many = (simulate_transactions(SCENARIO, n).truth for n in (200, 250))
    pd.testing.assert_frame_equal(few, many.head(200))
    assert many["customer_id"].tolist() == list(range(1, 251))
    assert many["rate"].is_unique


@pytest.mark.parametrize("spend", [Spend(), None], ids=["amounts", "no amounts"])
def test_the_written_log_is_the_log_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spend: Spend | None
) -> None:
    monkeypatch.setattr(simulate, "CHUNK", 100)
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
    monkeypatch.setattr(simulate, "CHUNK", 1_000)

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
    ],
)
def test_a_scenario_that_cannot_be_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(SCENARIO, **change)


@pytest.mark.parametrize(("n", "seed"), [(0, 0), (1, -1)])
def test_a_number_or_a_seed_that_cannot_be_is_refused(n: int, seed: int) -> None:
    with pytest.raises(InputError, match=r"(n_customers|seed) must be at least [01]: (0|-1)"):
        simulate_transactions(SCENARIO, n, seed=seed)

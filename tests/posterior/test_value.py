"""Money: discounting, values and drawn lives against quadrature, NumPy and simulation."""

from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.special import betaln, gammainc
from scipy.stats import kstest

from bayes_clv.data.states import States
from bayes_clv.errors import InputError
from bayes_clv.models import bgnbd, gammagamma
from bayes_clv.models.bgnbd import Dropout, Parameters
from bayes_clv.numerics.keyed_random import next_gamma, next_uniform, stream_of
from bayes_clv.posterior.discounting import ValueTerms
from bayes_clv.posterior.futures import expected_purchases_if_alive, future_of
from bayes_clv.posterior.posterior import Posterior
from bayes_clv.posterior.totals import Tally, draws_by_segment
from bayes_clv.segments.rules import PooledRule

type Make = Callable[..., Posterior]


@pytest.fixture(scope="module")
def posterior(posterior_by_hand: Make) -> Posterior:
    return posterior_by_hand(draws=200, spend=True)


@pytest.fixture(scope="module")
def customers(make_customers: Callable[..., pd.DataFrame]) -> pd.DataFrame:
    frame = make_customers(300)
    rng = np.random.default_rng(8)
    spend = np.round(rng.gamma(3, 15, len(frame)), 2)
    spend[5::11] = 0.0  # all refunded
    frame["monetary_value"] = np.where(frame.frequency > 0, spend, 0.0)
    frame.loc[::17, "monetary_value"] = np.nan
    frame["total_spend"] = frame.monetary_value * (frame.frequency + 1)
    return frame


# Discounting


@pytest.mark.parametrize(
    ("r", "alpha", "a", "b", "x", "T", "horizon", "rate"),
    [
        (0.25, 31.0, 0.8, 2.4, 3, 200.0, 365.0, 0.1),
        (0.25, 31.0, 0.8, 2.4, 30, 215.0, 3650.0, 0.1),
        (0.6, 5.0, 0.8, 2.4, 0, 0.0, 3650.0, 0.15),
        (2.0, 300.0, 1.5, 4.0, 1, 30.0, 90.0, 0.5),
        (0.25, 10.0, 0.8, 2.4, 300, 700.0, 730.0, 3.0),
    ],
)
def test_discounted_purchases_are_the_integral_over_time(
    r: float, alpha: float, a: float, b: float, x: int, T: float, horizon: float, rate: float
) -> None:
    """By the intensity k/c E[(1 + pu/c)^−(k+1)] of purchases at u, integrated twice over."""
    k, c, chances = r + x, alpha + T, b + x
    force = np.log1p(rate) / 365.25

    def intensity(u: float) -> float:
        """∫ over p = s⁴, which tames the density where p is small."""

        def at(s: float) -> float:
            log_p, log_rest = 4 * np.log(s), np.log1p(-(s**4))
            weight = np.exp(a * log_p + (chances - 1) * log_rest - betaln(a, chances)) * 4 / s
            return float(weight * k / c * (1 + s**4 * u / c) ** (-k - 1))

        return quad(at, 0, 1, epsabs=0, epsrel=1e-10, limit=400)[0]

    by_time = quad(
        lambda w: np.exp(w - force * np.expm1(w)) * intensity(np.expm1(w)),
        0,
        np.log1p(horizon),
        epsabs=0,
        epsrel=1e-9,
        limit=400,
    )[0]
    parameters = Parameters(*(np.array([value]) for value in (r, alpha, a, b)))
    if_alive = expected_purchases_if_alive(horizon, ValueTerms(horizon, rate).discounting())
    future, at = future_of(parameters, float(x), Dropout.AFTER_REPEAT), np.array([T])
    assert if_alive(future, at)(at)[0, 0] == pytest.approx(by_time, rel=1e-7)


def test_a_discount_rate_is_that_of_a_year_of_365_and_a_quarter_days() -> None:
    assert np.exp(365.25 * ValueTerms(annual_discount_rate=0.21).force) == pytest.approx(1.21)
    times, weights = ValueTerms(90.0, 0.0).discounting()(90.0, 30.0)
    assert (times.tolist(), weights.tolist()) == ([90.0], [1.0])


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"horizon": 0.0}, "horizon must be a positive number of days: 0.0"),
        ({"horizon": np.nan}, "horizon must be a positive number of days: nan"),
        ({"annual_discount_rate": -0.1}, "annual_discount_rate must be 0 or more: -0.1"),
        ({"margin": 0.0}, "margin must be a positive number: 0.0"),
        ({"margin": np.inf}, "margin must be a positive number: inf"),
    ],
)
def test_terms_that_cannot_be_are_refused(terms: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        ValueTerms(**terms)


# Values, by NumPy draw by draw


def known_spend(customers: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Frequency and mean spend as the model of spend takes them: 0 and 0 where unknown."""
    known = (customers.frequency > 0) & (customers.monetary_value >= 0)
    return customers.frequency.where(known, 0), customers.monetary_value.where(known, 0.0)


def spend_by_numpy(posterior: Posterior, customers: pd.DataFrame) -> np.ndarray:
    x, m = known_spend(customers)
    codes = posterior.codes(states_of(customers))
    own = posterior.spend_parameters[codes]
    return gammagamma.expected_spend(own, x.to_numpy()[:, None], m.to_numpy()[:, None])


def states_of(customers: pd.DataFrame) -> States:
    return States.from_frame(customers)


def check(answers: pd.DataFrame, draws: np.ndarray, level: float = 0.9) -> None:
    lower, upper = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=1)
    np.testing.assert_allclose(answers["mean"], draws.mean(axis=1), rtol=1e-9)
    np.testing.assert_allclose(answers["lower"], lower, rtol=1e-9)
    np.testing.assert_allclose(answers["upper"], upper, rtol=1e-9)


def test_expected_spend_is_the_formula_over_all_draws(
    posterior: Posterior, customers: pd.DataFrame
) -> None:
    check(posterior.expected_spend(customers, level=0.8), spend_by_numpy(posterior, customers), 0.8)


def test_value_is_purchases_times_spend_draw_by_draw(
    posterior: Posterior, customers: pd.DataFrame
) -> None:
    codes = posterior.codes(states_of(customers))
    columns = (customers[name].to_numpy()[:, None] for name in ("frequency", "recency", "T"))
    purchases = bgnbd.expected_purchases(posterior.parameters[codes], *columns, 120.0)
    draws = 0.3 * purchases * spend_by_numpy(posterior, customers)
    seen = posterior.customer_lifetime_value(customers, 120.0, annual_discount_rate=0.0, margin=0.3)
    check(seen, draws)
    past = 0.3 * customers.total_spend
    np.testing.assert_allclose(seen["past"], past)
    np.testing.assert_allclose(seen["total"], past + seen["mean"])
    assert list(seen.index) == list(customers.index)


def test_a_discount_lowers_value_by_less_than_if_all_came_at_the_end(
    posterior: Posterior, customers: pd.DataFrame
) -> None:
    ask = posterior.customer_lifetime_value
    plain = ask(customers, 730.5, annual_discount_rate=0.0)["mean"]
    less = ask(customers, 730.5, annual_discount_rate=0.2)["mean"]
    assert (less < plain).all()
    assert (less > plain / 1.44).all()


def test_customers_without_a_known_spend_are_expected_to_spend_as_their_segment(
    posterior_by_hand: Make,
) -> None:
    posterior = posterior_by_hand(PooledRule(), spend=True)
    state = {"frequency": 2, "recency": 30.0, "T": 60.0}
    once = {"frequency": 0, "recency": 0.0, "T": 60.0, "monetary_value": 0.0}
    answers = posterior.expected_spend(
        pd.DataFrame([state, state | {"monetary_value": np.nan}, once])
    )
    assert answers.drop_duplicates().shape[0] == 1
    p, q, v = (getattr(posterior.spend_parameters, name)[0] for name in "pqv")
    assert answers["mean"][0] == pytest.approx((p * v / (q - 1)).mean())


def test_a_mean_spend_of_zero_is_known_and_the_more_purchases_it_is_of_the_less_is_expected(
    posterior_by_hand: Make,
) -> None:
    """By quadrature over ν: after x purchases that cost nothing its density is ν^(px+q−1) e^−vν."""
    posterior = posterior_by_hand(PooledRule(), draws=3, spend=True)
    p, q, v = (getattr(posterior.spend_parameters, name)[0] for name in "pqv")
    x = np.array([0, 1, 4, 30])
    frame = pd.DataFrame({"frequency": x, "recency": x * 5.0, "T": 200.0, "monetary_value": 0.0})

    def expected(x: int, p: float, q: float, v: float) -> float:
        def moment(k: int) -> float:
            peak = (p * x + q - 1) / v
            return quad(
                lambda nu: nu**-k * np.exp((p * x + q - 1) * np.log(nu / peak) - v * (nu - peak)),
                0,
                np.inf if not x else 12 * peak,
                points=None if not x else [peak],
                epsabs=0,
                limit=400,
            )[0]

        return p * moment(1) / moment(0)

    reference = [np.mean([expected(n, *of) for of in zip(p, q, v, strict=True)]) for n in x]
    seen = posterior.expected_spend(frame)["mean"]
    np.testing.assert_allclose(seen, reference, rtol=1e-7)
    assert (np.diff(seen) < 0).all()
    value = posterior.customer_lifetime_value(frame, annual_discount_rate=0.0)["mean"]
    unknown = posterior.customer_lifetime_value(
        frame.assign(monetary_value=np.nan), annual_discount_rate=0.0
    )["mean"]
    np.testing.assert_array_equal(value[:1], unknown[:1])
    assert (value[1:] < 0.6 * unknown[1:]).all()
    almost = posterior.expected_spend(frame.assign(monetary_value=1e-9))["mean"]
    np.testing.assert_allclose(almost, seen, rtol=1e-6)


def test_a_posterior_without_spend_says_what_to_do(posterior_by_hand: Make) -> None:
    frame = pd.DataFrame({"frequency": [1], "recency": [1.0], "T": [2.0]})
    with pytest.raises(
        InputError, match="spend was not fitted in this model: fit a log with amounts"
    ):
        posterior_by_hand().customer_lifetime_value(frame)


def test_total_spend_must_be_a_number(posterior: Posterior, customers: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="total_spend must be finite: row 0 has inf"):
        posterior.customer_lifetime_value(customers.assign(total_spend=np.inf))


# Outcomes


def lives_by_numpy(
    posterior: Posterior, state: tuple[int, float, float], m: float, terms: ValueTerms, n: int
) -> np.ndarray:
    """One pooled customer's future, by drawing the latents: λ, p, alive and ν, then the days."""
    rng = np.random.default_rng(31)
    x, t_x, T = state
    which = rng.integers(posterior.n_draws, size=n)
    of, spend = posterior.parameters[0][which], posterior.spend_parameters[0][which]
    alive = rng.random(n) < bgnbd.probability_alive(of, x, t_x, T)
    rate = rng.gamma(of.r + x, 1 / (of.alpha + T))
    leaves = rng.beta(of.a, of.b + x)
    nu = rng.gamma(spend.p * x + spend.q, 1 / (spend.v + x * m))
    time, value = np.zeros(n), np.zeros(n)
    while alive.any():
        time += rng.exponential(1 / rate)
        alive &= time <= terms.horizon
        paid = rng.gamma(spend.p, 1 / nu)
        value += np.where(alive, paid * np.exp(-terms.force * time), 0.0)
        alive &= rng.random(n) > leaves
    return terms.margin * value


@pytest.mark.parametrize(
    ("state", "m"),
    [
        ((4, 100.0, 110.0), 30.0),
        ((4, 100.0, 110.0), 0.0),
        ((0, 0.0, 40.0), np.nan),
        ((40, 200.0, 203.0), 8.0),
    ],
)
def test_outcomes_are_those_of_lives_whose_rates_are_drawn(
    posterior_by_hand: Make, state: tuple[int, float, float], m: float
) -> None:
    posterior = posterior_by_hand(PooledRule(), draws=20_000, spend=True)
    terms = ValueTerms(200.0, 0.3, 0.5)
    frequency, recency, T = state
    frame = pd.DataFrame(
        {"frequency": [frequency], "recency": [recency], "T": [T], "monetary_value": [m]}
    )
    reference = lives_by_numpy(posterior, state, np.nan_to_num(m), terms, 400_000)
    seen = posterior.sample_value(frame, **asdict(terms), level=0.5, seed=3).iloc[0]
    error = reference.std() / np.sqrt(40_000)
    assert seen["mean"] == pytest.approx(reference.mean(), abs=5 * error)
    expected = posterior.customer_lifetime_value(frame, **asdict(terms)).iloc[0]
    assert seen["mean"] == pytest.approx(expected["mean"], abs=5 * error)
    for name, q in (("lower", 0.25), ("upper", 0.75)):
        below, up_to = np.mean(reference < seen[name]), np.mean(reference <= seen[name])
        assert below - 0.012 < q < up_to + 0.012


def test_outcomes_depend_on_seed_state_and_spend_and_on_nobody_else(
    posterior: Posterior, customers: pd.DataFrame
) -> None:
    whole = posterior.sample_value(customers, seed=5)
    some = customers.sample(40, random_state=1)
    pd.testing.assert_frame_equal(posterior.sample_value(some, seed=5), whole.loc[some.index])
    assert not posterior.sample_value(customers, seed=6).equals(whole)
    with pytest.raises(InputError, match="seed must not be negative: -1"):
        posterior.sample_value(customers, seed=-1)


def a_stream(key: int, d: int) -> np.uint64:
    """Compiled code hands its streams to Python as signed integers."""
    return np.uint64(stream_of(np.uint64(key), d))


@pytest.mark.parametrize("shape", [0.05, 0.7, 1.0, 3.5, 400.0])
def test_gamma_numbers_are_gamma_distributed(shape: float) -> None:
    draws = [next_gamma(shape, a_stream(9, d))[0] for d in range(20_000)]
    assert kstest(draws, lambda z: gammainc(shape, z)).pvalue > 1e-4


def test_a_streams_numbers_are_uniform_and_streams_differ() -> None:
    stream, numbers = a_stream(4, 0), []
    for _ in range(20_000):
        number, after = next_uniform(stream)
        stream = np.uint64(after)
        numbers.append(number)
    assert kstest(numbers, "uniform").pvalue > 1e-4
    firsts = [next_uniform(a_stream(4, d))[0] for d in range(20_000)]
    assert kstest(firsts, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(firsts[1:], firsts[:-1])[0, 1]) < 0.03


# Segments


def test_a_segment_is_worth_what_its_customers_are_and_at_risk_what_leaving_costs(
    posterior: Posterior, customers: pd.DataFrame
) -> None:
    terms = {"annual_discount_rate": 0.05, "margin": 0.4}
    table = posterior.compare_segments(customers, value_horizon=180.0, **terms).table
    each = posterior.customer_lifetime_value(customers, 180.0, **terms)
    np.testing.assert_allclose(table["value"], each.groupby("segment")["mean"].sum()[table.index])
    # Alive, their purchases are as if P(alive) were 1, draw by draw.
    codes = posterior.codes(states_of(customers))
    columns = [customers[name].to_numpy()[:, None] for name in ("frequency", "recency", "T")]
    own = posterior.parameters[codes]
    alive = bgnbd.probability_alive(own, *columns)
    measure = posterior.compare_segments(
        customers, value_horizon=180.0, annual_discount_rate=0.0
    ).table
    purchases = bgnbd.expected_purchases(own, *columns, 180.0)
    at_risk = purchases / alive * (1 - alive) * spend_by_numpy(posterior, customers)
    for segment, row in measure.iterrows():
        mine = each["segment"] == segment
        draws = at_risk[mine.to_numpy()].sum(axis=0)
        assert row["value_at_risk"] == pytest.approx(draws.mean(), rel=1e-8)
        assert row["value_at_risk_lower"] == pytest.approx(np.quantile(draws, 0.05), rel=1e-8)


def test_distinct_states_with_their_tallies_compare_as_the_customers_do(
    posterior: Posterior, customers: pd.DataFrame
) -> None:
    twice = pd.concat([customers, customers.assign(monetary_value=np.nan)], ignore_index=True)
    states, once = states_of(twice), states_of(customers)
    known = ~np.isnan(once.known_spend)
    tally = Tally(
        posterior.codes(once),
        once.frequency,
        once.recency,
        once.T,
        np.full(len(once), 2.0),
        np.stack([np.full(len(once), 2.0), known, np.nan_to_num(once.known_spend)]),
    )
    by_customer, gathered = (
        draws_by_segment(
            posterior.model(money=True), posterior.segment_names, of, 90.0, ValueTerms()
        )
        for of in (Tally.of_customers(states, posterior.assigned(states)), tally)
    )
    for name in ("customers", "value", "value_if_alive", "buys_again"):
        np.testing.assert_allclose(by_customer[name], gathered[name], rtol=1e-10)


def test_a_stored_comparison_keeps_its_terms(
    posterior_by_hand: Make, customers: pd.DataFrame
) -> None:
    posterior = posterior_by_hand(spend=True, fitted_to=customers)
    comparison = posterior.compare_segments()
    assert comparison.value_terms == ValueTerms()
    assert comparison.to_dict()["value_terms"] == ValueTerms().to_dict()
    with pytest.raises(InputError, match=r"has margin 1: give the customers .* with 0\.5"):
        posterior.compare_segments(margin=0.5)
    assert posterior_by_hand(fitted_to=customers).compare_segments().value_terms is None

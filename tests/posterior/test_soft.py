"""Soft segments and reactivation in every answer, against mixtures of plain formulas in NumPy."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bayes_clv.data.datasets import load_cdnow
from bayes_clv.data.states import States
from bayes_clv.models import bgnbd, gammagamma, reactivation
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.models.reactivation import Reactivation
from bayes_clv.posterior.count_distribution import outcome_probabilities
from bayes_clv.posterior.discounting import ValueTerms
from bayes_clv.posterior.every_answer import score_customers
from bayes_clv.posterior.log_states import compare_log
from bayes_clv.posterior.posterior import Posterior, load_posterior
from bayes_clv.posterior.scores import score_log
from bayes_clv.posterior.state_groups import Group, Memberships
from bayes_clv.segments.rules import SegmentRule
from bayes_clv.segments.weighted import noticeable
from tests.posterior.soft_models import KMEANS, RFM, Make, made

HORIZON = 90.0

rules = pytest.mark.parametrize("rule", [RFM, KMEANS], ids=["rfm", "kmeans"])
with_and_without = pytest.mark.parametrize("again", [False, True], ids=["", "reactivation"])
both_dropouts = pytest.mark.parametrize("dropout", list(Dropout), ids=str)


@pytest.fixture(scope="module")
def customers(make_customers: Callable[..., pd.DataFrame]) -> pd.DataFrame:
    frame = make_customers(250)
    rng = np.random.default_rng(5)
    frame["monetary_value"] = np.round(rng.gamma(2, 15, len(frame)), 2)
    frame.loc[::7, "monetary_value"] = np.nan
    frame.loc[3::11, "monetary_value"] = 0.0
    frame.loc[:9] = frame.loc[10:19].to_numpy()
    return frame


def mixture(
    posterior: Posterior,
    frame: pd.DataFrame,
    of_history: Callable[..., np.ndarray],
    afresh: Callable[..., np.ndarray],
) -> np.ndarray:
    """``(customer, draw)``: each segment's answer by weight, and a fresh start's, by NumPy."""
    states = States.from_frame(frame)
    weights, some = noticeable(posterior.rule.weights(states)), posterior.reactivation
    columns = [frame[name].to_numpy()[:, None] for name in ("frequency", "recency", "T")]
    total = np.zeros((len(frame), posterior.n_draws))
    for code in range(weights.shape[1]):
        own = posterior.parameters[code]
        answer = of_history(own, *columns)
        if some is not None:
            fresh = afresh(some.afresh(own))
            answer = (1 - some.probability) * answer + some.probability * fresh
        total += weights[:, [code]] * answer
    return total


def check(answers: pd.DataFrame, draws: np.ndarray, level: float = 0.9) -> None:
    tails = ((1 - level) / 2, (1 + level) / 2)
    lower, upper = np.quantile(draws, tails, axis=1)
    for name, want in (("mean", draws.mean(axis=1)), ("lower", lower), ("upper", upper)):
        np.testing.assert_allclose(answers[name], want, rtol=1e-9, atol=1e-300)


@both_dropouts
@rules
@with_and_without
def test_every_answer_is_the_mixture_within_each_draw(
    rule: SegmentRule,
    again: bool,
    dropout: Dropout,
    posterior_by_hand: Make,
    customers: pd.DataFrame,
) -> None:
    posterior = made(posterior_by_hand, rule, again=again, dropout=dropout)
    bg = Dropout.AFTER_REPEAT
    cases = (
        (posterior.probability_alive(customers), bgnbd.probability_alive, ()),
        (
            posterior.probability_of_purchase(customers, HORIZON),
            bgnbd.probability_of_purchase,
            (HORIZON,),
        ),
        (posterior.expected_purchases(customers, HORIZON), bgnbd.expected_purchases, (HORIZON,)),
    )
    for answers, function, ahead in cases:
        draws = mixture(
            posterior,
            customers,
            lambda own, *state, f=function, h=ahead: f(own, *state, *h, dropout),
            lambda own, f=function, h=ahead: f(own, 0, 0, 0, *h, bg),
        )
        check(answers, draws)
        named = rule.assign(States.from_frame(customers))
        assert answers["segment"].tolist() == [rule.names[code] for code in named]


@with_and_without
def test_money_is_the_mixture_of_each_segments_purchases_and_prices(
    again: bool, posterior_by_hand: Make, customers: pd.DataFrame
) -> None:
    posterior = made(posterior_by_hand, RFM, again=again)
    states = States.from_frame(customers)
    weights, some = noticeable(RFM.weights(states)), posterior.reactivation
    known = states.known_spend
    x = np.where(np.isnan(known), 0, states.frequency)[:, None]
    m = np.nan_to_num(known)[:, None]
    columns = [customers[name].to_numpy()[:, None] for name in ("frequency", "recency", "T")]
    price, value = np.zeros((2, len(customers), posterior.n_draws))
    for code in range(weights.shape[1]):
        own = posterior.parameters[code]
        cost = gammagamma.expected_spend(posterior.spend_parameters[code], x, m)
        orders = bgnbd.expected_purchases(own, *columns, 200.0)
        if some is not None:
            fresh = bgnbd.expected_purchases(some.afresh(own), 0, 0, 0, 200.0)
            orders = (1 - some.probability) * orders + some.probability * fresh
        price += weights[:, [code]] * cost
        value += weights[:, [code]] * orders * cost
    check(posterior.expected_spend(customers), price)
    plain = posterior.customer_lifetime_value(customers, 200.0, annual_discount_rate=0.0)
    check(plain, value)
    less = posterior.customer_lifetime_value(customers, 200.0, annual_discount_rate=0.2)
    assert (less["mean"] < plain["mean"]).all()


@rules
@with_and_without
def test_one_customer_gets_the_answers_of_a_table(
    rule: SegmentRule, again: bool, posterior_by_hand: Make, customers: pd.DataFrame
) -> None:
    posterior = made(posterior_by_hand, rule, again=again)
    alive = posterior.probability_alive(customers)
    buys = posterior.probability_of_purchase(customers, HORIZON)
    for row in range(0, len(customers), 9):
        x, t_x, T, spend = customers.loc[row, ["frequency", "recency", "T", "monetary_value"]]
        one = posterior.answer(x, t_x, T, monetary_value=None if np.isnan(spend) else spend)
        for got, want in ((one.alive, alive.loc[row]), (one.purchase, buys.loc[row])):
            figures = got.mean, got.lower, got.upper
            wanted = want[["mean", "lower", "upper"]].astype(float)
            np.testing.assert_allclose(figures, wanted, rtol=1e-9)
        assert one.segment == alive.loc[row, "segment"]


def test_a_customer_whose_segment_is_given_belongs_to_it_alone(
    posterior_by_hand: Make, customers: pd.DataFrame
) -> None:
    posterior = made(posterior_by_hand, RFM, again=False)
    frame = customers.head(20).assign(segment=["lost", None] * 10)
    answers, soft = posterior.probability_alive(frame), posterior.probability_alive(customers)
    pd.testing.assert_frame_equal(answers[1::2], soft.head(20)[1::2])
    columns = [frame[name].to_numpy()[:, None] for name in ("frequency", "recency", "T")]
    own = posterior.parameters[RFM.names.index("lost")]
    check(answers[::2], bgnbd.probability_alive(own, *columns)[::2])
    x, t_x, T = frame.loc[0, ["frequency", "recency", "T"]]
    one = posterior.answer(x, t_x, T, segment="lost")
    assert one.alive.mean == pytest.approx(answers.loc[0, "mean"])


@with_and_without
def test_outcomes_follow_the_mixed_law(again: bool, posterior_by_hand: Make) -> None:
    posterior = made(posterior_by_hand, RFM, again=again, draws=40_000)
    state = {"frequency": 4, "recency": 80.0, "T": 130.0, "monetary_value": 14.0}
    frame = pd.DataFrame([state])
    weights = np.append(RFM.weights(States.from_frame(frame))[0], 0.0)
    assert (weights > 0.02).sum() > 4
    columns = (np.array([80.0]), np.array([130.0]), np.array([14.0]))
    block = Group(slice(0, 1), 4.0, *columns, Memberships(np.zeros(1, int), weights[None]))
    law = outcome_probabilities(posterior.model(), block, HORIZON, least=6)[0]
    np.testing.assert_allclose(law.sum(), 1, atol=1e-7)
    rng, sampled = np.random.default_rng(2), []
    which = rng.choice(len(weights), p=weights, size=posterior.n_draws)
    own = posterior.parameters[which, np.arange(posterior.n_draws)]
    some = posterior.reactivation
    some = some or Reactivation(np.zeros(1), np.ones(1), np.ones(1))
    sampled = reactivation.sample_purchases(rng, own, some, 4.0, 80.0, 130.0, HORIZON)
    n = posterior.n_draws
    drawn = posterior.sample_purchases(frame, HORIZON, level=0.5, seed=1)
    mean = law @ np.arange(len(law))
    spread = np.sqrt(law @ np.arange(len(law)) ** 2 - mean**2)
    assert drawn["mean"][0] == pytest.approx(mean, abs=5 * spread / np.sqrt(n))
    assert sampled.mean() == pytest.approx(mean, abs=5 * spread / np.sqrt(n))
    for k in range(5):
        share = np.mean(sampled == k)
        assert share == pytest.approx(law[k], abs=5 * np.sqrt(law[k] / n))
    expected = posterior.expected_purchases(frame, HORIZON)["mean"][0]
    assert mean == pytest.approx(expected, rel=1e-6)
    value = posterior.sample_value(frame, 200.0, seed=4)["mean"][0]
    want = posterior.customer_lifetime_value(frame, 200.0)["mean"][0]
    assert value == pytest.approx(want, rel=0.08)


@with_and_without
def test_segments_are_compared_by_name_and_their_customers_by_their_own_answers(
    again: bool, posterior_by_hand: Make, customers: pd.DataFrame
) -> None:
    posterior = made(posterior_by_hand, RFM, again=again)
    table = posterior.compare_segments(customers, value_horizon=200.0).table
    each = score_customers(posterior, customers, HORIZON, ValueTerms(200.0))
    grouped = each.groupby("segment")
    for name, of in (("prob_alive", "prob_alive"), ("buys_again", "prob_purchase")):
        np.testing.assert_allclose(table[name], grouped[of].mean()[table.index], rtol=1e-9)
    np.testing.assert_allclose(table["customers"], grouped.size()[table.index])
    np.testing.assert_allclose(table["value"], grouped["expected_value"].sum()[table.index])
    assert (table["value_at_risk"] >= 0).all()  # 0 where all have bought but once, and are alive


@rules
def test_a_log_is_scored_and_compared_by_its_engine_as_a_table_is(
    rule: SegmentRule, posterior_by_hand: Make
) -> None:
    posterior = made(posterior_by_hand, rule, again=True)
    log = load_cdnow(sample=True)
    scores = score_log(posterior, log, HORIZON).to_pandas().set_index("customer_id").sort_index()
    states = scores[["frequency", "recency", "T", "monetary_value"]].reset_index()
    direct = score_customers(posterior, states, HORIZON).set_index("customer_id")
    shared = [name for name in direct.columns if name in scores.columns]
    pd.testing.assert_frame_equal(
        scores[shared], direct[shared], check_dtype=False, rtol=1e-9, atol=1e-300
    )
    by_engine = compare_log(posterior, log).table
    pd.testing.assert_frame_equal(
        by_engine, posterior.compare_segments(states).table, rtol=1e-8, check_index_type=False
    )


@with_and_without
def test_a_model_file_keeps_bandwidth_and_reactivation(
    again: bool, posterior_by_hand: Make, customers: pd.DataFrame, tmp_path
) -> None:
    posterior = made(posterior_by_hand, RFM, again=again)
    posterior.save(tmp_path / "model.clv")
    loaded = load_posterior(tmp_path / "model.clv")
    assert loaded.rule == RFM
    pd.testing.assert_frame_equal(
        loaded.expected_purchases(customers, HORIZON),
        posterior.expected_purchases(customers, HORIZON),
    )


def test_silence_lowers_the_answer_day_by_day_where_hard_segments_jump(
    posterior_by_hand: Make,
) -> None:
    """Segments by hand differ far more than those of a fit, so the bounds are wider here."""
    soft = made(posterior_by_hand, RFM, again=False)
    hard = replace(soft, rule=replace(RFM, bandwidth=None))
    days = np.arange(366.0)
    frame = pd.DataFrame(
        {"frequency": 6, "recency": 200.0, "T": 200 + days, "monetary_value": 20.0}
    )
    jumps = {
        of.rule.soft: np.abs(np.diff(of.probability_alive(frame)["mean"])).max()
        for of in (soft, hard)
    }
    assert jumps[True] < 0.02 < 0.05 < jumps[False]

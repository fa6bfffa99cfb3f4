"""Money and forecasts in many blocks are those in one: no state is lost, swapped or counted twice.

Draws stay bit for bit the same; sums over blocks are added up in another order.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayes_clv.data.states import States
from bayes_clv.evaluation.backtest.forecasts import Forecasts, Part, forecast
from bayes_clv.evaluation.backtest.spend import MoneyForecasts, forecast_money
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.posterior import state_groups
from bayes_clv.posterior.posterior import Posterior
from bayes_clv.posterior.state_groups import Group, distinct_cases

N = 360
IN_ONE, IN_MANY = 10_000, 7  # states, or customers, in a block
EXACT = 1e-12


@pytest.fixture(scope="module")
def posterior(posterior_by_hand: Callable[..., Posterior]) -> Posterior:
    return posterior_by_hand(spend=True)


@pytest.fixture(scope="module")
def customers() -> pd.DataFrame:
    """Few frequencies, so that groups are of many states; some states are of up to 20 customers."""
    rng = np.random.default_rng(17)
    frequency = rng.integers(0, 4, N)
    T = rng.integers(20, 300, N).astype(float)
    recency = np.where(frequency > 0, np.floor(T * rng.beta(2, 1.5, N)), 0.0)
    spend = np.where(frequency > 0, np.round(rng.gamma(3, 15, N), 2), 0.0)
    frame = pd.DataFrame(
        {"frequency": frequency, "recency": recency, "T": T, "monetary_value": spend}
    )
    frame.loc[::13, "monetary_value"] = np.nan
    frame.loc[:39, ["frequency", "recency", "T"]] = [[2, 50, 90], [3, 60, 80]] * 20
    return frame.sample(frac=1, random_state=2, ignore_index=True)


@pytest.fixture
def in_blocks(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Do work with at most so many states in a block; see to it that it is done in such blocks."""

    def work(most: int, what: Callable[[], Any]) -> Any:
        sizes: list[int] = []
        whole = Group.blocks

        def counted(group: Group) -> Any:
            for block in whole(group):
                sizes.append(len(block.T))
                yield block

        with monkeypatch.context() as patch:
            patch.setattr(state_groups, "MAX_BLOCK", most)
            patch.setattr(Group, "blocks", counted)
            done = what()
        if most == IN_ONE:
            assert max(sizes) > 5 * IN_MANY, "a group is cut where blocks are small"
        else:
            assert max(sizes) == most
            assert min(sizes) < most, "a last block that is not full"
        return done

    return work


def both(in_blocks: Callable[..., Any], what: Callable[[], Any]) -> tuple[Any, Any]:
    return in_blocks(IN_ONE, what), in_blocks(IN_MANY, what)


@pytest.mark.parametrize("name", ["expected_spend", "customer_lifetime_value", "sample_value"])
def test_answers_of_money_are_the_same_in_many_blocks(
    name: str, posterior: Posterior, customers: pd.DataFrame, in_blocks: Callable[..., Any]
) -> None:
    one, many = both(in_blocks, lambda: getattr(posterior, name)(customers))
    pd.testing.assert_frame_equal(many, one, rtol=EXACT, atol=0)
    assert one["mean"].nunique() > N / 4, "else an exchange would go unseen"


def test_segments_are_worth_the_same_in_many_blocks(
    posterior: Posterior, customers: pd.DataFrame, in_blocks: Callable[..., Any]
) -> None:
    one, many = both(in_blocks, lambda: posterior.compare_segments(customers).table)
    assert {"value", "value_at_risk"} <= set(one.columns)
    pd.testing.assert_frame_equal(many, one, rtol=EXACT, atol=0)
    each = posterior.customer_lifetime_value(customers).groupby("segment")["mean"].sum()
    np.testing.assert_allclose(many["value"], each[many.index], rtol=1e-9)


def test_forecasts_of_money_are_the_same_in_many_blocks(
    posterior: Posterior, customers: pd.DataFrame, in_blocks: Callable[..., Any]
) -> None:
    """Life by life too: customers of one state differ by their place among all."""
    paid = np.random.default_rng(3).gamma(0.5, 40, N).round()
    one, many = both(in_blocks, lambda: forecast_money(posterior, customers, paid, 120.0, seed=4))
    assert isinstance(one, MoneyForecasts)
    np.testing.assert_array_equal(many.below, one.below)
    np.testing.assert_array_equal(many.up_to, one.up_to)
    np.testing.assert_allclose(many.expected, one.expected, rtol=EXACT)
    np.testing.assert_allclose(many.total, one.total, rtol=EXACT)
    assert len(np.unique(one.below)) > N / 4
    # By the answers, which do not go by customers' places.
    value = posterior.customer_lifetime_value(customers, 120.0, annual_discount_rate=0.0)["mean"]
    np.testing.assert_allclose(many.expected, value, rtol=1e-9)
    error = one.total.std() / np.sqrt(len(one.total))
    assert one.total.mean() == pytest.approx(value.sum(), abs=5 * error)


@pytest.mark.parametrize("dropout", list(Dropout), ids=str)
def test_forecasts_of_purchases_are_the_same_in_many_blocks(
    dropout: Dropout, posterior: Posterior, customers: pd.DataFrame, in_blocks: Callable[..., Any]
) -> None:
    states = States.from_frame(customers)
    part = Part(1.0, replace(posterior.model(), dropout=dropout), posterior.assigned(states))
    outcomes = np.random.default_rng(5).integers(0, 4, N)
    one, many = both(
        in_blocks,
        lambda: forecast([part], states, outcomes, 120.0),
    )
    assert isinstance(one, Forecasts)
    for name in ("expected", "variance", "chance", "log_score", "crps", "below", "up_to"):
        seen, wanted = getattr(many, name), getattr(one, name)
        # A block lists as many outcomes as its neediest state wants: the others end a bit earlier.
        np.testing.assert_allclose(seen, wanted, rtol=1e-5, atol=1e-6, err_msg=name)
        assert len(np.unique(wanted)) > N / 8, name
    np.testing.assert_allclose(many.expected_total, one.expected_total, rtol=EXACT)
    own = replace(posterior, dropout=dropout).expected_purchases(customers, 120.0)
    np.testing.assert_allclose(many.expected, own["mean"], rtol=1e-5, atol=1e-6)
    assert many.expected_total.mean() == pytest.approx(own["mean"].sum(), rel=1e-9)


def test_the_customers_are_such_that_blocks_and_groups_are_many(
    posterior: Posterior, customers: pd.DataFrame
) -> None:
    states = States.from_frame(customers)
    index, cases = distinct_cases(states, posterior.assigned(states))
    assert np.bincount(index).max() > 2 * IN_MANY, "customers of one state are cut, too"
    assert len(np.unique(cases.memberships.codes)) > 1

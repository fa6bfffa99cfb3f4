"""What a posterior answers, against bgnbd evaluated one customer and one segment at a time."""

import tracemalloc
from collections.abc import Callable
from dataclasses import astuple
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from bayes_clv.data.states import States
from bayes_clv.errors import InputError
from bayes_clv.models import bgnbd
from bayes_clv.models.bgnbd import Dropout, Parameters
from bayes_clv.posterior.comparison import MEASURES
from bayes_clv.posterior.draws import PARAMETERS
from bayes_clv.posterior.posterior import Posterior
from bayes_clv.posterior.state_groups import distinct_cases, groups_of
from bayes_clv.segments.rules import ColumnRule, PooledRule, RFMRule

HORIZON = 77.0
EXACT = 1e-12  # relative; nothing but the order of a few float operations may differ
MANY = 700
MEGABYTE = 2**20

type Make = Callable[..., Posterior]
type MakeCustomers = Callable[..., pd.DataFrame]


class Method(NamedTuple):
    """A method of Posterior, and the function of bgnbd that it summarises."""

    name: str
    ahead: tuple[float, ...]
    measure: Callable[..., np.ndarray]


METHODS = (
    Method("probability_alive", (), bgnbd.probability_alive),
    Method("probability_of_purchase", (HORIZON,), bgnbd.probability_of_purchase),
    Method("expected_purchases", (HORIZON,), bgnbd.expected_purchases),
)
each_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
each_horizon_method = pytest.mark.parametrize(
    "name", ["probability_of_purchase", "expected_purchases", "sample_purchases"]
)


def parameters_of(posterior: Posterior, segment: str) -> Parameters:
    """The draws of one segment or of the population, read from the tree by label."""
    draws = posterior.tree["posterior"]
    if segment == "population":
        return Parameters(*(draws[f"{name}_population"].to_numpy().ravel() for name in PARAMETERS))
    return Parameters(*(draws[name].sel(segment=segment).to_numpy().ravel() for name in PARAMETERS))


def draws_of(posterior: Posterior, customer: pd.Series, segment: str, method: Method) -> np.ndarray:
    state = (customer["frequency"], customer["recency"], customer["T"])
    return method.measure(
        parameters_of(posterior, segment), *state, *method.ahead, posterior.dropout
    )


def directly(
    posterior: Posterior, customers: pd.DataFrame, segments: list[str], method: Method, level: float
) -> np.ndarray:
    """Mean, lower and upper of every customer, ``(customer, 3)``."""
    tails = [(1 - level) / 2, (1 + level) / 2]
    rows = []
    for (_, customer), segment in zip(customers.iterrows(), segments, strict=True):
        draws = draws_of(posterior, customer, segment, method)
        rows.append([draws.mean(), *np.quantile(draws, tails)])
    return np.array(rows)


def segments_by_rule(posterior: Posterior, customers: pd.DataFrame) -> list[str]:
    """The rule, asked about one customer at a time."""
    codes = [
        int(posterior.rule.assign(States.from_frame(customers.iloc[[row]]))[0])
        for row in range(len(customers))
    ]
    return [posterior.segment_names[code] for code in codes]


def figures(answers: pd.DataFrame) -> np.ndarray:
    return answers[["mean", "lower", "upper"]].to_numpy()


@pytest.fixture(scope="module")
def customers(make_customers: MakeCustomers) -> pd.DataFrame:
    return make_customers(MANY)


@pytest.fixture(scope="module")
def posterior(posterior_by_hand: Make, customers: pd.DataFrame) -> Posterior:
    return posterior_by_hand(fitted_to=customers)


# Answers per customer


@pytest.mark.parametrize("dropout", Dropout)
@each_method
def test_each_answer_equals_a_direct_evaluation_of_that_customer(
    posterior_by_hand: Make, customers: pd.DataFrame, method: Method, dropout: Dropout
) -> None:
    posterior = posterior_by_hand(dropout=dropout)
    segments = segments_by_rule(posterior, customers)
    assert set(segments) == set(posterior.segment_names), "every segment must be seen"
    answers = getattr(posterior, method.name)(customers, *method.ahead, level=0.8)
    assert answers["segment"].tolist() == segments
    some = np.random.default_rng(0).choice(MANY, size=200, replace=False)
    expected = directly(
        posterior, customers.iloc[some], [segments[row] for row in some], method, level=0.8
    )
    np.testing.assert_allclose(figures(answers)[some], expected, rtol=EXACT, atol=0)
    assert (answers["upper"] > answers["lower"]).sum() > MANY / 2


@each_method
def test_the_answers_come_in_the_callers_order_with_his_index_and_his_ids(
    posterior: Posterior, customers: pd.DataFrame, method: Method
) -> None:
    rng = np.random.default_rng(1)
    plain = getattr(posterior, method.name)(customers, *method.ahead)
    order = rng.permutation(MANY)
    shuffled = customers.iloc[order].assign(customer_id=[f"c-{i % 90:03d}" for i in order])
    shuffled.index = pd.Index(rng.choice(["x", "y", "z"], size=MANY), name="shop")
    assert shuffled["customer_id"].duplicated().any()
    assert not shuffled["customer_id"].is_monotonic_increasing
    answers = getattr(posterior, method.name)(shuffled, *method.ahead)
    assert list(answers.columns) == ["customer_id", "segment", "mean", "lower", "upper"]
    pd.testing.assert_index_equal(answers.index, shuffled.index)
    pd.testing.assert_series_equal(answers["customer_id"], shuffled["customer_id"])
    assert answers["segment"].tolist() == plain["segment"].iloc[order].tolist()
    np.testing.assert_allclose(figures(answers), figures(plain)[order], rtol=EXACT)


def test_without_ids_the_answers_have_none(posterior: Posterior, customers: pd.DataFrame) -> None:
    answers = posterior.probability_alive(customers.head(3))
    assert list(answers.columns) == ["segment", "mean", "lower", "upper"]


@each_method
def test_customers_who_share_a_state_share_the_answer(
    posterior: Posterior, customers: pd.DataFrame, method: Method
) -> None:
    few = customers.head(20)
    repeated = pd.concat([few, few.iloc[::-1], few])
    answers = figures(getattr(posterior, method.name)(repeated, *method.ahead))
    np.testing.assert_array_equal(answers[:20], answers[20:40][::-1])
    np.testing.assert_array_equal(answers[:20], answers[40:])


@each_method
def test_more_states_than_a_group_or_a_block_holds_are_all_answered(
    posterior_by_hand: Make, monkeypatch: pytest.MonkeyPatch, method: Method
) -> None:
    monkeypatch.setattr("bayes_clv.posterior.state_groups.MAX_CASES", 100)
    monkeypatch.setattr("bayes_clv.posterior.state_groups.MAX_BLOCK", 30)
    n = 105
    T = np.random.default_rng(2).permutation(np.linspace(1, 700, n))
    customers = pd.DataFrame({"frequency": 3, "recency": T / 2, "T": T})
    posterior = posterior_by_hand(PooledRule())
    states = States.from_frame(customers)
    parts = groups_of(distinct_cases(states, posterior.assigned(states))[1])
    assert [[len(block.T) for block in part.blocks()] for part in parts] == [[30, 30, 30, 10], [5]]
    answers = getattr(posterior, method.name)(customers, *method.ahead)
    expected = directly(posterior, customers, ["all customers"] * n, method, level=0.9)
    np.testing.assert_allclose(figures(answers), expected, rtol=EXACT)


@each_method
def test_answers_about_many_daily_states_equal_a_direct_evaluation(
    posterior_by_hand: Make, method: Method
) -> None:
    # So many states share a frequency that what depends on T alone is interpolated.
    posterior = posterior_by_hand()
    rng = np.random.default_rng(12)
    T = rng.integers(0, 731, size=3_000)
    frequency = rng.integers(0, 3, size=3_000)
    recency = np.where(frequency > 0, rng.integers(0, T + 1), 0)
    many = pd.DataFrame({"frequency": frequency, "recency": recency, "T": T})
    answers = getattr(posterior, method.name)(many, *method.ahead)
    some = rng.choice(len(many), size=150, replace=False)
    names = answers["segment"].iloc[some].tolist()
    expected = directly(posterior, many.iloc[some], names, method, level=0.9)
    np.testing.assert_allclose(figures(answers)[some], expected, rtol=EXACT, atol=0)


@each_method
def test_no_customers_no_answers(posterior: Posterior, method: Method) -> None:
    nobody = pd.DataFrame({"frequency": [], "recency": [], "T": []})
    answers = getattr(posterior, method.name)(nobody, *method.ahead)
    assert answers.shape == (0, 4)


@pytest.mark.parametrize("name", [*(method.name for method in METHODS), "sample_purchases"])
def test_the_callers_frame_is_never_changed(
    posterior: Posterior, customers: pd.DataFrame, name: str
) -> None:
    frame = customers.head(50).assign(
        segment=["regulars", None] * 25, customer_id=list("ba" * 25), note="his own"
    )
    before = frame.copy(deep=True)
    ahead = () if name == "probability_alive" else (HORIZON,)
    answers = getattr(posterior, name)(frame, *ahead)
    answers["customer_id"] = "overwritten"
    posterior.compare_segments(frame)
    pd.testing.assert_frame_equal(frame, before)


# Segments


@each_method
def test_the_callers_own_segment_names_win_over_the_rule_and_gaps_are_left_to_it(
    posterior: Posterior, customers: pd.DataFrame, method: Method
) -> None:
    few = customers.head(60)
    by_rule = segments_by_rule(posterior, few)
    choices = [*posterior.segment_names, "population", None, np.nan]
    given = [choices[i] for i in np.random.default_rng(3).integers(len(choices), size=60)]
    wanted = [
        own if isinstance(own, str) else ruled for own, ruled in zip(given, by_rule, strict=True)
    ]
    assert wanted != by_rule
    frame = few.assign(segment=pd.Series(given, dtype=object, index=few.index))
    answers = getattr(posterior, method.name)(frame, *method.ahead)
    assert answers["segment"].tolist() == wanted
    expected = directly(posterior, few, wanted, method, level=0.9)
    np.testing.assert_allclose(figures(answers), expected, rtol=EXACT)


def test_an_unknown_segment_name_is_refused_with_the_names_there_are(
    posterior: Posterior, customers: pd.DataFrame
) -> None:
    frame = customers.head(2).assign(segment=["regulars", "regulers"])
    calls = (
        lambda: posterior.probability_alive(frame),
        lambda: posterior.compare_segments(frame),
        lambda: posterior.answer(1, 2, 3, segment="regulers"),
    )
    for call in calls:
        with pytest.raises(InputError) as refusal:
            call()
        for name in (*posterior.segment_names, "population", "'regulers'"):
            assert name in str(refusal.value)
        assert "\n" not in str(refusal.value)


@each_method
def test_a_column_rule_answers_a_name_it_never_saw_with_the_population(
    posterior_by_hand: Make, customers: pd.DataFrame, method: Method
) -> None:
    posterior = posterior_by_hand(ColumnRule(names=("north", "south")))
    few = customers.head(6)
    frame = few.assign(segment=["south", "moon", None, "north", np.nan, "south"])
    wanted = ["south", "population", "population", "north", "population", "south"]
    answers = getattr(posterior, method.name)(frame, *method.ahead)
    assert answers["segment"].tolist() == wanted
    np.testing.assert_allclose(
        figures(answers), directly(posterior, few, wanted, method, 0.9), rtol=EXACT
    )
    without = getattr(posterior, method.name)(few, *method.ahead)
    assert set(without["segment"]) == {"population"}


def test_spend_reaches_the_rule_and_a_missing_spend_does_not_stop_it(
    posterior_by_hand: Make,
) -> None:
    rule = RFMRule((10.0, 20.0, 40.0, 80.0), (1.0, 2.0, 4.0), (5.0, 10.0, 20.0, 40.0))
    posterior = posterior_by_hand(rule)
    frame = pd.DataFrame(
        {"frequency": 2, "recency": 100, "T": 100, "monetary_value": [1, 99, None]}
    )
    names = posterior.probability_alive(frame)["segment"].tolist()
    assert names == ["potential loyal", "champions", "potential loyal"]
    single = posterior.answer(2, 100, 100, monetary_value=99)
    assert single.segment == "champions"


# Arguments


@pytest.mark.parametrize("level", [0, 1, -0.5, 1.5, 90, np.nan, np.inf])
def test_a_level_outside_0_and_1_is_refused(
    posterior: Posterior, customers: pd.DataFrame, level: float
) -> None:
    few = customers.head(2)
    for call in (
        lambda: posterior.probability_alive(few, level=level),
        lambda: posterior.probability_of_purchase(few, HORIZON, level=level),
        lambda: posterior.expected_purchases(few, HORIZON, level=level),
        lambda: posterior.sample_purchases(few, HORIZON, level=level),
        lambda: posterior.compare_segments(level=level),
        lambda: posterior.compare_segments(few, level=level),
        lambda: posterior.answer(1, 2, 3, level=level),
    ):
        with pytest.raises(InputError, match=f"level must lie between 0 and 1: {level}"):
            call()


@pytest.mark.parametrize("horizon", [0, -1, np.nan, np.inf])
@each_horizon_method
def test_a_horizon_that_is_no_positive_number_of_days_is_refused(
    posterior: Posterior, customers: pd.DataFrame, name: str, horizon: float
) -> None:
    with pytest.raises(InputError, match=f"horizon must be a positive number of days: {horizon}"):
        getattr(posterior, name)(customers.head(2), horizon)
    with pytest.raises(InputError, match=f"horizon must be a positive number of days: {horizon}"):
        posterior.answer(1, 2, 3, horizon=horizon)


def test_a_row_that_cannot_be_right_is_refused_by_every_method(posterior: Posterior) -> None:
    frame = pd.DataFrame({"frequency": [1, 1], "recency": [5, 50], "T": [10, 10]})
    for call in (
        lambda: posterior.probability_alive(frame),
        lambda: posterior.probability_of_purchase(frame, HORIZON),
        lambda: posterior.expected_purchases(frame, HORIZON),
        lambda: posterior.sample_purchases(frame, HORIZON),
        lambda: posterior.compare_segments(frame),
    ):
        with pytest.raises(InputError, match="recency must not exceed T: row 1 has 50"):
            call()


def test_a_higher_level_gives_a_wider_interval_round_the_same_mean(
    posterior: Posterior, customers: pd.DataFrame
) -> None:
    repeat = customers[customers["frequency"] > 0]
    narrow = posterior.probability_alive(repeat, level=0.5)
    wide = posterior.probability_alive(repeat, level=0.95)
    np.testing.assert_array_equal(narrow["mean"], wide["mean"])
    assert (wide["lower"] < narrow["lower"]).all()
    assert (wide["upper"] > narrow["upper"]).all()


# One customer


@pytest.mark.parametrize("dropout", Dropout)
def test_a_single_answer_equals_its_rows_of_the_batches(
    posterior_by_hand: Make, customers: pd.DataFrame, dropout: Dropout
) -> None:
    posterior = posterior_by_hand(dropout=dropout)
    frame = customers.head(200).assign(
        segment=[None, "population", "in between", "regulars"] * 50,
        monetary_value=np.where(customers.head(200)["frequency"] > 0, 12.5, np.nan),
    )
    alive = posterior.probability_alive(frame, level=0.7)
    purchase = posterior.probability_of_purchase(frame, HORIZON, level=0.7)
    singles = [
        posterior.answer(
            row["frequency"],
            row["recency"],
            row["T"],
            monetary_value=row["monetary_value"],
            segment=row["segment"] if isinstance(row["segment"], str) else None,
            horizon=HORIZON,
            level=0.7,
        )
        for _, row in frame.iterrows()
    ]
    assert [single.segment for single in singles] == alive["segment"].tolist()
    assert {(single.level, single.horizon) for single in singles} == {(0.7, HORIZON)}
    assert {single.dropout for single in singles} == {dropout}
    for name, rows in (("alive", alive), ("purchase", purchase)):
        one_by_one = [astuple(getattr(single, name)) for single in singles]
        np.testing.assert_allclose(one_by_one, figures(rows), rtol=EXACT, atol=0)


def test_a_single_answer_looks_as_far_ahead_as_the_stored_comparison(posterior: Posterior) -> None:
    answer = posterior.answer(3, 50, 80)
    assert answer.horizon == posterior.compare_segments().horizon == 90
    assert answer == posterior.answer(3, 50, 80, horizon=90)
    assert answer.purchase.mean < posterior.answer(3, 50, 80, horizon=91).purchase.mean


@pytest.mark.parametrize("dropout", Dropout)
def test_extreme_customers_get_finite_answers_in_order_singly_and_in_a_batch(
    posterior_by_hand: Make, dropout: Dropout
) -> None:
    posterior = posterior_by_hand(dropout=dropout)
    rows = [
        (frequency, recency, T)
        for frequency in (0, 1, 300, 1_000_000)
        for T in (0, 1e-9, 365, 1_000_000)
        for recency in ({0.0} if frequency == 0 else {0.0, T / 2, T})
    ]
    frame = pd.DataFrame(rows, columns=["frequency", "recency", "T"])
    alive = figures(posterior.probability_alive(frame))
    purchase = figures(posterior.probability_of_purchase(frame, 90))
    expected = figures(posterior.expected_purchases(frame, 90))
    for answers in (alive, purchase, expected):
        assert np.isfinite(answers).all()
        assert (answers[:, 1] <= answers[:, 2]).all()
        assert (answers >= 0).all()
    assert (purchase <= alive).all()
    assert (alive <= 1).all()
    for row, batch, batch_purchase in zip(rows, alive, purchase, strict=True):
        single = posterior.answer(*row)
        np.testing.assert_allclose(astuple(single.alive), batch, rtol=1e-11, atol=1e-300)
        np.testing.assert_allclose(
            astuple(single.purchase), batch_purchase, rtol=1e-11, atol=1e-300
        )


@pytest.mark.parametrize("n", [1, 2, 3, 10, 1001])
@pytest.mark.parametrize("level", [1e-9, 0.5, 0.9, 1 - 1e-9])
def test_the_bounds_of_a_single_answer_are_numpys_quantiles(
    posterior_by_hand: Make, n: int, level: float
) -> None:
    posterior = posterior_by_hand(draws=n)
    draws = bgnbd.probability_alive(parameters_of(posterior, "population"), 3, 50, 80)
    tails = [(1 - level) / 2, (1 + level) / 2]
    alive = posterior.answer(3, 50, 80, segment="population", level=level).alive
    np.testing.assert_allclose([alive.lower, alive.upper], np.quantile(draws, tails), rtol=EXACT)


# Outcomes


def test_the_same_seed_gives_the_same_outcomes_and_another_seed_others(
    posterior: Posterior, customers: pd.DataFrame
) -> None:
    first = posterior.sample_purchases(customers, HORIZON, seed=5)
    pd.testing.assert_frame_equal(first, posterior.sample_purchases(customers, HORIZON, seed=5))
    other = posterior.sample_purchases(customers, HORIZON, seed=6)
    assert (first["mean"] != other["mean"]).mean() > 0.5


def test_a_customers_outcomes_do_not_depend_on_threads_or_on_who_else_is_asked_about(
    posterior: Posterior, customers: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = posterior.sample_purchases(customers, HORIZON, seed=5)
    monkeypatch.setattr("bayes_clv.posterior.state_groups.os.cpu_count", lambda: 1)
    monkeypatch.setattr("bayes_clv.posterior.state_groups.MAX_CASES", 7)
    monkeypatch.setattr("bayes_clv.posterior.state_groups.MAX_BLOCK", 3)
    states = States.from_frame(customers)
    parts = groups_of(distinct_cases(states, posterior.assigned(states))[1])
    assert max(len(part.T) for part in parts) == 7
    assert max(len(block.T) for part in parts for block in part.blocks()) == 3
    again = posterior.sample_purchases(customers, HORIZON, seed=5)
    pd.testing.assert_frame_equal(together, again)
    few = customers.iloc[[40, 3]]
    alone = posterior.sample_purchases(few, HORIZON, seed=5)
    pd.testing.assert_frame_equal(alone, together.iloc[[40, 3]])


def test_outcomes_average_to_the_expected_purchases_within_monte_carlo_error(
    posterior_by_hand: Make, make_customers: MakeCustomers
) -> None:
    posterior, customers = posterior_by_hand(draws=4000), make_customers(60, seed=8)
    expected = posterior.expected_purchases(customers, HORIZON)
    sampled = posterior.sample_purchases(customers, HORIZON, seed=8)
    rng = np.random.default_rng(9)
    error = np.array(
        [
            bgnbd.sample_purchases(
                rng, parameters_of(posterior, name), *state, HORIZON, posterior.dropout
            ).std()
            for state, name in zip(customers.to_numpy(), expected["segment"], strict=True)
        ]
    ) / np.sqrt(8000)
    z = (sampled["mean"] - expected["mean"]) / error
    assert (np.abs(z) < 4.5).all(), z
    assert 0.5 < z.std() < 1.5, "far smaller or larger: not independent draws of the outcome"


def test_an_outcome_is_less_certain_than_its_expectation(
    posterior: Posterior, customers: pd.DataFrame
) -> None:
    expected = posterior.expected_purchases(customers, 365.0)
    # Else the outcome's interval may shrink to (0, 0): all of it is "buys nothing".
    alive = posterior.probability_alive(customers)["mean"] > 0.5
    buyers = alive & (expected["mean"] > 1)
    assert buyers.sum() > 100
    outcome = posterior.sample_purchases(customers, 365.0)
    assert (outcome["lower"] <= expected["lower"])[buyers].all()
    assert (outcome["upper"] >= expected["upper"])[buyers].all()


# Segments compared


def by_hand(
    posterior: Posterior, customers: pd.DataFrame, segments: list[str], horizon: float
) -> dict[str, dict[str, np.ndarray]]:
    """For each segment and measure, the mean over customers, draw by draw."""
    names = np.array(segments)
    answers = (
        Method("prob_alive", (), bgnbd.probability_alive),
        Method("buys_again", (horizon,), bgnbd.probability_of_purchase),
        Method("expected_purchases", (horizon,), bgnbd.expected_purchases),
    )
    return {
        str(segment): {
            measure.name: np.mean(
                [
                    draws_of(posterior, customer, segment, measure)
                    for _, customer in customers[names == segment].iterrows()
                ],
                axis=0,
            )
            for measure in answers
        }
        for segment in np.unique(names)
    }


@pytest.mark.parametrize("horizon", [90.0, 30.0])
def test_a_segments_figures_are_means_over_its_customers_draw_by_draw(
    posterior: Posterior, customers: pd.DataFrame, horizon: float
) -> None:
    # Customers who share a state count as often as there are of them.
    frame = pd.concat([customers.head(150), customers.head(40)])
    comparison = posterior.compare_segments(frame, horizon=horizon, level=0.8)
    means = by_hand(posterior, frame, segments_by_rule(posterior, frame), horizon)
    assert set(comparison.table.index) == set(means) == set(posterior.segment_names)
    assert comparison.table["customers"].sum() == len(frame)
    assert (comparison.horizon, comparison.level) == (horizon, 0.8)
    for segment, measures in means.items():
        row = comparison.table.loc[segment]
        for name, draws in measures.items():
            stored = comparison.draws[name].sel(segment=segment).to_numpy()
            np.testing.assert_allclose(stored, draws, rtol=EXACT)
            assert row[name] == pytest.approx(draws.mean(), rel=EXACT)
            assert row[f"{name}_lower"] == pytest.approx(np.quantile(draws, 0.1), rel=EXACT)
            assert row[f"{name}_upper"] == pytest.approx(np.quantile(draws, 0.9), rel=EXACT)


@pytest.mark.parametrize(
    ("matrix", "measure"), [("churns_more", "prob_alive"), ("buys_less", "buys_again")]
)
def test_the_pairwise_probabilities_count_the_draws_in_which_the_row_lies_below(
    posterior: Posterior, customers: pd.DataFrame, matrix: str, measure: str
) -> None:
    # Names at random: the segments differ by their parameters alone, so none is certain to be last.
    names = np.random.default_rng(4).choice(posterior.segment_names, size=90).tolist()
    frame = customers.head(90).assign(segment=names)
    probabilities = getattr(posterior.compare_segments(frame), matrix)
    means = by_hand(posterior, frame, names, 90.0)
    assert list(probabilities.index) == list(probabilities.columns)
    for row in probabilities.index:
        assert probabilities.loc[row, row] == 0
        for column in probabilities.columns.drop(row):
            below = np.mean(means[row][measure] < means[column][measure])
            assert probabilities.loc[row, column] == below
            assert probabilities.loc[row, column] + probabilities.loc[column, row] == 1
    between = probabilities.to_numpy()
    assert ((between > 0) & (between < 1)).any(), "else the test sees certainty alone"


def test_a_segment_that_rarely_leaves_churns_less(posterior_by_hand: Make) -> None:
    posterior = posterior_by_hand(ColumnRule(names=("faithful", "fickle")))
    draws = posterior.tree["posterior"]
    draws["a"].loc[{"segment": "faithful"}] *= 0.05
    frame = pd.DataFrame({"frequency": 4, "recency": [50, 150] * 2, "T": 200})
    frame["segment"] = ["faithful"] * 2 + ["fickle"] * 2
    churns_more = posterior.compare_segments(frame).churns_more
    assert churns_more.loc["fickle", "faithful"] == 1
    assert churns_more.loc["faithful", "fickle"] == 0


def test_the_stored_comparison_is_the_one_computed_again(
    posterior: Posterior, customers: pd.DataFrame
) -> None:
    stored, again = posterior.compare_segments(), posterior.compare_segments(customers)
    pd.testing.assert_frame_equal(stored.table, again.table)
    pd.testing.assert_frame_equal(stored.churns_more, again.churns_more)
    assert stored.horizon == again.horizon == 90


def test_another_horizon_or_nothing_stored_asks_for_the_customers(
    posterior: Posterior, posterior_by_hand: Make
) -> None:
    with pytest.raises(InputError, match=r"has horizon 90: give the customers .* with 30"):
        posterior.compare_segments(horizon=30)
    with pytest.raises(InputError, match="holds no comparison: give the customers"):
        posterior_by_hand().compare_segments()


def test_segments_without_customers_are_left_out_and_the_population_is_named(
    posterior_by_hand: Make, customers: pd.DataFrame
) -> None:
    posterior = posterior_by_hand(ColumnRule(names=("north", "south")))
    frame = customers.head(5).assign(segment=["south", "moon", "south", None, "south"])
    table = posterior.compare_segments(frame).table
    assert table["customers"].to_dict() == {"population": 2, "south": 3}
    assert not table.isna().to_numpy().any()
    assert set(MEASURES) < set(table.columns)


# Memory


@pytest.mark.parametrize(
    ("name", "n"), [("probability_alive", 20_000), ("compare_segments", 8_000)]
)
def test_memory_does_not_grow_with_customers_times_draws(
    posterior_by_hand: Make, monkeypatch: pytest.MonkeyPatch, name: str, n: int
) -> None:
    # All 20,000 states at once would be 153 MiB an array of 1,000 draws, 8,000 states 61 MiB. In
    # blocks of 64 an array is half a MiB. Measured on two threads: 3 MiB for the answers, 5 for the
    # comparison.
    monkeypatch.setattr("bayes_clv.posterior.state_groups.os.cpu_count", lambda: 2)
    posterior = posterior_by_hand(PooledRule(), draws=500)
    rng = np.random.default_rng(20)
    T = rng.permutation(np.linspace(1, 730, n))
    frequency = rng.integers(1, 8, size=n)
    customers = pd.DataFrame({"frequency": frequency, "recency": T * 0.6, "T": T})
    posterior.probability_alive(customers.head(3))  # what is kept for good is not counted
    tracemalloc.start()
    try:
        answers = getattr(posterior, name)(customers)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (len(answers) if name == "probability_alive" else answers.table["customers"].sum()) == n
    assert peak < 12 * MEGABYTE


@pytest.mark.parametrize("horizon", [0, -5, np.nan, np.inf])
def test_a_comparison_over_no_positive_number_of_days_is_refused(
    posterior: Posterior, customers: pd.DataFrame, horizon: float
) -> None:
    with pytest.raises(InputError, match="horizon must be a positive number of days"):
        posterior.compare_segments(customers.head(5), horizon=horizon)


def test_a_negative_seed_is_refused_by_name(posterior: Posterior, customers: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="seed"):
        posterior.sample_purchases(customers.head(2), HORIZON, seed=-1)


def test_expected_purchases_are_exact_over_decades_of_T(posterior_by_hand: Make) -> None:
    posterior = posterior_by_hand(PooledRule())
    T = np.exp(np.random.default_rng(11).uniform(0, np.log(20_000), 60))
    customers = pd.DataFrame({"frequency": 3, "recency": T / 2, "T": T})
    expected_purchases = METHODS[2]
    expected = directly(posterior, customers, ["all customers"] * 60, expected_purchases, 0.9)
    answers = posterior.expected_purchases(customers, HORIZON)
    np.testing.assert_allclose(figures(answers), expected, rtol=1e-10)

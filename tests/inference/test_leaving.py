"""The log chooses between BG/NBD and MBG/NBD, by likelihoods that are checked by other means."""

import datetime as dt

import ibis
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import beta, gammaln
from scipy.stats import norm

from bayes_clv.data.datasets import load_cdnow
from bayes_clv.data.reading import read_transactions
from bayes_clv.data.rfm import durations, summarise
from bayes_clv.data.transactions import Transactions
from bayes_clv.evaluation.simulate.logs import Scenario, simulate_transactions
from bayes_clv.inference.estimator import HierarchicalBetaGeo
from bayes_clv.inference.landmarks import LandmarkTable
from bayes_clv.inference.leaving import at_mode, choose_dropout, paired_gain
from bayes_clv.models.bgnbd import Dropout, Parameters
from bayes_clv.models.priors import ComponentPrior, Priors
from bayes_clv.posterior.choices import DropoutChoice

BG, MBG = Dropout.AFTER_REPEAT, Dropout.AFTER_ANY
FLAT = Priors(*(ComponentPrior(mean, 1e3) for mean in (0.0, -0.5, -1.0, 1.0)))


def states_of(rows: list[tuple[float, float, float]], each: int = 1) -> ibis.expr.types.Table:
    frame = pd.DataFrame(rows * each, columns=["frequency", "recency", "T"], dtype=float)
    frame = frame.assign(customer_id=np.arange(len(frame)), landmark=dt.date(2024, 1, 1))
    return ibis.memtable(frame)


def table_of(rows: list[tuple[float, float, float]], weights: list[float]) -> LandmarkTable:
    x, t_x, T = np.array(rows, dtype=float).T
    return LandmarkTable(np.full(len(rows), -1), x, t_x, T, np.array(weights, dtype=float))


def published_log_likelihood(
    row: tuple[float, float, float], r: float, alpha: float, a: float, b: float, dropout: Dropout
) -> float:
    """Fader, Hardie & Lee 2005, eq. 6; Batislam et al. 2007: not in log space, term by term."""
    x, t_x, T = row
    n = x + (dropout is MBG)

    alive = beta(a, b + n) / beta(a, b) * (alpha + T) ** -(r + x)
    left = beta(a + 1, b + n - 1) / beta(a, b) * (alpha + t_x) ** -(r + x) if n else 0.0
    return float(np.log(alive + left) + gammaln(r + x) - gammaln(r) + r * np.log(alpha))


ROWS = [(0.0, 0.0, 90.0), (0.0, 0.0, 60.0), (1.0, 20.0, 80.0), (3.0, 75.0, 80.0), (6.0, 40.0, 90.0)]
WEIGHTS = [40.0, 20.0, 10.0, 8.0, 4.0]


@pytest.mark.parametrize("dropout", list(Dropout), ids=str)
def test_the_mode_is_that_of_the_published_likelihood_and_the_priors(dropout: Dropout) -> None:
    table = table_of(ROWS, WEIGHTS)

    def by_row(r: float, alpha: float, a: float, b: float) -> np.ndarray:
        return np.array([published_log_likelihood(row, r, alpha, a, b, dropout) for row in ROWS])

    def of(eta: np.ndarray) -> tuple[float, float, float, float]:
        rate, shape, leaving, total = eta
        share = 1 / (1 + np.exp(-leaving))
        alpha = np.exp(shape - rate) * table.mean_T
        return np.exp(shape), alpha, np.exp(total) * share, np.exp(total) * (1 - share)

    def loss(eta: np.ndarray) -> float:
        prior = norm.logpdf(eta, (0.0, -0.5, -1.0, 1.0), (2.0, 1.0, 1.5, 1.0)).sum()
        return -float(np.dot(WEIGHTS, by_row(*of(eta))) + prior)

    best = minimize(
        loss,
        np.zeros(4),
        method="Nelder-Mead",
        options={"maxiter": 4_000, "xatol": 1e-6, "fatol": 1e-9},
    )
    found = at_mode(table, dropout, Priors())
    expected = np.dot(WEIGHTS, by_row(*of(best.x)))
    assert table.weight @ found.log_likelihood == pytest.approx(expected, abs=1e-3)
    parameters = (getattr(found.parameters, name)[0] for name in ("r", "alpha", "a", "b"))
    np.testing.assert_allclose(found.log_likelihood, by_row(*parameters), rtol=1e-9)


def test_the_published_log_likelihood_of_the_cdnow_sample_is_found() -> None:
    """−9,582.4 with durations in weeks (Fader, Hardie & Lee 2005, table 2)."""
    rows = load_cdnow(sample=True).table.to_pandas()
    log = read_transactions(rows, end="1997-09-30", keep_zero_amounts=True)
    states = durations(summarise(log, [log.end]))
    found = choose_dropout(states, FLAT)
    repeat_purchases = states.frequency.sum().execute()
    assert found.after_repeat is not None
    in_weeks = found.after_repeat + repeat_purchases * np.log(7)
    assert in_weeks == pytest.approx(-9_582.4, abs=0.1)


def simulated(dropout: Dropout, n: int, seed: int) -> Transactions:
    scenario = Scenario(
        Parameters(*map(np.float64, (0.6, 25.0, 0.7, 1.2))),
        dt.date(2024, 1, 1),
        dt.date(2024, 12, 31),
        dropout=dropout,
    )
    return read_transactions(simulate_transactions(scenario, n, seed=seed).log)


@pytest.mark.parametrize("dropout", list(Dropout), ids=str)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_rule_that_customers_followed_is_chosen(dropout: Dropout, seed: int) -> None:
    log = simulated(dropout, 8_000, seed)
    states = durations(summarise(log, [log.end]))
    found = choose_dropout(states, Priors())
    assert found.chosen is dropout
    assert not found.tied, "so many customers decide it clearly"


def test_a_tie_goes_to_bgnbd() -> None:
    few = states_of([(0.0, 0.0, 90.0), (1.0, 20.0, 80.0), (3.0, 75.0, 80.0)], each=4)
    found = choose_dropout(few, Priors())
    assert found.chosen is BG
    assert found.tied
    assert found.words.endswith("too close to decide")


def test_where_nobody_leaves_the_optimum_at_the_boundary_is_a_tie() -> None:
    """Everybody bought every ten days until the end: a → 0 in both models."""
    regular = states_of([(30.0, 300.0, 300.0), (20.0, 200.0, 200.0), (9.0, 90.0, 99.0)], each=200)
    for priors in (Priors(), FLAT):
        found = choose_dropout(regular, priors)
        assert found.chosen is BG
        assert found.after_repeat == pytest.approx(found.after_any, abs=1)


def test_a_model_that_cannot_be_computed_leaves_bgnbd() -> None:
    """Such priors overflow; the fit itself will say so."""
    table = states_of(ROWS)
    extreme = Priors(rate=ComponentPrior(1e4, 1e-3))
    found = choose_dropout(table, extreme)
    assert (found.chosen, found.error) == (BG, None)
    assert "cannot be computed" in found.words


def test_the_error_is_that_of_a_sum_over_paired_customers() -> None:
    rng = np.random.default_rng(5)
    before, after = rng.normal(size=(2, 400))
    weight = rng.integers(1, 5, size=400).astype(float)
    customers = np.repeat(after - before, weight.astype(int))
    n = len(customers)
    sums = [rng.choice(customers, n).sum() for _ in range(4_000)]  # the bootstrap
    gain, error = paired_gain(before, after, weight)
    assert gain == pytest.approx(customers.sum())
    assert error == pytest.approx(np.std(sums), rel=0.06)


@pytest.mark.parametrize("segmenter", [None, "rfm"], ids=str)
def test_the_choice_is_that_of_all_customers_whatever_the_segments(segmenter: str | None) -> None:
    log = load_cdnow()
    prepared = HierarchicalBetaGeo(segmenter).prepare(log)  # type: ignore[arg-type]
    states = durations(summarise(log, [log.end]))
    assert prepared.dropout == choose_dropout(states, Priors())
    assert prepared.dropout.chosen is MBG


def test_an_explicit_rule_stays_and_is_recorded_as_asked_for() -> None:
    log = load_cdnow(sample=True)
    for dropout in Dropout:
        prepared = HierarchicalBetaGeo(None, dropout=dropout).prepare(log)
        assert prepared.dropout == DropoutChoice(dropout.value, dropout)
        assert prepared.dropout.words.endswith("as asked for")

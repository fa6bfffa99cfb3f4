"""Segments fitted alone, and what ArviZ needs to tell whether the answers hang on the priors."""

from dataclasses import replace

import arviz as az
import numpy as np
import pytest
from scipy import stats

from bayes_clv.data.ledger import Ledger
from bayes_clv.evaluation.sensitivity import with_log_densities
from bayes_clv.evaluation.unpooled import fit_alone
from bayes_clv.inference.fitting import fit_table
from bayes_clv.inference.sampling import SamplerSettings
from bayes_clv.models.bgnbd import Dropout, Parameters, log_likelihood
from bayes_clv.posterior.posterior import Posterior
from bayes_clv.segments.rules import ColumnRule
from tests.inference import hierarchy
from tests.inference.hierarchy import SEGMENTS, from_eta, real_looking_table

# Segments differ so little beforehand that one of seven rows has to borrow.
PRIORS = replace(
    hierarchy.PRIORS,
    shape=replace(hierarchy.PRIORS.shape, between=0.5),
    concentration=replace(hierarchy.PRIORS.concentration, between=0.5),
)
SETTINGS = SamplerSettings()


@pytest.fixture(scope="module")
def table():
    return real_looking_table(seed=8)  # 156, 81 and 7 rows


@pytest.fixture(scope="module")
def posterior(table, posterior_by_hand) -> Posterior:
    fitted = fit_table(table, SEGMENTS, SETTINGS, priors=PRIORS)
    made = posterior_by_hand(ColumnRule(SEGMENTS))
    record = replace(made.record, priors=PRIORS, ledger=Ledger(1))
    return replace(made, tree=fitted.tree, record=record, diagnostics=fitted.diagnostics)


def test_a_segment_alone_is_the_pooled_model_of_its_rows(table):
    alone = fit_alone(table, SEGMENTS, SETTINGS)
    own = table.segment == 0
    rows = replace(
        table, **{name: getattr(table, name)[own] for name in table.__dataclass_fields__}
    )
    pooled = fit_table(rows, ("it",), SETTINGS, time_unit=table.mean_T)
    draws = pooled.tree["posterior"]["r_population"].to_numpy().ravel()
    assert alone.r.shape == (3, 4000)
    np.testing.assert_array_equal(alone.r[0], draws)


def test_segments_with_few_rows_are_drawn_together_and_the_others_stay(table, posterior):
    alone, pooled = fit_alone(table, SEGMENTS, SETTINGS, priors=PRIORS), posterior.parameters

    width_alone, width = np.log(alone.r).std(axis=1), np.log(pooled.r[:3]).std(axis=1)
    assert width[2] < 0.8 * width_alone[2]  # seven rows: it borrows
    assert width[0] == pytest.approx(width_alone[0], rel=0.2)  # 156 rows: it need not
    mean_alone, mean = np.log(alone.r).mean(axis=1), np.log(pooled.r[:3]).mean(axis=1)
    moved = np.abs(mean - mean_alone)
    assert moved[2] > moved[0]
    assert mean[2] < mean_alone[2]  # towards the population, whose shape is smaller


def test_a_segment_that_nobody_was_followed_from_has_no_number(table):
    alone = fit_alone(table, (*SEGMENTS, "empty"), SamplerSettings(draws=10, tune=50))
    assert np.isnan(alone.r[3]).all()
    assert np.isfinite(alone.r[:3]).all()


def test_log_densities_are_those_of_the_model(table, posterior):
    tree = with_log_densities(posterior, table, draws=40)
    draws = posterior.tree["posterior"].to_dataset().isel(draw=slice(None, None, 100))
    assert tree["posterior"].sizes["chain"] * tree["posterior"].sizes["draw"] == 40
    for chain, draw in ((0, 0), (3, 7)):
        one = draws.isel(chain=chain, draw=draw)
        mu, tau, z = (one[name].to_numpy() for name in ("mu", "tau", "z"))
        eta = np.vstack([mu + tau * z, mu])
        r, alpha, a, b = from_eta(eta)
        of_row = Parameters(*(it[table.segment] for it in (r, alpha * table.mean_T, a, b)))
        value = log_likelihood(
            of_row, table.frequency, table.recency, table.T, Dropout.AFTER_REPEAT
        )
        # The model counts in units of the mean T.
        value += table.frequency * np.log(table.mean_T)
        told = tree["log_likelihood"]["landmarks"].isel(chain=chain, draw=draw)
        assert float(told) == pytest.approx(float(table.weight @ value))
        prior = tree["log_prior"].to_dataset().isel(chain=chain, draw=draw)
        expected = stats.norm(PRIORS.column("mean"), PRIORS.column("sd")).logpdf(mu)
        np.testing.assert_allclose(prior["mu"], expected)
        half = stats.halfnorm(scale=PRIORS.column("between")).logpdf(tau)
        np.testing.assert_allclose(prior["tau"], half)


def test_arviz_summarises_what_hangs_on_the_prior(table, posterior):
    summary = az.psense_summary(with_log_densities(posterior, table))
    assert {"mu[rate]", "tau[rate]"} <= set(summary.index)
    likelihood, prior = (summary[name].astype(float) for name in ("likelihood", "prior"))
    assert likelihood["mu[shape]"] > prior["mu[shape]"]
    assert prior.loc[[f"tau[{it}]" for it in ("rate", "shape")]].max() > 0.01

"""The coordinates of the density with reactivation: the middle, what follows what, from draws."""

import numpy as np
import pytest

from bayes_clv.errors import InputError
from bayes_clv.inference.fitting import fit_table
from bayes_clv.inference.purchases.layout import LikelihoodLayout
from bayes_clv.inference.purchases.model import build_model
from bayes_clv.inference.purchases.reactivating import ReactivatingDensity
from bayes_clv.inference.purchases.stretch_layout import StretchLayout
from bayes_clv.inference.sampling import SamplerSettings, check_density
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.models.hyperparameters import components_of, reactivation_at
from bayes_clv.posterior.draws import reactivation_of
from tests.inference.hierarchy import (
    PRIORS,
    REACTIVATION_PRIORS,
    SEGMENTS,
    real_looking_stretches,
    real_looking_table,
)

UNIT = 200.0
STRETCHES = real_looking_stretches()


def density_of(dropout: Dropout) -> ReactivatingDensity:
    layout = LikelihoodLayout.of(STRETCHES.first, len(SEGMENTS), UNIT, dropout)
    after = StretchLayout.of(STRETCHES, UNIT, dropout)
    return ReactivatingDensity(layout, after, PRIORS, REACTIVATION_PRIORS)


@pytest.mark.parametrize("dropout", list(Dropout))
def test_the_middle_is_the_mode_of_v_of_unit_width(dropout: Dropout) -> None:
    density = density_of(dropout)
    middle, step = np.zeros(density.n_dim), 1e-4
    assert np.abs(density(middle)[1][-3:]).max() < 0.15
    curvature = np.array(
        [
            (density(middle - it)[1] - density(middle + it)[1])[-3:] / (2 * step)
            for it in step * np.eye(density.n_dim)[-3:]
        ]
    )
    # Where the likelihood is convex, v is as wide as its prior, which is a little more.
    np.testing.assert_allclose(curvature, np.eye(3), atol=0.4)


def test_in_coordinates_of_draws_it_is_the_same_density_around_them() -> None:
    density = density_of(Dropout.AFTER_ANY)
    x = np.random.default_rng(1).standard_normal((400, density.n_dim))
    at = density.variables(x)
    found = density.in_coordinates_of(at.tau, at.eta, density.scalars_at(at))
    model = build_model(
        STRETCHES.first,
        SEGMENTS,
        PRIORS,
        dropout=Dropout.AFTER_ANY,
        time_unit=UNIT,
        stretches=STRETCHES,
        reactivation=REACTIVATION_PRIORS,
    )
    check_density(model, found)
    middle = found.variables(np.zeros(found.n_dim))
    np.testing.assert_allclose(middle.beside, at.beside.mean(axis=0), rtol=1e-9)
    ahead = found.variables(np.append(np.zeros(found.n_dim - 3), [1.0, 0.0, 0.0]))
    spread = at.beside[:, 0].std(ddof=1)
    assert ahead.beside[0] - middle.beside[0] == pytest.approx(spread, rel=1e-6)


def test_components_and_variables_are_inverses() -> None:
    v = np.random.default_rng(2).normal([[-4.0], [0.0], [-0.5]], 2.0, (3, 50))
    np.testing.assert_allclose(components_of(reactivation_at(v, 77.0), 77.0), v, atol=1e-9)


def test_a_fit_draws_reactivation_and_a_pooled_one_is_refused() -> None:
    settings = SamplerSettings(draws=50, tune=100, chains=2, seed=1)
    table = real_looking_table()
    fitted = fit_table(table, SEGMENTS, settings, stretches=STRETCHES, priors=PRIORS)
    back = reactivation_of(fitted.tree)
    assert back is not None
    assert back.probability.shape == (100,)
    assert set(fitted.tree["posterior"].coords) == {"chain", "draw", "component", "segment"}
    with pytest.raises(InputError, match="reactivation needs two segments or more"):
        fit_table(table, ("all",), settings, stretches=STRETCHES)

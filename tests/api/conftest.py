import datetime as dt

import numpy as np
import pytest
import xarray as xr

from api import create_app
from bayes_clv.data.ledger import Ledger
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.models.priors import Priors
from bayes_clv.posterior.diagnostics import Diagnostics
from bayes_clv.posterior.fit_record import FitRecord
from bayes_clv.posterior.posterior import Posterior
from bayes_clv.segments.rules import KMeansRule

CDNOW = {"r": 0.243, "alpha": 4.414 * 7, "a": 0.793, "b": 2.426}  # Fader, Hardie & Lee 2005, days


def posterior_of(chains: int = 2, draws: int = 100, complaints: tuple[str, ...] = ()) -> Posterior:
    """A posterior made by hand round the published CDNOW values; no sampling."""
    rng = np.random.default_rng(4414)
    variables = {}
    for name, centre in CDNOW.items():
        values = centre * np.exp(rng.normal(0, 0.1, size=(chains, draws, 3)))
        variables[name] = (("chain", "draw", "segment"), values[..., :2])
        variables[f"{name}_population"] = (("chain", "draw"), values[..., 2])
    names = ("regulars", "passers-by · été")
    rule = KMeansRule(
        names=names,
        features=("frequency",),
        location=(0.0,),
        scale=(1.0,),
        centroids=((2.5,), (0.2,)),
    )
    record = FitRecord(
        source="made by hand",
        start=dt.date(1997, 1, 1),
        end=dt.date(1998, 6, 30),
        landmarks=(dt.date(1998, 6, 30),),
        ledger=Ledger(rows_in=10, rejected=()),
        n_customers=4,
        n_rows=4,
        priors=Priors(),
        draws=draws,
        tune=0,
        chains=chains,
        seed=0,
        seconds=0.0,
        versions={},
    )
    return Posterior(
        tree=xr.DataTree.from_dict(
            {"posterior": xr.Dataset(variables, coords={"segment": list(names)})}
        ),
        rule=rule,
        dropout=Dropout.AFTER_REPEAT,
        record=record,
        diagnostics=Diagnostics(1.0, 1e3, 1e3, 0, 1.0, complaints),
    )


@pytest.fixture(scope="session")
def make_posterior():
    return posterior_of


@pytest.fixture(scope="session")
def posterior():
    return posterior_of()


@pytest.fixture(scope="session")
def model(posterior, tmp_path_factory):
    """The path of a saved model."""
    path = tmp_path_factory.mktemp("models") / "tiny.clv"
    posterior.save(path)
    return path


@pytest.fixture(scope="session")
def app(model):
    return create_app(model=model)


@pytest.fixture
def client(app):
    return app.test_client()

"""What the service must survive: models to serve, sizes, and figures for docs/service.md.

The tests run with a part of the sizes that are demanded; BAYES_CLV_SOAK, which `make soak` sets to
the file to write the figures to, makes them run in full.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bayes_clv.posterior.posterior import Posterior
from tests.service import report

SOAK = os.environ.get("BAYES_CLV_SOAK")


@pytest.fixture(scope="session")
def size() -> Callable[[int, int], int]:
    """Choose between a number that is small enough for every day, and the number demanded."""
    return lambda small, demanded: demanded if SOAK else small


@pytest.fixture(scope="session")
def figures() -> Iterator[dict[str, str]]:
    """What was measured, by the row of `report.ROWS`."""
    measured: dict[str, str] = {}
    yield measured
    assert measured.keys() <= report.ROWS.keys()
    if SOAK:
        Path(SOAK).write_text(report.table(measured), encoding="utf-8")


@pytest.fixture(scope="session")
def served(posterior_by_hand, make_customers) -> Posterior:
    """A posterior as large as one that is fitted with the defaults: 4,000 draws."""
    return posterior_by_hand(draws=2000, fitted_to=make_customers(300))


@pytest.fixture(scope="session")
def models(served, posterior_by_hand, make_customers, tmp_path_factory) -> tuple[Path, Path]:
    """Two model files with different draws."""
    folder = tmp_path_factory.mktemp("models")
    served.save(folder / "first.clv")
    second = posterior_by_hand(draws=2000, seed=2, fitted_to=make_customers(300))
    second.save(folder / "second.clv")
    return folder / "first.clv", folder / "second.clv"


@pytest.fixture
def model(models) -> Path:
    return models[0]

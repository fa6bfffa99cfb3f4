"""One more silent day never makes a customer more alive: fits to two logs, a grid of customers."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayes_clv import HierarchicalBetaGeo, RFMSegmenter, Transactions, load_cdnow, read_transactions
from bayes_clv.posterior.posterior import Posterior
from bayes_clv.segments.rules import RFMRule

GIFT_SHOP = Path(__file__).parents[3] / "shared/data/online_retail_II_2009_2010.parquet"
DAYS = np.arange(366.0)


def a_log(name: str) -> Transactions:
    if name == "CDNOW":
        return load_cdnow()
    if not GIFT_SHOP.exists():
        pytest.skip("the gift shop's log is not in the project")
    return read_transactions(GIFT_SHOP)


@pytest.fixture(scope="module", params=["CDNOW", "gift shop"])
def posterior(request: pytest.FixtureRequest) -> Posterior:
    """A hundred draws a chain are enough: the curve of every draw is smooth."""
    return HierarchicalBetaGeo(RFMSegmenter()).fit(a_log(request.param), draws=100)


@pytest.mark.long
def test_silence_never_makes_a_customer_more_alive(posterior: Posterior) -> None:
    rule = posterior.rule
    assert isinstance(rule, RFMRule)
    spends = (np.nan, *(rule.monetary_cuts[k] for k in (1, 3)))
    for x, first_to_last, spend in itertools.product((1, 3, 6, 12, 30), (100, 200, 300), spends):
        silent = pd.DataFrame(
            {
                "frequency": x,
                "recency": float(first_to_last),
                "T": first_to_last + DAYS,
                "monetary_value": spend,
            }
        )
        alive = posterior.probability_alive(silent)["mean"].to_numpy()
        assert np.diff(alive).max() < 0.002, (x, first_to_last, spend)
        assert (alive - np.minimum.accumulate(alive)).max() < 0.005, (x, first_to_last, spend)
        buys = posterior.probability_of_purchase(silent, 90)["mean"].to_numpy()
        assert np.diff(buys).max() < 0.01, (x, first_to_last, spend)

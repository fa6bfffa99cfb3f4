"""Sums over customers that an engine adds in any order."""

import math

import ibis
import numpy as np
import pandas as pd
import pytest

from bayes_clv.posterior.log_states import _exact_sum


@pytest.mark.parametrize("most", [0.0, 1e-310, 1e-6, 1.0, 40.0, 1e9, 1e300])
def test_a_sum_is_the_same_in_any_order(most: float) -> None:
    rng = np.random.default_rng(1)
    values = most * rng.random(2000) ** 3
    sums = set()
    for _ in range(5):
        table = ibis.memtable(pd.DataFrame({"x": rng.permutation(values)}))
        sums.add(table.aggregate(sum=_exact_sum(table.x, most)).to_pandas()["sum"][0])
    assert len(sums) == 1
    (found,) = sums
    assert found == pytest.approx(math.fsum(values), rel=1e-9, abs=1e-250)


def test_only_those_asked_for_are_added() -> None:
    table = ibis.memtable(pd.DataFrame({"x": [1.0, 2.0, 4.0], "key": [0, 0, 1]}))
    some = table.aggregate(
        some=_exact_sum(table.x, 4.0, table.key == 0), none=_exact_sum(table.x, 4.0, table.key > 1)
    ).to_pandas()
    assert (some["some"][0], some["none"][0]) == (3.0, 0.0)

"""The same code, whether just compiled or read from disk: equal fits have equal digits."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import numpy as np
from bayes_clv.models.bgnbd import Dropout
from tests.inference.purchases.test_reactivating import density_of

density = density_of(Dropout.AFTER_ANY)
at = np.random.default_rng(0).standard_normal((50, density.n_dim))
for x in at:
    value, slope = density(x)
    print(value.hex(), *(each.hex() for each in slope.tolist()))
"""


@pytest.mark.long  # compiles for half a minute
def test_compiled_and_cached_code_gives_the_same_digits(tmp_path) -> None:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    compiled, *cached = (
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for _ in range(3)
    )
    assert len(compiled.splitlines()) == 50
    assert cached == [compiled, compiled]

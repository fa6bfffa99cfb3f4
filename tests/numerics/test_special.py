"""exp, log and ln Γ against arithmetic of many digits; what is compiled is kept, not for ever."""

import os
import subprocess
import sys
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
from scipy.special import digamma, gammaln

from bayes_clv.numerics.special import (
    exp_non_positive,
    log_gamma_and_digamma,
    log_positive,
    log_rise,
    log_rise_in_steps,
)

ROOT = Path(__file__).parents[2]

LAST_PLACE = 2.0**-52


def test_exp_is_right_to_two_units_in_the_last_place() -> None:
    rng = np.random.default_rng(1)
    x = np.concatenate([-np.exp(rng.uniform(-40, np.log(700), 4000)), [0.0, -1.0, -700.0]])
    with mp.workdps(40):
        errors = [abs(exp_non_positive(v) / mp.exp(mp.mpf(v)) - 1) for v in x.tolist()]
    assert max(errors) < 3 * LAST_PLACE
    assert exp_non_positive(0.0) == 1.0


@pytest.mark.parametrize("x", [-701.0, -1e6, -1e300, -np.inf])
def test_exp_of_less_than_minus_700_is_as_good_as_nothing(x: float) -> None:
    assert 0 < exp_non_positive(x) < 1e-303


def test_log_is_right_to_two_units_in_the_last_place() -> None:
    rng = np.random.default_rng(2)
    x = np.concatenate(
        [
            np.exp(rng.uniform(-700, 700, 2000)),
            np.exp(rng.uniform(-1, 1, 2000)),
            1 + rng.uniform(-1e-6, 1e-6, 500),
            np.sqrt([0.5, 2.0]) * (1 + np.array([[-1e-15], [0], [1e-15]])).ravel()[0],
        ]
    )
    with mp.workdps(40):
        errors = [abs(log_positive(v) / mp.log(mp.mpf(v)) - 1) for v in x.tolist() if v != 1]
    assert max(errors) < 3 * LAST_PLACE
    assert log_positive(1.0) == 0.0


def test_both_are_the_inverse_of_each_other_where_the_kernel_uses_them() -> None:
    for x in np.linspace(-30, 0, 301).tolist():
        assert log_positive(exp_non_positive(x)) == pytest.approx(x, rel=1e-15, abs=1e-15)


def test_log_gamma_and_digamma_equal_scipys() -> None:
    x = np.concatenate(
        [np.geomspace(1e-6, 1e8, 4001), np.linspace(9, 11, 201), np.linspace(1.4, 1.5, 101)]
    )
    log_gamma, psi = np.array([log_gamma_and_digamma(value) for value in x]).T
    # Absolute near the roots, where the recurrence cancels.
    np.testing.assert_allclose(log_gamma, gammaln(x), rtol=2e-14, atol=2e-14)
    np.testing.assert_allclose(psi, digamma(x), rtol=2e-14, atol=1e-14)
    assert log_gamma_and_digamma(1.0)[1] == pytest.approx(-np.euler_gamma, rel=1e-14)


def test_rises_of_log_gamma_have_all_digits_where_the_terms_would_cancel() -> None:
    rng = np.random.default_rng(3)
    some = np.exp(rng.uniform(-12, 45, 400)).tolist()
    for z in (*some, 9.999999, 10.0, 10.000001, 1e24, 2e24):
        for n in (0.0, 1.0, 12.0, 13.0, 400.0, 1e7, float(rng.uniform(0, 30))):
            seen = log_rise(z, n)
            with mp.workdps(60):
                at, y = mp.mpf(z), mp.mpf(z) + mp.mpf(n)
                expected = (
                    mp.loggamma(y) - mp.loggamma(at),
                    mp.digamma(y) - mp.digamma(at),
                    mp.digamma(y),
                )
            for value, exact in zip(seen, expected, strict=True):
                assert value == pytest.approx(float(exact), rel=4e-14, abs=1e-14), (z, n)
            if n == int(n):
                rise, by_z = log_rise_in_steps(z, n)
                assert rise == pytest.approx(float(expected[0]), rel=4e-14, abs=1e-14), (z, n)
                assert by_z == pytest.approx(float(expected[1]), rel=4e-14, abs=1e-14 / z), (z, n)


ABOVE = """
from {package}.below import CONSTANT, Pair, twice
from bayes_clv.numerics.jit import compiled

@compiled
def answer(pair):
    return twice(pair.first) + CONSTANT
"""
BELOW = """
from typing import NamedTuple
from bayes_clv.numerics.jit import compiled

CONSTANT = {constant}

class Pair(NamedTuple):
    {fields}

@compiled
def twice(x):
    return {times} * x
"""
ASK = """
from {package}.above import answer
from {package}.below import {pair}
print(answer({pair}(first=3.0, second=4.0)), sum(answer.stats.cache_hits.values()))
"""


def test_what_is_compiled_and_kept_notices_a_change_of_the_modules_it_was_made_from(
    tmp_path: Path,
) -> None:
    package = tmp_path / "made_for_a_test"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "above.py").write_text(ABOVE.format(package=package.name))

    def ask(constant: float = 1.0, times: float = 2.0, fields: str = "first second") -> list[float]:
        lines = "\n    ".join(f"{name}: float" for name in fields.split())
        below = BELOW.format(constant=constant, times=times, fields=lines)
        (package / "below.py").write_text(below)
        return asked("Pair")

    def asked(pair: str) -> list[float]:
        done = subprocess.run(
            [sys.executable, "-B", "-c", ASK.format(package=package.name, pair=pair)],
            env=os.environ
            | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "NUMBA_CACHE_DIR": str(tmp_path)},
            check=True,
            capture_output=True,
            text=True,
        )
        return [float(it) for it in done.stdout.split()]

    assert ask() == [7.0, 0], "compiled"
    assert ask() == [7.0, 1], "kept"
    assert ask(constant=10.0) == [16.0, 0]
    assert ask(times=5.0) == [16.0, 0]
    assert ask(fields="second first") == [7.0, 0]
    below = (package / "below.py").read_text()
    (package / "below.py").write_text(below.replace("Pair", "Couple"))
    above = (package / "above.py").read_text()
    (package / "above.py").write_text(above.replace("Pair", "Couple"))
    assert asked("Couple") == [7.0, 0], "what is kept names a type that is gone"

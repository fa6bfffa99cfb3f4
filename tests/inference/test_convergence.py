"""The verdict on simulated chains: good ones pass, and each defect is named for what it is."""

import re
from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import pytest
import xarray as xr
from scipy.signal import lfilter

from bayes_clv.inference.convergence import diagnose
from bayes_clv.posterior.diagnostics import MAX_R_HAT, MIN_E_BFMI, MIN_ESS, Diagnostics

CHAINS, DRAWS = 4, 1000
SHAPE = (CHAINS, DRAWS)
KINDS = {
    "R-hat": "r_hat",
    "bulk ESS": "ess_bulk",
    "tail ESS": "ess_tail",
    "divergent": "divergences",
    "E-BFMI": "e_bfmi",
}

type Floats = np.ndarray


def autoregressive(rng: np.random.Generator, correlation: float, shape: tuple[int, ...]) -> Floats:
    """Stationary AR(1) chains along the last axis, with unit variance."""
    noise = rng.normal(size=(*shape[:-1], shape[-1] + 500)) * np.sqrt(1 - correlation**2)
    return lfilter([1], [1, -correlation], noise)[..., 500:]


def chains(seed: int = 0) -> xr.DataTree:
    """Independent draws of three variables, one by segment; the sampler had nothing to tell."""
    rng = np.random.default_rng(seed)
    posterior = {
        "r": (("chain", "draw", "segment"), np.exp(rng.normal(size=(*SHAPE, 3)))),
        "r_population": (("chain", "draw"), np.exp(rng.normal(size=SHAPE))),
        "mu": (("chain", "draw", "component"), rng.normal(size=(*SHAPE, 4))),
    }
    stats = {
        "energy": (("chain", "draw"), rng.normal(size=SHAPE)),
        "diverging": (("chain", "draw"), np.zeros(SHAPE, dtype=bool)),
    }
    return xr.DataTree.from_dict(
        {"posterior": xr.Dataset(posterior), "sample_stats": xr.Dataset(stats)}
    )


def complained(diagnostics: Diagnostics) -> set[str]:
    """The kinds of the complaints, each of which must be one of the five."""
    kinds = [next(k for k in KINDS if k in words) for words in diagnostics.complaints]
    assert len(set(kinds)) == len(kinds)
    return set(kinds)


@pytest.mark.parametrize("seed", range(3))
def test_good_chains_are_sound(seed: int) -> None:
    verdict = diagnose(chains(seed))
    assert verdict.complaints == ()
    assert verdict.sound
    assert 0.99 < verdict.r_hat < MAX_R_HAT
    assert 2000 < verdict.ess_bulk < 6000  # of 4,000 independent draws
    assert 2000 < verdict.ess_tail < 6000
    assert verdict.divergences == 0
    assert 1 < verdict.e_bfmi < 3  # 2 for independent energies
    assert all(type(value) in (int, float, tuple) for value in asdict(verdict).values())


def test_a_chain_elsewhere_is_told_by_r_hat_and_by_what_follows_from_it() -> None:
    tree = chains()
    tree["posterior"]["r_population"][2] += 5
    verdict = diagnose(tree)
    assert not verdict.sound
    assert verdict.r_hat > 1.2
    # Chains that disagree hold few effective draws of their common mean, too.
    assert {"R-hat"} <= complained(verdict) <= {"R-hat", "bulk ESS", "tail ESS"}


def test_one_component_of_one_variable_is_enough_to_be_unsound() -> None:
    tree = chains()
    tree["posterior"]["mu"][1, :, 3] += 5
    assert "R-hat" in complained(diagnose(tree))


def test_chains_of_one_mean_and_different_spread_are_told_by_r_hat() -> None:
    tree = chains()
    tree["posterior"]["mu"][0, :, 0] *= 5
    verdict = diagnose(tree)
    assert verdict.r_hat > 1.05, "the rank-normalised, folded R-hat sees spread"
    assert {"R-hat"} <= complained(verdict) <= {"R-hat", "tail ESS"}


def test_chains_that_creep_are_told_by_their_effective_sample_size() -> None:
    tree = chains()
    creeping = autoregressive(np.random.default_rng(1), 0.9, SHAPE)
    tree["posterior"]["r_population"].values[:] = creeping
    verdict = diagnose(tree)
    assert not verdict.sound
    expected = CHAINS * DRAWS * (1 - 0.9) / (1 + 0.9)  # 211, of an AR(1) chain
    assert verdict.ess_bulk == pytest.approx(expected, rel=0.35)
    assert {"bulk ESS"} <= complained(verdict) <= {"R-hat", "bulk ESS", "tail ESS"}


def test_tails_that_are_seldom_visited_are_told_by_the_tail_effective_sample_size() -> None:
    rng = np.random.default_rng(2)
    scale = np.exp(autoregressive(rng, 0.98, SHAPE))  # quiet and wild spells, always round zero
    tree = chains()
    tree["posterior"]["r_population"].values[:] = scale * rng.normal(size=SHAPE)
    verdict = diagnose(tree)
    assert verdict.ess_bulk > MIN_ESS > verdict.ess_tail
    assert {"tail ESS"} <= complained(verdict) <= {"R-hat", "tail ESS"}


@pytest.mark.parametrize("number", [1, 17])
def test_divergent_transitions_are_counted_and_nothing_else_is_said(number: int) -> None:
    tree = chains()
    places = np.random.default_rng(3).choice(CHAINS * DRAWS, size=number, replace=False)
    tree["sample_stats"]["diverging"].values.ravel()[places] = True
    verdict = diagnose(tree)
    assert verdict.divergences == number
    assert verdict.complaints == (f"{number} divergent transitions, there must be none",)


@pytest.mark.parametrize(("number", "remarks"), [(0, 0), (1, 1), (4, 1), (5, 0)])
def test_few_divergences_are_a_remark_where_sampling_was_as_careful_as_it_gets(
    number: int, remarks: int
) -> None:
    tree = chains()
    tree["sample_stats"]["diverging"].values[1, :number] = True
    verdict = diagnose(tree, most_careful=True)
    assert verdict.divergences == number
    assert verdict.sound == (number <= 4), "1 in 1,000 of 4,000"
    assert len(verdict.remarks) == remarks
    if remarks:
        assert verdict.remarks[0].startswith(f"{number} of 4,000 transitions diverged")
        assert verdict.verdict == f"sound, with a remark: {verdict.remarks[0]}"
        assert not diagnose(tree).sound, "smaller steps may end them"


def test_a_remark_excuses_nothing_else() -> None:
    tree = chains()
    tree["sample_stats"]["diverging"].values[1, 7] = True
    tree["posterior"]["r_population"][2] += 5
    verdict = diagnose(tree, most_careful=True)
    assert not verdict.sound
    assert complained(verdict) <= {"R-hat", "bulk ESS", "tail ESS"}
    assert verdict.verdict.startswith("NOT SOUND, do not use: R-hat")


def test_an_energy_that_creeps_is_told_by_e_bfmi_and_nothing_else_is_said() -> None:
    tree = chains()
    energy = autoregressive(np.random.default_rng(4), 0.95, (DRAWS,))
    tree["sample_stats"]["energy"].values[3] = energy  # one chain of four
    verdict = diagnose(tree)
    by_hand = np.mean(np.diff(energy) ** 2) / np.var(energy)  # Betancourt 2016
    assert verdict.e_bfmi == pytest.approx(by_hand, rel=0.01)
    assert verdict.e_bfmi < MIN_E_BFMI
    assert complained(verdict) == {"E-BFMI"}


def spoil_with_a_constant(tree: xr.DataTree) -> None:
    tree["posterior"]["mu"].values[..., 0] = 1.0


def spoil_with_a_gap(tree: xr.DataTree) -> None:
    tree["posterior"]["mu"].values[0, 0, 0] = np.nan


def spoil_with_infinity(tree: xr.DataTree) -> None:
    tree["posterior"]["mu"].values[0, 0, 0] = np.inf


def spoil_the_energy(tree: xr.DataTree) -> None:
    tree["sample_stats"]["energy"].values[:] = 3.0


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_with_a_constant,
        spoil_with_a_gap,
        spoil_with_infinity,
        spoil_the_energy,
    ],
    ids=lambda spoil: spoil.__name__.replace("_", " "),
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_cannot_be_diagnosed_is_not_sound(spoil: Callable[[xr.DataTree], None]) -> None:
    tree = chains()
    assert diagnose(tree).sound
    spoil(tree)
    verdict = diagnose(tree)
    assert not verdict.sound
    assert any("nan" in words for words in verdict.complaints)


def test_a_single_chain_cannot_vouch_for_itself() -> None:
    tree = chains()
    alone = {name: tree[name].to_dataset().isel(chain=[0]) for name in tree.children}
    verdict = diagnose(xr.DataTree.from_dict(alone))
    assert np.isnan(verdict.r_hat)
    assert complained(verdict) == {"R-hat"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_complaint_gives_the_figure_and_the_rule(kind: str) -> None:
    tree = chains()
    tree["posterior"]["r_population"].values[:] = autoregressive(
        np.random.default_rng(6), 0.995, SHAPE
    )
    tree["sample_stats"]["energy"].values[:] = autoregressive(np.random.default_rng(7), 0.99, SHAPE)
    tree["sample_stats"]["diverging"].values[0, :5] = True
    verdict = diagnose(tree)
    assert len(verdict.complaints) == len(KINDS), "all rules are broken"
    words = next(words for words in verdict.complaints if kind in words)
    assert float(re.findall(r"\d+\.?\d*", words)[0]) == pytest.approx(
        getattr(verdict, KINDS[kind]), abs=0.5 if "ESS" in kind else 0.005
    )
    assert "must be" in words
    assert "\n" not in words


def test_a_verdict_is_sound_just_when_it_holds_no_complaint() -> None:
    verdict = Diagnostics(1.0, 500.0, 500.0, 0, 1.0, ())
    assert verdict.sound
    assert not replace(verdict, complaints=("bulk ESS is 3",)).sound

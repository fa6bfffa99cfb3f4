"""One replicate: simulate a dataset, fit it, and rank the true values among the posterior draws.

A replicate runs all the steps of a user's fit, from states through the landmark table to the
answers of :class:`bayes_clv.posterior.posterior.Posterior`. No dataset is left out because of its
data: one without a repeat purchase is a replicate, too.
"""

import datetime as dt
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_clv.data.ledger import Ledger
from bayes_clv.evaluation.sbc.design import LEVELS, Design
from bayes_clv.evaluation.sbc.simulated_data import SimulatedDataset, simulate_dataset
from bayes_clv.inference.fitting import Fitted, fit_table
from bayes_clv.inference.landmarks import LandmarkTable
from bayes_clv.inference.sampling import SamplerSettings
from bayes_clv.inference.stretches import StretchTable
from bayes_clv.models import bgnbd, reactivation
from bayes_clv.models.bgnbd import Dropout, Parameters
from bayes_clv.models.hyperparameters import Hyperparameters
from bayes_clv.models.priors import COMPONENTS, Priors, ReactivationPriors
from bayes_clv.models.reactivation import Reactivation
from bayes_clv.posterior.diagnostics import Diagnostics
from bayes_clv.posterior.draws import PARAMETERS, REACTIVATION, reactivation_of
from bayes_clv.posterior.fit_record import FitRecord
from bayes_clv.posterior.posterior import Posterior

type Floats = NDArray[np.float64]

OUTCOME = "purchases"
_DAY_0 = dt.date(2000, 1, 1)


class Fit(Protocol):
    """The function under test: ``inference.fitting.fit_table``, or one with the same purpose."""

    def __call__(
        self,
        table: LandmarkTable,
        segment_names: tuple[str, ...],
        settings: SamplerSettings,
        *,
        priors: Priors,
        dropout: Dropout,
        stretches: StretchTable | None,
        reactivation: ReactivationPriors | None,
    ) -> Fitted:
        """Return draws from the posterior given a landmark table, or stretches."""
        ...


@dataclass(frozen=True, slots=True)
class Replicate:
    """Results of one simulated dataset.

    Attributes
    ----------
    ranks
        Number of the L draws that are below the true value, by quantity; ties are broken at random.
    coverage
        Share of customers whose interval holds the true value, by measure and level; NaN if all
        intervals have width 0.
    diagnostics
        The sampler's diagnostics.
    n_repeats
        Repeat purchases of all customers.
    seconds
        Wall time of the fit.
    """

    ranks: Mapping[str, int]
    coverage: Mapping[tuple[str, float], float]
    diagnostics: Diagnostics
    n_repeats: int
    seconds: float


@dataclass(frozen=True, slots=True)
class FailedReplicate:
    """A simulated dataset whose fit raised an error: a fault of the package, which is reported.

    Attributes
    ----------
    number
        Number of the replicate.
    reason
        Message of the error.
    n_repeats
        Repeat purchases of all customers.
    """

    number: int
    reason: str
    n_repeats: int


def run_replicate(
    design: Design, seed: int, number: int, fit: Fit = fit_table
) -> Replicate | FailedReplicate:
    """Run replicate `number` of a study; the same seed and number give the same result.

    Raises
    ------
    RuntimeError
        If a ranked quantity is not finite.
    """
    rng = np.random.default_rng([seed, number])
    dataset = simulate_dataset(design, rng)
    n_repeats = int(dataset.states.frequency.sum())
    settings = replace(design.sampler, seed=int(rng.integers(2**31)))
    began = time.perf_counter()
    try:
        fitted = fit(
            dataset.table,
            design.rule.names,
            settings,
            priors=design.priors,
            dropout=design.dropout,
            stretches=dataset.stretches,
            reactivation=design.reactivation,
        )
    except (RuntimeError, np.linalg.LinAlgError) as error:
        return FailedReplicate(number, str(error), n_repeats)
    seconds = time.perf_counter() - began
    posterior = _posterior(design, dataset, fitted, seconds)
    draws = _spread_evenly(design, posterior)
    return Replicate(
        ranks=_ranks(
            rng, quantities(design, dataset, dataset.truth), quantities(design, dataset, draws)
        ),
        coverage=_coverage(design, dataset, posterior)
        | _outcome_coverage(rng, design, dataset, draws),
        diagnostics=fitted.diagnostics,
        n_repeats=n_repeats,
        seconds=seconds,
    )


def quantities(design: Design, dataset: SimulatedDataset, at: Hyperparameters) -> dict[str, Floats]:
    """Return all quantities that are ranked, each ``(sample,)``.

    They include functions of parameters and data. Without these, a fit that ignores the data would
    pass the test (Modrák et al. 2023, Bayesian Analysis 18(3)).
    """
    segments = () if design.is_pooled else design.rule.names
    sources = {f"{name}, population": (name, -1) for name in PARAMETERS} | {
        f"{name}, {segment}": (name, code)
        for code, segment in enumerate(segments)
        for name in PARAMETERS
    }
    values = {label: getattr(at.parameters, name)[code] for label, (name, code) in sources.items()}
    values |= {f"mu, {name}": row for name, row in zip(COMPONENTS, at.mu, strict=True)}
    if at.tau is not None:
        values |= {f"tau, {name}": row for name, row in zip(COMPONENTS, at.tau, strict=True)}
    if at.reactivation is not None:
        of_draws = (at.reactivation.probability, at.reactivation.r, at.reactivation.alpha)
        values |= dict(zip(REACTIVATION, of_draws, strict=True))
    states = dataset.states
    histories = (states.frequency[:, None], states.recency[:, None], states.T[:, None])
    answer = partial(_answer, at.parameters[dataset.observed.code], at.reactivation)
    alive = answer("probability_alive", *histories, design.dropout)
    buys = answer("probability_of_purchase", *histories, design.horizon, design.dropout)
    return values | {
        "mean P(alive)": alive.mean(axis=0),
        "mean P(purchase)": buys.mean(axis=0),
        "log-likelihood": _log_likelihood(design, dataset, at),
    }


def _answer(
    parameters: Parameters, coming_back: Reactivation | None, name: str, *arguments: Any
) -> Floats:
    """Return an answer of :mod:`bayes_clv.models.bgnbd`, or the same with reactivation."""
    if coming_back is None:
        answer: Floats = getattr(bgnbd, name)(parameters, *arguments)
    else:
        answer = getattr(reactivation, name)(parameters, coming_back, *arguments)
    return answer


def _log_likelihood(design: Design, dataset: SimulatedDataset, at: Hyperparameters) -> Floats:
    """Return the log-likelihood by NumPy formulas, independently of the sampler's likelihood.

    The formulas are those of ``inference.landmarks`` and ``inference.stretches``.
    """
    stretches = dataset.stretches
    table = dataset.table if stretches is None else stretches.first
    code = np.full(len(table), -1) if design.is_pooled else table.segment
    rows = bgnbd.log_likelihood(
        at.parameters[code],
        table.frequency[:, None],
        table.recency[:, None],
        table.T[:, None],
        design.dropout,
    )
    total: Floats = table.weight @ rows
    if stretches is None or at.reactivation is None:
        return total
    more = reactivation.log_likelihood_of_stretch(
        at.parameters[stretches.segment],
        at.reactivation,
        stretches.frequency[:, None],
        stretches.recency[:, None],
        stretches.T[:, None],
        stretches.purchases[:, None],
        stretches.last[:, None],
        stretches.days[:, None],
        design.dropout,
    )
    return total + stretches.weight @ more


def _ranks(
    rng: np.random.Generator, truth: Mapping[str, Floats], draws: Mapping[str, Floats]
) -> dict[str, int]:
    ranks = {}
    for name, (true,) in truth.items():
        values = draws[name]
        if not (np.isfinite(true) and np.isfinite(values).all()):
            raise RuntimeError(f"{name} is not a finite number")
        ties = int(np.sum(values == true))
        ranks[name] = int(np.sum(values < true)) + int(rng.integers(ties + 1))
    return ranks


def _coverage(
    design: Design, dataset: SimulatedDataset, posterior: Posterior
) -> dict[tuple[str, float], float]:
    """Return the share of customers whose intervals hold the value under the true parameters."""
    checked = dataset.customers.head(design.checked)
    truth = dataset.truth
    coming_back = truth.reactivation and truth.reactivation[0]
    true = partial(_answer, truth.parameters[dataset.observed.code[: len(checked)], 0], coming_back)
    x, t_x, T = (checked[name].to_numpy(dtype=float) for name in ("frequency", "recency", "T"))
    t, dropout = design.horizon, design.dropout
    answers: dict[str, tuple[Floats, Callable[..., pd.DataFrame]]] = {
        "P(alive)": (
            true("probability_alive", x, t_x, T, dropout),
            posterior.probability_alive,
        ),
        "P(purchase)": (
            true("probability_of_purchase", x, t_x, T, t, dropout),
            partial(posterior.probability_of_purchase, horizon=t),
        ),
        "expected purchases": (
            true("expected_purchases", x, t_x, T, t, dropout),
            partial(posterior.expected_purchases, horizon=t),
        ),
    }
    return {
        (name, level): _share_covered(values, answer(checked, level=level))
        for name, (values, answer) in answers.items()
        for level in LEVELS
    }


def _share_covered(true: Floats, answer: pd.DataFrame) -> float:
    """Return the share of intervals that hold the true value.

    Intervals of width 0 are left out: BG/NBD's P(alive) of one-time buyers is 1 for all parameters,
    and that of a customer who has been idle for long is 0 to the last digit.
    """
    lower, upper = answer["lower"].to_numpy(), answer["upper"].to_numpy()
    wide = lower < upper
    covered = (lower <= true) & (true <= upper)
    return float(covered[wide].mean()) if wide.any() else float("nan")


def _outcome_coverage(
    rng: np.random.Generator, design: Design, dataset: SimulatedDataset, draws: Hyperparameters
) -> dict[tuple[str, float], float]:
    """Return the share of customers whose future purchases lie in the central forecast interval.

    Numbers of purchases are small and often tie. A rank is spread at random over its ties, so that
    it is uniform if the forecast distribution is right (randomised PIT, Czado, Gneiting & Held
    2009, Biometrics 65(4)).
    """
    states, future = dataset.states, dataset.future[:, None]
    parameters = draws.parameters[dataset.observed.code]
    given = (
        states.frequency[:, None],
        states.recency[:, None],
        states.T[:, None],
        design.horizon,
        design.dropout,
    )
    if draws.reactivation is None:
        forecast = bgnbd.sample_purchases(rng, parameters, *given)
    else:
        forecast = reactivation.sample_purchases(rng, parameters, draws.reactivation, *given)
    fewer, ties = (forecast < future).sum(axis=1), (forecast == future).sum(axis=1)
    pit = (fewer + rng.random(len(fewer)) * (ties + 1)) / (design.n_draws + 1)
    return {(OUTCOME, level): float(np.mean(np.abs(2 * pit - 1) <= level)) for level in LEVELS}


def _posterior(
    design: Design, dataset: SimulatedDataset, fitted: Fitted, seconds: float
) -> Posterior:
    n_purchases = design.n_customers + int(dataset.states.frequency.sum())
    landmarks = tuple(_DAY_0 + dt.timedelta(days=days) for days in design.landmarks)
    record = FitRecord(
        source="simulated",
        start=_DAY_0,
        end=landmarks[-1],
        landmarks=landmarks,
        ledger=Ledger(n_purchases),
        n_customers=design.n_customers,
        n_rows=len(dataset.table),
        priors=design.priors,
        draws=fitted.settings.draws,
        tune=fitted.settings.tune,
        chains=fitted.settings.chains,
        seed=fitted.settings.seed,
        seconds=seconds,
        versions={},
        reactivation=design.reactivation,
    )
    return Posterior(fitted.tree, design.rule, design.dropout, record, fitted.diagnostics)


def _spread_evenly(design: Design, posterior: Posterior) -> Hyperparameters:
    """Return L of the draws, as far apart in their chains as possible to reduce dependence."""
    draws = posterior.tree["posterior"].to_dataset()
    n_made = draws.sizes["chain"] * draws.sizes["draw"]
    chosen = np.arange(design.n_draws) * n_made // design.n_draws

    def of(name: str) -> Floats:
        by_sample = draws[name].transpose("component", "chain", "draw").to_numpy()
        rows: Floats = by_sample.reshape(len(by_sample), -1)[:, chosen]
        return rows

    coming_back = reactivation_of(posterior.tree)
    return Hyperparameters(
        of("mu"),
        of("tau") if "tau" in draws else None,
        posterior.parameters[:, chosen],
        coming_back and coming_back[chosen],
    )

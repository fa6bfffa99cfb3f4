"""Simulated datasets: parameters drawn from the priors, and customers simulated with them."""

from dataclasses import dataclass

import ibis
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_clv.data.states import States
from bayes_clv.evaluation.sbc.design import Design
from bayes_clv.evaluation.simulate.landmarks import LandmarkLives, Segmented, simulate_landmarks
from bayes_clv.evaluation.simulate.lives import live_on
from bayes_clv.inference.landmarks import LandmarkTable, landmark_table
from bayes_clv.inference.stretches import StretchTable, stretch_table
from bayes_clv.models.hyperparameters import Hyperparameters, draw_prior

type Floats = NDArray[np.float64]
type Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SimulatedDataset:
    """One replicate's customers, with the true parameters.

    Attributes
    ----------
    truth
        The parameters that the customers were simulated with, one sample.
    observed
        The customers' histories up to the observation end.
    table
        The landmark table that is fitted.
    stretches
        The stretches that are fitted, in a design with reactivation.
    future
        ``(customer,)`` purchases within the horizon after the observation end.
    """

    truth: Hyperparameters
    observed: LandmarkLives
    table: LandmarkTable
    stretches: StretchTable | None
    future: Ints

    @property
    def states(self) -> States:
        """``(customer,)`` at the observation end."""
        return self.observed.lives.states

    @property
    def customers(self) -> pd.DataFrame:
        """The states as a table, in the form that users provide."""
        states = self.states
        return pd.DataFrame(
            {"frequency": states.frequency, "recency": states.recency, "T": states.T}
        )


def simulate_dataset(design: Design, rng: np.random.Generator) -> SimulatedDataset:
    """Draw parameters from the priors, and simulate customers with them."""
    first = rng.uniform(0, design.landmarks[-1], design.n_customers)
    # The priors' unit of time is the mean T, which does not depend on repeat purchases.
    mean_T = design.landmarks[-1] - float(first.mean())
    truth = draw_prior(
        rng,
        design.priors,
        0 if design.is_pooled else len(design.rule.names),
        mean_T,
        reactivation=design.reactivation,
    )
    reactivation = truth.reactivation and truth.reactivation[0]
    observed = simulate_landmarks(
        truth.parameters[-1, 0],
        Segmented(design.rule, truth.parameters[:-1, 0], reactivation),
        first,
        design.landmarks,
        dropout=design.dropout,
        rng=rng,
    )
    lives, horizon = observed.lives, np.full(design.n_customers, design.horizon)
    later, _ = live_on(rng, lives.rate, lives.leaving, lives.alive, horizon)
    future = np.bincount(later.customer, minlength=design.n_customers)
    states = ibis.memtable(observed.history)
    stretches = stretch_table(states) if design.reactivation else None
    return SimulatedDataset(truth, observed, landmark_table(states), stretches, future)

"""One segment alone, for tests of what is computed within a segment."""

from collections.abc import Sequence

import numpy as np

from bayes_clv.models.bgnbd import Dropout, Parameters
from bayes_clv.models.gammagamma import SpendParameters
from bayes_clv.models.reactivation import Reactivation
from bayes_clv.posterior.mixtures import Evaluator, ModelDraws, Quantity
from bayes_clv.posterior.outcomes import Outcome
from bayes_clv.posterior.state_groups import Group, Memberships


def group_of(frequency: float, recency: np.ndarray, T: np.ndarray) -> Group:
    """Cases of one frequency that belong to segment 0; T must ascend."""
    unknown, codes = np.full(len(T), np.nan), np.zeros(len(T), dtype=np.int64)
    recency, T = np.asarray(recency, dtype=float), np.asarray(T, dtype=float)
    return Group(slice(0, len(T)), float(frequency), recency, T, unknown, Memberships(codes))


def model_of(
    parameters: Parameters,
    dropout: Dropout = Dropout.AFTER_REPEAT,
    reactivation: Reactivation | None = None,
    spend: SpendParameters | None = None,
) -> ModelDraws:
    """A model whose segment 0, and whose population, has these parameters ``(draw,)``."""

    def twice(values: np.ndarray) -> np.ndarray:
        return np.stack([values, values])

    both = Parameters(*(twice(getattr(parameters, name)) for name in ("r", "alpha", "a", "b")))
    if spend is not None:
        spend = SpendParameters(*(twice(getattr(spend, name)) for name in "pqv"))
    return ModelDraws(both, dropout, reactivation, spend)


def evaluate(model: ModelDraws, group: Group, *quantities: Quantity) -> Sequence[np.ndarray]:
    """``(case, draw)`` of each quantity, block by block."""
    evaluator = Evaluator(model, group, quantities)
    return np.concatenate([evaluator(block) for block in group.blocks()], axis=1)


def sample(model: ModelDraws, group: Group, outcome: Outcome) -> np.ndarray:
    """``(case, draw)``"""
    sampled = outcome(model, group)
    return np.concatenate([sampled(block) for block in group.blocks()])

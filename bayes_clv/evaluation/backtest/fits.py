"""Methods fitted to the past, each once."""

import time
from dataclasses import dataclass

from bayes_clv.data.states import States
from bayes_clv.data.transactions import Transactions
from bayes_clv.evaluation.backtest.forecasts import Part
from bayes_clv.evaluation.backtest.methods import Method
from bayes_clv.inference.estimator import HierarchicalBetaGeo
from bayes_clv.inference.fitting import fit_table
from bayes_clv.inference.landmarks import own_past_table
from bayes_clv.inference.sampling import SamplerSettings
from bayes_clv.posterior.draws import by_code, reactivation_of
from bayes_clv.posterior.mixtures import ModelDraws
from bayes_clv.posterior.state_groups import Assigned
from bayes_clv.segments.rules import SegmentRule

FORECAST_DRAWS = 1000  # enough for an average over draws


@dataclass(frozen=True)
class FittedMethod:
    """A method fitted to a log: which segment a state is in, and draws of the parameters.

    Attributes
    ----------
    rule
        Which segment a state is in.
    model
        At most ``FORECAST_DRAWS`` draws.
    sound
        Whether its diagnostics passed.
    seconds
        Wall time of the fit.
    """

    rule: SegmentRule
    model: ModelDraws
    sound: bool
    seconds: float

    def part(self, states: States, weight: float = 1.0) -> Part:
        """Return the model's part in a forecast from states."""
        assigned = Assigned(self.rule.assign(states), self.rule if self.rule.soft else None)
        return Part(weight, self.model, assigned)


class Fits:
    """Fits of methods, each made once: a mixture uses those of its bases."""

    def __init__(self) -> None:
        self._made: dict[object, FittedMethod] = {}

    def of(self, method: Method, past: Transactions, settings: SamplerSettings) -> FittedMethod:
        """Fit a method that is no mixture to a log, unless that was done."""
        key = (method, past.end, settings)
        if key not in self._made:
            self._made[key] = fit_method(method, past, settings)
        return self._made[key]


def fit_method(method: Method, past: Transactions, settings: SamplerSettings) -> FittedMethod:
    """Fit a method that is no mixture to a log."""
    began = time.perf_counter()
    estimator = HierarchicalBetaGeo(
        method.segmenter,
        method.landmarks,
        dropout=method.dropout,
        reactivation=method.reactivation,
        soft_fit=method.soft_fit,
    )
    data = estimator.prepare(past, seed=settings.seed)
    dropout = data.dropout.chosen
    table, stretches = data.table, data.stretches
    if method.own_past:
        table, stretches = own_past_table(data.at_end), None
    fitted = fit_table(table, data.rule.names, settings, dropout=dropout, stretches=stretches)
    seconds = time.perf_counter() - began
    model = ModelDraws(by_code(fitted.tree), dropout, reactivation_of(fitted.tree))
    sound = fitted.diagnostics.sound
    return FittedMethod(data.rule, model.thinned(FORECAST_DRAWS), sound, seconds)

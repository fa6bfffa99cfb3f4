"""What a fit consists of, and what it says about itself; ``Posterior`` adds the answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from bayes_clv import arguments
from bayes_clv.data.described import Described, listed
from bayes_clv.errors import InputError
from bayes_clv.models.bgnbd import Dropout, Parameters
from bayes_clv.models.gammagamma import SpendParameters
from bayes_clv.models.reactivation import Reactivation
from bayes_clv.posterior import draws
from bayes_clv.posterior.diagnostics import Diagnostics
from bayes_clv.posterior.fit_record import FitRecord
from bayes_clv.segments.rules import SegmentRule, with_population

_LEVEL = 0.9  # of the interval of the chance to return


@dataclass(frozen=True, repr=False)
class Fit(Described):
    """Draws, segment rule and record of a fit; ``Posterior`` describes the attributes."""

    tree: xr.DataTree
    rule: SegmentRule
    dropout: Dropout
    record: FitRecord
    diagnostics: Diagnostics
    version: str = "unsaved"

    @property
    def segment_names(self) -> tuple[str, ...]:
        """Names of the segments, in the order of their codes."""
        return self.rule.names

    @property
    def answerable(self) -> tuple[str, ...]:
        """Names that a customer's segment may have: the segments, and last the population."""
        return with_population(self.rule.names)

    @cached_property
    def parameters(self) -> Parameters:
        """``(segment + 1, draw)``; the population is last, so that its code −1 selects it."""
        return draws.by_code(self.tree)

    @cached_property
    def reactivation(self) -> Reactivation | None:
        """``(draw,)`` each; None in a model without reactivation."""
        return draws.reactivation_of(self.tree)

    @property
    def chance_to_return(self) -> dict[str, float] | None:
        """Mean and 90 % interval of the chance that a customer starts afresh in a stretch.

        A stretch is the time between two landmarks. None in a model without reactivation.
        """
        if self.reactivation is None:
            return None
        chance = self.reactivation.probability
        lower, upper = np.quantile(chance, arguments.tails(_LEVEL))
        return {"mean": float(chance.mean()), "lower": float(lower), "upper": float(upper)}

    @property
    def has_spend(self) -> bool:
        """Whether spend was fitted."""
        return draws.has_spend(self.tree)

    @cached_property
    def spend_parameters(self) -> SpendParameters:
        """``(segment + 1, draw)``; draw d goes with draw d of ``parameters``.

        Raises
        ------
        InputError
            If spend was not fitted.
        """
        if not self.has_spend:
            raise InputError(
                "spend was not fitted in this model: fit a log with amounts, without --no-spend"
            )
        return draws.spend_by_code(self.tree)

    @property
    def has_comparison(self) -> bool:
        """Whether the posterior stores a comparison of the customers that it was fitted to."""
        return "segments" in self.tree.children

    @property
    def n_draws(self) -> int:
        """Number of draws of each parameter."""
        return int(self.parameters.r.shape[1])

    def facts(self) -> dict[str, Any]:
        """Return version, model, segments, diagnostics and fit record, as JSON-ready values."""
        return {
            "version": self.version,
            "dropout": self.dropout.value,
            "segments": list(self.segment_names),
            "reactivation": self.chance_to_return,
            "diagnostics": self.diagnostics.to_dict(),
            "record": self.record.to_dict(),
        }

    def _facts(self) -> Mapping[str, object]:
        return {
            "source": self.record.source,
            "window": f"{self.record.start} … {self.record.end}",
            "customers": self.record.n_customers,
            "segments": listed(self.segment_names),
            "model": self.dropout.model_name
            + (" with reactivation" if self.reactivation else "")
            + (" and spend" if self.has_spend else ""),
            "draws": f"{self.record.chains} × {self.record.draws}",
            "verdict": self.diagnostics.verdict,
        }

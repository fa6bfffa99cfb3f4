"""What a fit hands from one of its steps to the next."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import ibis
import xarray as xr
from ibis import ir

from bayes_clv.data.described import Described, listed
from bayes_clv.inference.fitting import Fitted
from bayes_clv.inference.landmarks import LandmarkTable
from bayes_clv.inference.spend.table import SpendTable
from bayes_clv.inference.stretches import StretchTable
from bayes_clv.posterior.choices import DropoutChoice
from bayes_clv.posterior.diagnostics import Diagnostics
from bayes_clv.posterior.draws import with_group
from bayes_clv.segments.rules import SegmentRule


@dataclass(frozen=True, slots=True, repr=False)
class Prepared(Described):
    """The data of a fit, before it samples.

    Attributes
    ----------
    landmarks
        Dates; the last one is the observation end.
    rule
        Which segment a state belongs to.
    states
        Customers at every landmark, with the code of their segment.
    table
        The landmark table.
    dropout
        The rule of leaving, and how it was chosen.
    stretches
        The same data as stretches between landmarks, for a model with reactivation; None of others.
    warning
        Shown before sampling begins; mostly empty.
    """

    landmarks: tuple[dt.date, ...]
    rule: SegmentRule
    states: ir.Table
    table: LandmarkTable
    dropout: DropoutChoice
    stretches: StretchTable | None = None
    warning: str = ""

    @property
    def at_end(self) -> ir.Table:
        """Customers at the observation end."""
        return self.states.filter(self.states.landmark == ibis.literal(self.landmarks[-1]))

    def _facts(self) -> Mapping[str, object]:
        return {
            "landmarks": listed(self.landmarks),
            "segments": listed(self.rule.names),
            "rows": len(self.table),
            "model": self.dropout.chosen.model_name,
            "warning": self.warning or "none",
        }


@dataclass(frozen=True, repr=False)
class SampledSpend(Described):
    """A table of spend, and its draws."""

    table: SpendTable
    fitted: Fitted

    def _facts(self) -> Mapping[str, object]:
        return {"verdict": self.fitted.diagnostics.verdict}


@dataclass(frozen=True, repr=False)
class Sampled(Described):
    """The draws of a fit.

    Attributes
    ----------
    purchases, spend
        Each with its verdict. ``spend`` is None where the log has no amounts, and where spend was
        switched off or left out.
    left_out
        What was left out of spend, its segments or all of it, and why; mostly empty.
    """

    purchases: Fitted
    spend: SampledSpend | None = None
    left_out: str = ""

    @property
    def tree(self) -> xr.DataTree:
        """The draws of both."""
        if self.spend is None:
            return self.purchases.tree
        return with_group(self.purchases.tree, "spend", self.spend.fitted.tree)

    @property
    def diagnostics(self) -> Diagnostics:
        """The verdict on both."""
        verdict = self.purchases.diagnostics
        if self.spend is None:
            return verdict
        return verdict.joined(self.spend.fitted.diagnostics, "spend")

    def _facts(self) -> Mapping[str, object]:
        return {"spend": "no" if self.spend is None else "yes", "verdict": self.diagnostics.verdict}

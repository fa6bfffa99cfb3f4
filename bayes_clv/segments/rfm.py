"""Segments by quintile scores for idle time, frequency and spend: a frozen rule."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, log, log1p, nan
from typing import ClassVar

import numpy as np

from bayes_clv.data.described import Described, short
from bayes_clv.data.states import States
from bayes_clv.segments import memberships
from bayes_clv.segments.cuts import (
    RFM_GRID_CODES,
    RFM_NAMES,
    Codes,
    above,
    limits,
    limits_of_days,
)
from bayes_clv.segments.memberships import ARRAYS, NUMBERS
from bayes_clv.segments.weighted import (
    MaybeSoft,
    Weights,
    checked_bandwidth,
    hard_weights,
    hard_weights_one,
    shown_bandwidth,
)


@dataclass(frozen=True, slots=True, repr=False)
class RFMRule(MaybeSoft, Described):
    """Quintile scores for idle time, frequency and spend, looked up in the usual naming grid.

    The recency score falls with idle time. The frequency score is 1 for one-time buyers and 2 to 5
    by quartile of repeat buyers. The value score is the mean of frequency and monetary score,
    halves rounded up, or the frequency score alone where spend is unknown.

    With a ``bandwidth`` (in mean gaps between cuts) the rule is soft. Its cuts must then be
    ascending and finite.
    """

    kind: ClassVar[str] = "rfm"
    idle_cuts: tuple[float, ...]  # four, ascending, days
    frequency_cuts: tuple[float, ...]  # three, ascending, of repeat buyers
    monetary_cuts: tuple[float, ...]  # four, ascending; empty where the log has no amounts
    bandwidth: float | None = None  # None: hard

    def __post_init__(self) -> None:
        if checked_bandwidth(self.bandwidth) is not None:
            memberships.check_cuts("idle_cuts", self.idle_cuts, 4)
            memberships.check_cuts("frequency_cuts", self.frequency_cuts, 3)
            memberships.check_cuts("monetary_cuts", self.monetary_cuts, 4, amounts=True)

    @property
    def names(self) -> tuple[str, ...]:
        """The named segments of the grid."""
        return RFM_NAMES

    def assign(self, states: States) -> Codes:
        """Score each state and look its segment up, ``(customer,)``."""
        codes: Codes = _GRID[*self.cells(states)]
        return codes

    def cells(self, states: States) -> tuple[Codes, Codes]:
        """Return each state's row and column in the grid, by idle time and by value, from 0.

        Row 0 holds the customers who bought last, column 0 those of least value; ``(customer,)``
        each.
        """
        idle_row = above(states.idle_time, limits_of_days(self.idle_cuts))
        repeat_score = 2 + above(states.frequency, limits(self.frequency_cuts))
        frequency = np.where(states.frequency > 0, repeat_score, 1)
        spend = states.repeat_spend
        known = np.isfinite(spend) & bool(self.monetary_cuts)
        monetary = 1 + above(spend, limits(self.monetary_cuts))
        value = np.where(known, (frequency + monetary + 1) // 2, frequency)
        return idle_row, value - 1

    def assign_one(
        self, frequency: float, recency: float, T: float, monetary_value: float = nan
    ) -> int:
        """Score one state and look its segment up."""
        idle_row = bisect_left(limits_of_days(self.idle_cuts), T - recency)
        value = 1
        if frequency > 0:
            value = 2 + bisect_left(limits(self.frequency_cuts), frequency)
            if self.monetary_cuts and 0 < monetary_value < inf:
                score = 1 + bisect_left(limits(self.monetary_cuts), monetary_value)
                value = (value + score + 1) // 2
        return RFM_GRID_CODES[idle_row][value - 1]

    def ladders(self, bandwidth: float) -> tuple[memberships.Ladder, ...]:
        """Return the ladders of idle time, frequency and spend."""
        return (
            memberships.ladder_of_counts(self.idle_cuts, bandwidth),
            memberships.ladder_of_counts(self.frequency_cuts, bandwidth),
            memberships.ladder_of_amounts(self.monetary_cuts, bandwidth),
        )

    def weights(self, states: States) -> Weights:
        """Return the weights of the grid's segments, ``(customer, segment)``."""
        if self.bandwidth is None:
            return hard_weights(self, states)
        of_idle, of_frequency, of_spend = self.ladders(self.bandwidth)
        days = np.where(states.idle_time > 0, states.idle_time, 0.0)
        repeats = states.frequency > 0
        frequency = memberships.exceeding(
            np.log1p(np.where(repeats, states.frequency, 0.0)), of_frequency, ARRAYS
        )
        at_most = memberships.value_at_most(frequency, None)
        if self.monetary_cuts:
            z = np.log(states.repeat_spend)
            spend = memberships.exceeding(z, of_spend, ARRAYS)
            known = memberships.value_at_most(frequency, spend)
            at_most = [np.where(np.isfinite(z), *it) for it in zip(known, at_most, strict=True)]
        at_most = [np.where(repeats, it, 1.0) for it in at_most]
        idle = memberships.exceeding(np.log1p(days), of_idle, ARRAYS)
        return np.stack(memberships.grid_weights(idle, at_most, ARRAYS), axis=1)

    def weights_one(
        self, frequency: float, recency: float, T: float, monetary_value: float = nan
    ) -> tuple[float, ...]:
        """Return the weights of one state."""
        if self.bandwidth is None:
            return hard_weights_one(self, frequency, recency, T, monetary_value)
        of_idle, of_frequency, of_spend = self.ladders(self.bandwidth)
        at_most = [1.0] * 4
        if frequency > 0:
            levels = memberships.exceeding(log1p(frequency), of_frequency, NUMBERS)
            spend = None
            if self.monetary_cuts and 0 < monetary_value < inf:
                spend = memberships.exceeding(log(monetary_value), of_spend, NUMBERS)
            at_most = memberships.value_at_most(levels, spend)
        days = T - recency
        idle = memberships.exceeding(log1p(days) if days > 0 else 0.0, of_idle, NUMBERS)
        return tuple(memberships.grid_weights(idle, at_most, NUMBERS))

    def _facts(self) -> Mapping[str, object]:
        cuts = {
            "idle": self.idle_cuts,
            "frequency": self.frequency_cuts,
            "spend": self.monetary_cuts,
        }
        shown = {f"{name} cuts": ", ".join(map(short, of)) or "none" for name, of in cuts.items()}
        return {**shown, "bandwidth": shown_bandwidth(self.bandwidth)}


_GRID = np.array(RFM_GRID_CODES, dtype=np.int64)

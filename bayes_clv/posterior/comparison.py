"""Comparison of segments: which are churning, with credible intervals."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_clv import arguments
from bayes_clv.data.described import Described, listed
from bayes_clv.errors import InputError
from bayes_clv.posterior.discounting import ValueTerms

MEASURES = ("prob_alive", "buys_again", "expected_purchases")
SUMS = ("value", "value_if_alive")


@dataclass(frozen=True, repr=False)
class SegmentComparison(Described):
    """Segments compared, with credible intervals.

    Attributes
    ----------
    draws
        ``customers (segment)`` and each of ``MEASURES`` ``(segment, sample)``: means over the
        segment's customers, draw by draw. Where spend was fitted, also each of ``SUMS``: sums over
        the segment's customers.
    level
        Mass of the equal-tailed intervals, which express the uncertainty of these means.
    """

    draws: xr.Dataset
    level: float

    @classmethod
    def stored(
        cls, draws: xr.Dataset, horizon: float, terms: ValueTerms | None, level: float
    ) -> Self:
        """Return a comparison from stored draws that have the horizon and terms asked for.

        Raises
        ------
        InputError
            If the stored draws have another horizon or other terms.
        """
        asked = attributes(horizon, terms if "value" in draws else None)
        for name, value in asked.items():
            if value != draws.attrs[name]:
                raise InputError(
                    f"the stored comparison has {name} {draws.attrs[name]:g}: give the customers "
                    f"to compare them with {value:g}"
                )
        return cls(draws, level)

    @property
    def horizon(self) -> float:
        """Days ahead of ``buys_again`` and ``expected_purchases``."""
        return float(self.draws.attrs["horizon"])

    @property
    def table(self) -> pd.DataFrame:
        """One row per segment: customers, and each measure with its ``_lower`` and ``_upper``.

        ``prob_alive`` is the mean P(alive), ``buys_again`` the expected share of customers who buy
        within the horizon, ``expected_purchases`` the mean expected number of purchases within it.
        Where spend was fitted, ``value`` is the expected value of all of the segment's customers
        within ``value_horizon``, and ``value_at_risk`` is their expected value if all of them were
        alive, minus ``value``.
        """
        tails = arguments.tails(self.level)
        columns = {"customers": self.draws["customers"].to_numpy()}
        for name, values in self._measures():
            lower, upper = np.quantile(values, tails, axis=1)
            columns |= {
                name: values.mean(axis=1),
                f"{name}_lower": lower,
                f"{name}_upper": upper,
            }
        return pd.DataFrame(columns, index=self._index("segment"))

    @property
    def has_value(self) -> bool:
        """Whether spend was fitted."""
        return "value" in self.draws

    @property
    def value_terms(self) -> ValueTerms | None:
        """The terms of ``value``; None where spend was not fitted."""
        names = ("value_horizon", "annual_discount_rate", "margin")
        return (
            ValueTerms(*(float(self.draws.attrs[name]) for name in names))
            if self.has_value
            else None
        )

    @property
    def churns_more(self) -> pd.DataFrame:
        """Posterior probability that the row's mean P(alive) is below the column's."""
        return self._below("prob_alive")

    @property
    def buys_less(self) -> pd.DataFrame:
        """Posterior probability that the row's share of repeat buyers is below the column's."""
        return self._below("buys_again")

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "horizon_days": self.horizon,
            "level": self.level,
            "value_terms": self.value_terms and self.value_terms.to_dict(),
            "segments": self.table.reset_index().to_dict(orient="records"),
            "churns_more": self.churns_more.to_dict(orient="index"),
            "buys_less": self.buys_less.to_dict(orient="index"),
        }

    def _measures(self) -> Iterator[tuple[str, NDArray[np.float64]]]:
        for name in MEASURES:
            yield name, self._of(name)
        if self.has_value:
            yield "value", self._of("value")
            yield "value_at_risk", self._of("value_if_alive") - self._of("value")

    def _of(self, name: str) -> NDArray[np.float64]:
        values: NDArray[np.float64] = self.draws[name].transpose("segment", "sample").to_numpy()
        return values

    def _below(self, name: str) -> pd.DataFrame:
        values = self._of(name)
        below = np.array([[np.mean(row < column) for column in values] for row in values])
        return pd.DataFrame(below, index=self._index("segment"), columns=self._index("than"))

    def _index(self, name: str) -> pd.Index:
        labels: pd.Index = pd.Index(self.draws["segment"].to_numpy().astype(str), name=name)
        return labels

    def _facts(self) -> Mapping[str, object]:
        return {
            "segments": listed(self.draws["segment"].to_numpy()),
            "customers": int(self.draws["customers"].sum()),
            "horizon": f"{self.horizon:g} days",
            "value": "yes" if self.has_value else "no",
            "level": self.level,
        }


def attributes(horizon: float, terms: ValueTerms | None) -> dict[str, float]:
    """Return the horizon and the terms of value, as stored in the attributes of the draws."""
    stored = {"horizon": float(horizon)}
    if terms:
        stored |= {
            "value_horizon": float(terms.horizon),
            "annual_discount_rate": float(terms.annual_discount_rate),
            "margin": float(terms.margin),
        }
    return stored

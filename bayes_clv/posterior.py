"""The posterior, and what it answers about customers and segments.

A customer's answer depends on the state alone, so each distinct state is evaluated once, over all
draws, a block of states at a time: memory is bounded whatever the number of customers. The compiled
code for that is loaded when it is first needed, so that looking at a posterior gets by without.
"""

from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from bayes_clv.bgnbd import Dropout, Parameters
from bayes_clv.comparison import MEASURES, SegmentComparison
from bayes_clv.errors import InputError
from bayes_clv.record import Diagnostics, FitRecord
from bayes_clv.segments.rules import POPULATION, POPULATION_NAME, Codes, ColumnRule, SegmentRule
from bayes_clv.states import States
from bayes_clv.strata import Floats, Stratum, distinct_states, in_threads, strata

if TYPE_CHECKING:
    from bayes_clv.measures import Measure

PARAMETERS = ("r", "alpha", "a", "b")
COMPARISON_HORIZON = 90.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A posterior mean and its equal-tailed interval."""

    mean: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What is asked about one customer, and which model says so.

    Attributes
    ----------
    alive
        The probability that the customer has not left.
    purchase
        The probability of buying within ``horizon`` days.
    level
        Mass of both intervals.
    horizon
        Days ahead.
    segment
        Whose parameters answer.
    dropout
        When customers may leave: BG/NBD or MBG/NBD.
    """

    alive: Estimate
    purchase: Estimate
    level: float
    horizon: float
    segment: str
    dropout: Dropout


@dataclass(frozen=True)
class Posterior:
    """Draws of the hyperparameters, the segment rule, and the record of the fit.

    Attributes
    ----------
    tree
        An ArviZ DataTree: ``posterior`` holds ``r, alpha, a, b`` (chain, draw, segment) and
        ``r_population, …`` (chain, draw), α in days; ``sample_stats`` the sampler's statistics.
    rule
        Which segment a state belongs to.
    dropout
        When customers may leave: BG/NBD or MBG/NBD.
    record, diagnostics
        Where the draws come from, and whether they can be trusted.
    version
        First 12 hexadecimal digits of the hash of the draws; "unsaved" before they are saved.
    """

    tree: xr.DataTree
    rule: SegmentRule
    dropout: Dropout
    record: FitRecord
    diagnostics: Diagnostics
    version: str = "unsaved"

    @property
    def segment_names(self) -> tuple[str, ...]:
        """The segments, in the order of their codes."""
        return self.rule.names

    @cached_property
    def parameters(self) -> Parameters:
        """``(segment + 1, draw)``: the population comes last, where code −1 points."""
        return by_code(self.tree)

    @property
    def has_comparison(self) -> bool:
        """Whether the comparison of the fit's customers is stored."""
        return "segments" in self.tree.children

    def probability_alive(self, customers: pd.DataFrame, *, level: float = 0.9) -> pd.DataFrame:
        """Return the probability that each customer has not left.

        Parameters
        ----------
        customers
            frequency, recency, T (days) and, where known, monetary_value, segment, customer_id.
        level
            Mass of the equal-tailed interval.

        Returns
        -------
        One row per customer in the caller's order: segment, mean, lower, upper.

        Raises
        ------
        InputError
            On a row, a level or a segment name that cannot be right.
        """
        from bayes_clv.measures import probability_alive

        return self._answers(customers, probability_alive(self.dropout), level)

    def probability_of_purchase(
        self, customers: pd.DataFrame, horizon: float, *, level: float = 0.9
    ) -> pd.DataFrame:
        """Return the probability of buying within ``horizon`` days; as ``probability_alive``."""
        from bayes_clv.measures import probability_of_purchase

        measure = probability_of_purchase(_positive("horizon", horizon), self.dropout)
        return self._answers(customers, measure, level)

    def expected_purchases(
        self, customers: pd.DataFrame, horizon: float, *, level: float = 0.9
    ) -> pd.DataFrame:
        """Return the expected number of purchases within ``horizon`` days.

        The interval is that of the *expectation*; ``sample_purchases`` gives the outcome's.
        """
        from bayes_clv.measures import expected_purchases

        measure = expected_purchases(_positive("horizon", horizon), self.dropout)
        return self._answers(customers, measure, level)

    def sample_purchases(
        self, customers: pd.DataFrame, horizon: float, *, level: float = 0.9, seed: int = 0
    ) -> pd.DataFrame:
        """Draw what customers will *do* within ``horizon`` days, one outcome a posterior draw.

        ``lower`` and ``upper`` bound the number of purchases itself, not its expectation. They
        depend on the seed and on the customer's own state, not on who else is asked about.
        """
        from bayes_clv.measures import sample_purchases

        if seed < 0:
            raise InputError(f"seed must not be negative: {seed}")
        measure = sample_purchases(_positive("horizon", horizon), self.dropout, seed)
        return self._answers(customers, measure, level)

    def compare_segments(
        self,
        customers: pd.DataFrame | None = None,
        *,
        horizon: float = COMPARISON_HORIZON,
        level: float = 0.9,
    ) -> SegmentComparison:
        """Compare churn between segments.

        Parameters
        ----------
        customers
            Whom to compare; by default those of the fit, at its observation end, from the draws
            stored then.
        horizon
            Days ahead for "buys again" and expected purchases; other than 90 needs customers.
        level
            Mass of the intervals.
        """
        _check_level(level)
        horizon = _positive("horizon", horizon)
        if customers is not None:
            states = States.from_frame(customers)
            draws = self.segment_draws(states, np.ones(len(states)), horizon)
        elif not self.has_comparison:
            raise InputError("this posterior holds no comparison: give the customers to compare")
        else:
            draws = self.tree["segments"].to_dataset()
            if horizon != draws.attrs["horizon"]:
                raise InputError(
                    f"the stored comparison looks {draws.attrs['horizon']:g} days ahead: give the "
                    f"customers to compare them over {horizon:g} days"
                )
        return SegmentComparison(draws, level)

    def segment_draws(
        self, states: States, count: Floats, horizon: float, codes: Codes | None = None
    ) -> xr.Dataset:
        """Mean of each measure over the customers of each segment, draw by draw.

        Parameters
        ----------
        states, count
            Distinct states (or customers) and how many customers share each, ``(state,)``.
        horizon
            Days ahead.
        codes
            Their segments; by default the rule says.

        Returns
        -------
        ``customers (segment)`` and, for each of ``comparison.MEASURES``, ``(segment, sample)``;
        segments without customers are left out.
        """
        from bayes_clv import measures

        codes = self._codes(states) if codes is None else codes
        index, distinct = distinct_states(codes, states)
        count = np.bincount(index, count, minlength=len(distinct.code))
        customers = np.bincount(distinct.code + 1, count, minlength=len(self.segment_names) + 1)
        totals = np.zeros((len(MEASURES), len(customers), self._n_draws))

        def add(stratum: Stratum) -> tuple[int, Floats]:
            return stratum.code + 1, measures.totals(
                self.parameters[stratum.code], stratum, count[stratum.rows], horizon, self.dropout
            )

        for group, sums in in_threads(add, strata(distinct)):
            totals[:, group] += sums
        present = np.flatnonzero(customers)
        names = np.array([POPULATION_NAME, *self.segment_names], dtype=object)[present]
        return xr.Dataset(
            {"customers": ("segment", customers[present].astype(np.int64))}
            | {
                name: (("segment", "sample"), total[present] / customers[present, None])
                for name, total in zip(MEASURES, totals, strict=True)
            },
            coords={"segment": names.astype(str)},
            attrs={"horizon": float(horizon)},
        )

    def answer(
        self,
        frequency: float,
        recency: float,
        T: float,
        *,
        monetary_value: float | None = None,
        segment: str | None = None,
        horizon: float = COMPARISON_HORIZON,
        level: float = 0.9,
    ) -> Answer:
        """Say whether one customer is alive and will buy again: the fast path of the service.

        Raises
        ------
        InputError
            When the level, the horizon or the segment's name cannot be right. The state is the
            caller's to check: see :class:`bayes_clv.states.States`.
        """
        from bayes_clv.measures import alive_and_purchase
        from bayes_clv.selection import mean_and_quantiles

        tails = _tails(level)
        horizon = _positive("horizon", horizon)
        code = self._code_of(segment) if segment is not None else None
        if code is None:
            spend = np.nan if monetary_value is None else monetary_value
            code = self.rule.assign_one(frequency, recency, T, spend)
        values = alive_and_purchase(
            self.parameters[code],
            float(frequency),
            float(recency),
            float(T),
            horizon,
            self.dropout,
        )
        of_alive, of_purchase = mean_and_quantiles(values, tails).tolist()
        return Answer(
            alive=Estimate(*of_alive),
            purchase=Estimate(*of_purchase),
            level=level,
            horizon=horizon,
            segment=self._name_of(code),
            dropout=self.dropout,
        )

    def facts(self) -> dict[str, Any]:
        """Say what this posterior is, where it comes from and whether to trust it, JSON-ready."""
        return {
            "version": self.version,
            "dropout": self.dropout.value,
            "segments": list(self.segment_names),
            "diagnostics": self.diagnostics.to_dict(),
            "record": self.record.to_dict(),
        }

    def save(self, path: str | PathLike[str]) -> None:
        """Write the model file; see :mod:`bayes_clv.artifact`."""
        from bayes_clv.artifact import save_posterior  # the layer above: it builds posteriors

        save_posterior(self, path)

    def _answers(self, customers: pd.DataFrame, measure: "Measure", level: float) -> pd.DataFrame:
        from bayes_clv.selection import mean_and_quantiles

        tails = _tails(level)
        states = States.from_frame(customers)
        codes = self._codes(states)
        index, distinct = distinct_states(codes, states)
        summary = np.empty((len(distinct.code), 3))

        def summarise(stratum: Stratum) -> None:
            evaluate = measure(self.parameters[stratum.code], stratum)
            for block in stratum.blocks():
                summary[block.rows] = mean_and_quantiles(evaluate(block), tails)

        for _ in in_threads(summarise, strata(distinct)):
            pass
        names = np.array([*self.segment_names, POPULATION_NAME], dtype=object)
        who = {"customer_id": customers["customer_id"]} if "customer_id" in customers else {}
        return pd.DataFrame(
            who
            | {"segment": names[codes]}
            | dict(zip(("mean", "lower", "upper"), summary[index].T, strict=True)),
            index=customers.index,
        )

    @property
    def _n_draws(self) -> int:
        return int(self.parameters.r.shape[1])

    def _codes(self, states: States) -> Codes:
        """Segment codes: by the caller's own names where given, else by the rule."""
        codes = self.rule.assign(states)
        if states.segment is None or isinstance(self.rule, ColumnRule):
            return codes
        given = ~pd.isna(states.segment)
        codes[given] = [self._code_of(name) for name in states.segment[given]]
        return codes

    def _code_of(self, segment: Any) -> int:
        if segment == POPULATION_NAME:
            return POPULATION
        try:
            return self.segment_names.index(segment)
        except ValueError:
            raise InputError(
                f"segment must be one of {', '.join(self.segment_names)} or {POPULATION_NAME}: "
                f"{str(segment)[:100]!r}"
            ) from None

    def _name_of(self, code: int) -> str:
        return POPULATION_NAME if code == POPULATION else self.segment_names[code]


def by_code(tree: xr.DataTree) -> Parameters:
    """Return the draws of ``tree`` as ``(segment + 1, draw)``, the population's last."""
    draws = tree["posterior"]

    def stacked(name: str) -> Floats:
        by_segment = draws[name].transpose("segment", "chain", "draw").to_numpy()
        population = draws[f"{name}_population"].to_numpy()
        rows = np.concatenate([by_segment, population[None]])
        return np.ascontiguousarray(rows.reshape(len(rows), -1), dtype=float)

    return Parameters(*map(stacked, PARAMETERS))


def _tails(level: float) -> tuple[float, float]:
    _check_level(level)
    return (1 - level) / 2, (1 + level) / 2


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise InputError(f"level must lie between 0 and 1: {level}")


def _positive(name: str, value: float) -> float:
    if not 0 < value < np.inf:
        raise InputError(f"{name} must be a positive number of days: {value}")
    return float(value)

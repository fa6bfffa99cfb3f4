"""The posterior, and what it answers about customers and segments.

A customer's answer depends on the state alone, so each distinct state is evaluated once, over all
draws, a block of states at a time: memory is bounded whatever the number of customers. Money also
depends on what a customer spent, in a way that costs one multiplication. The compiled code for that
is loaded when it is first needed, so that looking at a posterior gets by without.
"""

from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from bayes_clv import arguments
from bayes_clv.comparison import MEASURES, SUMS, SegmentComparison
from bayes_clv.data.states import States, numbers
from bayes_clv.errors import InputError
from bayes_clv.models.bgnbd import Dropout, Parameters
from bayes_clv.models.gammagamma import SpendParameters
from bayes_clv.record import Diagnostics, FitRecord
from bayes_clv.segments.rules import POPULATION, POPULATION_NAME, Codes, ColumnRule, SegmentRule
from bayes_clv.strata import (
    MAX_BLOCK,
    Floats,
    Stratum,
    distinct_pairs,
    distinct_states,
    in_threads,
    strata,
)
from bayes_clv.terms import Terms

if TYPE_CHECKING:
    from bayes_clv.measures import Measure
    from bayes_clv.value import Money, Tally

PARAMETERS = ("r", "alpha", "a", "b")
SPEND_PARAMETERS = ("p", "q", "v")
COMPARISON_HORIZON = 90.0
VALUE_HORIZON = 365.0
ANNUAL_DISCOUNT_RATE = 0.1


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
        ``r_population, …`` (chain, draw), α in days; ``sample_stats`` the sampler's statistics;
        ``spend`` the same two groups of ``p, q, v``, v in the currency of the log, where that has
        amounts.
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
    def has_spend(self) -> bool:
        """Whether spend was fitted, too."""
        return "spend" in self.tree.children

    @cached_property
    def spend_parameters(self) -> SpendParameters:
        """``(segment + 1, draw)``; a draw belongs to that of ``parameters`` with its number.

        Raises
        ------
        InputError
            When the posterior knows nothing of spend.
        """
        if not self.has_spend:
            raise InputError(
                "this model knows nothing of spend: fit a log with amounts, without --no-spend"
            )
        draws = self.tree["spend/posterior"].to_dataset()
        return SpendParameters(*(_by_code(draws, name) for name in SPEND_PARAMETERS))

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

        measure = probability_of_purchase(arguments.days("horizon", horizon), self.dropout)
        return self._answers(customers, measure, level)

    def expected_purchases(
        self, customers: pd.DataFrame, horizon: float, *, level: float = 0.9
    ) -> pd.DataFrame:
        """Return the expected number of purchases within ``horizon`` days.

        The interval is that of the *expectation*; ``sample_purchases`` gives the outcome's.
        """
        from bayes_clv.measures import expected_purchases

        measure = expected_purchases(arguments.days("horizon", horizon), self.dropout)
        return self._answers(customers, measure, level)

    def sample_purchases(
        self, customers: pd.DataFrame, horizon: float, *, level: float = 0.9, seed: int = 0
    ) -> pd.DataFrame:
        """Draw what customers will *do* within ``horizon`` days, one outcome a posterior draw.

        ``lower`` and ``upper`` bound the number of purchases itself, not its expectation. They
        depend on the seed and on the customer's own state, not on who else is asked about.
        """
        from bayes_clv.measures import sample_purchases

        measure = sample_purchases(
            arguments.days("horizon", horizon), self.dropout, arguments.seed(seed)
        )
        return self._answers(customers, measure, level)

    def expected_spend(self, customers: pd.DataFrame, *, level: float = 0.9) -> pd.DataFrame:
        """Return the expected spend per purchase; as ``probability_alive``.

        Customers whose monetary_value is unknown, or who never bought again, are expected to spend
        what their segment does.
        """
        from bayes_clv import value

        return self._money(customers, value.expected_spend(), level)

    def customer_lifetime_value(
        self,
        customers: pd.DataFrame,
        horizon: float = VALUE_HORIZON,
        *,
        annual_discount_rate: float = ANNUAL_DISCOUNT_RATE,
        margin: float = 1.0,
        level: float = 0.9,
    ) -> pd.DataFrame:
        """Return the expected value of the purchases within ``horizon`` days.

        The interval is that of the *expectation*; ``sample_value`` gives the outcome's. Purchases
        and spend are multiplied draw by draw: no average is taken before the product.

        Parameters
        ----------
        customers
            As for ``probability_alive``; total_spend, where known, is all that was paid so far.
        horizon
            Days ahead.
        annual_discount_rate
            What a year's delay costs: 0.1 makes 1.10 of next year's money worth 1 today.
        margin
            What remains of a unit of spend, of past value too.
        level
            Mass of the equal-tailed interval.

        Returns
        -------
        One row per customer in the caller's order: segment, mean, lower, upper, in the currency of
        the log; with total_spend also past, its margin, and total, past and mean together.
        """
        from bayes_clv import value

        terms = Terms(horizon, annual_discount_rate, margin)
        answers = self._money(customers, value.expected_value(terms, self.dropout), level)
        if "total_spend" in customers:
            past = margin * numbers(customers, "total_spend", allow_missing=True)
            answers = answers.assign(past=past, total=past + answers["mean"])
        return answers

    def sample_value(
        self,
        customers: pd.DataFrame,
        horizon: float = VALUE_HORIZON,
        *,
        annual_discount_rate: float = ANNUAL_DISCOUNT_RATE,
        margin: float = 1.0,
        level: float = 0.9,
        seed: int = 0,
    ) -> pd.DataFrame:
        """Draw the value of what customers *will* buy, one life a posterior draw.

        ``lower`` and ``upper`` bound the value itself, not its expectation. They depend on the seed
        and on the customer's own state and spend, not on who else is asked about.
        """
        from bayes_clv import value

        terms = Terms(horizon, annual_discount_rate, margin)
        money = value.sample_value(terms, self.dropout, arguments.seed(seed))
        return self._money(customers, money, level)

    def compare_segments(
        self,
        customers: pd.DataFrame | None = None,
        *,
        horizon: float = COMPARISON_HORIZON,
        value_horizon: float = VALUE_HORIZON,
        annual_discount_rate: float = ANNUAL_DISCOUNT_RATE,
        margin: float = 1.0,
        level: float = 0.9,
    ) -> SegmentComparison:
        """Compare churn between segments.

        Parameters
        ----------
        customers
            Whom to compare; by default those of the fit, at its observation end, from the draws
            stored then.
        horizon
            Days ahead for "buys again" and expected purchases.
        value_horizon, annual_discount_rate, margin
            The terms of value, as for ``customer_lifetime_value``; a posterior without spend has
            none.
        level
            Mass of the intervals.

        Raises
        ------
        InputError
            When something cannot be right, or the comparison that is stored was made on other
            terms than are asked for.
        """
        arguments.tails(level)
        horizon = arguments.days("horizon", horizon)
        terms = Terms(value_horizon, annual_discount_rate, margin) if self.has_spend else None
        if customers is not None:
            from bayes_clv.value import Tally

            states = States.from_frame(customers)
            tally = Tally.of_customers(states.repeat_spend)
            return SegmentComparison(self.segment_draws(states, tally, horizon, terms), level)
        if not self.has_comparison:
            raise InputError("this posterior holds no comparison: give the customers to compare")
        draws = self.tree["segments"].to_dataset()
        asked = _attributes(horizon, terms if "value" in draws else None)
        for name, value in asked.items():
            if value != draws.attrs[name]:
                raise InputError(
                    f"the stored comparison has {name} {draws.attrs[name]:g}: give the customers "
                    f"to compare them with {value:g}"
                )
        return SegmentComparison(draws, level)

    def segment_draws(
        self,
        states: States,
        tally: "Tally",
        horizon: float,
        terms: Terms | None = None,
        codes: Codes | None = None,
    ) -> xr.Dataset:
        """Each measure for each segment, draw by draw.

        Parameters
        ----------
        states, tally
            Distinct states (or customers) and who shares each, ``(state,)``.
        horizon
            Days ahead.
        terms
            Those of value, where that is wanted.
        codes
            Their segments; by default the rule says.

        Returns
        -------
        ``customers (segment)``; means over the segment's customers of each of
        ``comparison.MEASURES``, ``(segment, sample)``; and, with terms, sums over them of each of
        ``comparison.SUMS``. Segments without customers are left out.
        """
        from bayes_clv import measures, value

        codes = self.codes(states) if codes is None else codes
        index, distinct = distinct_states(codes, states)
        shared = tally.gathered(index, len(distinct.code))
        customers = np.bincount(
            distinct.code + 1, shared.customers, minlength=len(self.segment_names) + 1
        )
        names = MEASURES + (SUMS if terms else ())
        totals = np.zeros((len(names), len(customers), self.n_draws))

        def add(stratum: Stratum) -> tuple[int, Floats]:
            own, here = self.parameters[stratum.code], shared[stratum.rows]
            sums = measures.totals(own, stratum, here.customers, horizon, self.dropout)
            if terms:
                spend = self.spend_parameters[stratum.code]
                money = value.totals(own, spend, stratum, here, terms, self.dropout)
                sums = np.concatenate([sums, money])
            return stratum.code + 1, sums

        for group, sums in in_threads(add, strata(distinct)):
            totals[:, group] += sums
        present = np.flatnonzero(customers)
        totals = totals[:, present]
        totals[: len(MEASURES)] /= customers[present, None]
        segments = np.array([POPULATION_NAME, *self.segment_names], dtype=object)[present]
        return xr.Dataset(
            {"customers": ("segment", customers[present].astype(np.int64))}
            | {
                name: (("segment", "sample"), total)
                for name, total in zip(names, totals, strict=True)
            },
            coords={"segment": segments.astype(str)},
            attrs=_attributes(horizon, terms),
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
            caller's to check: see :class:`bayes_clv.data.states.States`.
        """
        from bayes_clv.measures import alive_and_purchase
        from bayes_clv.numerics.quantiles import mean_and_quantiles

        tails = arguments.tails(level)
        horizon = arguments.days("horizon", horizon)
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
        from bayes_clv.numerics.quantiles import mean_and_quantiles

        tails = arguments.tails(level)
        states = States.from_frame(customers)
        codes = self.codes(states)
        index, distinct = distinct_states(codes, states)
        summary = np.empty((len(distinct.code), 3))

        def summarise(stratum: Stratum) -> None:
            evaluate = measure(self.parameters[stratum.code], stratum)
            for block in stratum.blocks():
                summary[block.rows] = mean_and_quantiles(evaluate(block), tails)

        for _ in in_threads(summarise, strata(distinct)):
            pass
        return self._frame(customers, codes, summary[index])

    def _money(self, customers: pd.DataFrame, money: "Money", level: float) -> pd.DataFrame:
        from bayes_clv.numerics.quantiles import mean_and_quantiles

        tails = arguments.tails(level)
        spend = self.spend_parameters
        states = States.from_frame(customers)
        codes = self.codes(states)
        index, distinct = distinct_states(codes, states)
        own, who, mean = distinct_pairs(index, states.repeat_spend)
        summary = np.empty((len(who), 3))

        def summarise(stratum: Stratum) -> None:
            of_block = money(self.parameters[stratum.code], spend[stratum.code], stratum)
            for block in stratum.blocks():
                of_customers = of_block(block)
                first, last = np.searchsorted(who, [block.rows.start, block.rows.stop]).tolist()
                for start in range(first, last, MAX_BLOCK):
                    rows = slice(start, min(start + MAX_BLOCK, last))
                    one = np.zeros(rows.stop - rows.start)
                    values = of_customers(who[rows] - block.rows.start, mean[rows], one)
                    summary[rows] = mean_and_quantiles(values, tails)

        for _ in in_threads(summarise, strata(distinct)):
            pass
        return self._frame(customers, codes, summary[own])

    def _frame(self, customers: pd.DataFrame, codes: Codes, summary: Floats) -> pd.DataFrame:
        """Mean and interval of each customer, in the caller's order."""
        names = np.array([*self.segment_names, POPULATION_NAME], dtype=object)
        who = {"customer_id": customers["customer_id"]} if "customer_id" in customers else {}
        return pd.DataFrame(
            who
            | {"segment": names[codes]}
            | dict(zip(("mean", "lower", "upper"), summary.T, strict=True)),
            index=customers.index,
        )

    @property
    def n_draws(self) -> int:
        """Draws of each parameter."""
        return int(self.parameters.r.shape[1])

    def codes(self, states: States) -> Codes:
        """Segment codes, −1 for the population: the caller's own where given, else the rule's."""
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
    draws = tree["posterior"].to_dataset()
    return Parameters(*(_by_code(draws, name) for name in PARAMETERS))


def _by_code(draws: xr.Dataset, name: str) -> Floats:
    by_segment = draws[name].transpose("segment", "chain", "draw").to_numpy()
    population = draws[f"{name}_population"].to_numpy()
    rows = np.concatenate([by_segment, population[None]])
    return np.ascontiguousarray(rows.reshape(len(rows), -1), dtype=float)


def _attributes(horizon: float, terms: Terms | None) -> dict[str, float]:
    """On what terms a comparison is made."""
    attributes = {"horizon": float(horizon)}
    if terms:
        attributes |= {
            "value_horizon": float(terms.horizon),
            "annual_discount_rate": float(terms.annual_discount_rate),
            "margin": float(terms.margin),
        }
    return attributes

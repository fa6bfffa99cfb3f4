"""The posterior of a fit, and its answers about customers and segments.

The compiled code that computes the answers is imported on first use, so that inspecting a posterior
does not need it.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayes_clv import arguments
from bayes_clv.arguments import Days
from bayes_clv.data.given_customers import Customers, as_customers
from bayes_clv.data.states import States, numbers
from bayes_clv.errors import InputError
from bayes_clv.posterior import artifact
from bayes_clv.posterior.comparison import SegmentComparison
from bayes_clv.posterior.discounting import ANNUAL_DISCOUNT_RATE, MARGIN, VALUE_HORIZON, ValueTerms
from bayes_clv.posterior.estimates import Answer, Estimate
from bayes_clv.posterior.fit import Fit
from bayes_clv.segments.rules import Codes, assign_named, code_of, given_names
from bayes_clv.segments.weighted import noticeable_one

if TYPE_CHECKING:
    from bayes_clv.posterior.mixtures import ModelDraws, Quantity
    from bayes_clv.posterior.outcomes import Outcome
    from bayes_clv.posterior.state_groups import Assigned

COMPARISON_HORIZON = 90.0


@dataclass(frozen=True, repr=False)
class Posterior(Fit):
    """Posterior draws of the parameters, the segment rule, and the record of the fit.

    Attributes
    ----------
    tree
        An ArviZ DataTree: ``posterior`` holds ``r, alpha, a, b`` (chain, draw, segment) and
        ``r_population, …`` (chain, draw), α in days; ``sample_stats`` holds the sampler's
        statistics; ``spend``, if the log has amounts, holds the same two groups for ``p, q, v``,
        v in the currency of the log.
    rule
        Assigns a state to a segment.
    dropout
        When customers may leave: BG/NBD or MBG/NBD.
    record, diagnostics
        The data and settings of the fit, and whether its draws can be trusted.
    version
        First 12 hexadecimal digits of the hash of the draws; "unsaved" before they are saved.
    """

    def probability_alive(self, customers: Customers, *, level: float = 0.9) -> pd.DataFrame:
        """Return the probability that each customer has not left.

        Parameters
        ----------
        customers
            frequency, recency, T (days, or timedeltas) and, where known, monetary_value, segment,
            customer_id; or a log from ``read_transactions``, summarised at its observation end.
        level
            Mass of the equal-tailed interval.

        Returns
        -------
        One row per customer in the caller's order: segment, mean, lower, upper.

        Raises
        ------
        InputError
            If a customer's row, a segment name or the level is invalid.
        """
        from bayes_clv.posterior.mixtures import probability_alive

        return self._answers(customers, level, probability_alive())

    def probability_of_purchase(
        self, customers: Customers, horizon: Days, *, level: float = 0.9
    ) -> pd.DataFrame:
        """Return P(at least one purchase within ``horizon`` days); see ``probability_alive``."""
        from bayes_clv.posterior.mixtures import probability_of_purchase

        horizon = arguments.days("horizon", horizon)
        return self._answers(customers, level, probability_of_purchase(horizon))

    def expected_purchases(
        self, customers: Customers, horizon: Days, *, level: float = 0.9
    ) -> pd.DataFrame:
        """Return the expected number of purchases within ``horizon`` days.

        The interval is that of the *expectation*; ``sample_purchases`` gives that of the outcome.
        """
        from bayes_clv.posterior.mixtures import expected_purchases

        horizon = arguments.days("horizon", horizon)
        return self._answers(customers, level, expected_purchases(horizon))

    def sample_purchases(
        self, customers: Customers, horizon: Days, *, level: float = 0.9, seed: int = 0
    ) -> pd.DataFrame:
        """Sample the number of purchases within ``horizon`` days, one outcome per posterior draw.

        ``lower`` and ``upper`` bound the number of purchases itself, not its expectation. They
        depend on the seed and on the customer's own state, not on the other customers in the table.
        """
        from bayes_clv.posterior.outcomes import sample_purchases

        outcome = sample_purchases(arguments.days("horizon", horizon), arguments.seed(seed))
        return self._answers(customers, level, outcome=outcome)

    def expected_spend(self, customers: Customers, *, level: float = 0.9) -> pd.DataFrame:
        """Return the expected spend per purchase; see ``probability_alive``.

        Customers whose monetary_value is unknown, or who have no repeat purchase, get the expected
        spend of their segment. A mean of 0 over repeat purchases is known: less is expected.
        """
        from bayes_clv.posterior.mixtures import expected_spend

        return self._answers(customers, level, expected_spend(), money=True)

    def customer_lifetime_value(
        self,
        customers: Customers,
        horizon: Days = VALUE_HORIZON,
        *,
        annual_discount_rate: float = ANNUAL_DISCOUNT_RATE,
        margin: float = MARGIN,
        level: float = 0.9,
    ) -> pd.DataFrame:
        """Return the expected value of the purchases within ``horizon`` days.

        The interval is that of the *expectation*; ``sample_value`` gives that of the outcome.
        Purchases and spend are multiplied draw by draw: no average is taken before the product.

        Parameters
        ----------
        customers
            As for ``probability_alive``; total_spend, where known, is all spend so far.
        horizon
            Days ahead.
        annual_discount_rate
            Discount rate per year: with 0.1, an amount of 1.10 in a year is worth 1 today.
        margin
            Profit per unit of spend; it also applies to past spend.
        level
            Mass of the equal-tailed interval.

        Returns
        -------
        One row per customer in the caller's order: segment, mean, lower, upper, in the currency of
        the log. With total_spend also past, which is margin × total_spend, and total, which is
        past + mean.
        """
        from bayes_clv.posterior.mixtures import expected_value

        customers = as_customers(customers)
        terms = ValueTerms(arguments.days("horizon", horizon), annual_discount_rate, margin)
        answers = self._answers(customers, level, expected_value(terms), money=True)
        if "total_spend" in customers:
            past = terms.margin * numbers(customers, "total_spend", allow_missing=True)
            answers = answers.assign(past=past, total=past + answers["mean"])
        return answers

    def sample_value(
        self,
        customers: Customers,
        horizon: Days = VALUE_HORIZON,
        *,
        annual_discount_rate: float = ANNUAL_DISCOUNT_RATE,
        margin: float = MARGIN,
        level: float = 0.9,
        seed: int = 0,
    ) -> pd.DataFrame:
        """Sample the value of the purchases within ``horizon`` days, one outcome per draw.

        ``lower`` and ``upper`` bound the value itself, not its expectation. They depend on the seed
        and on the customer's own state and spend, not on the other customers in the table.
        """
        from bayes_clv.posterior.outcomes import sample_value

        horizon = arguments.days("horizon", horizon)
        terms = ValueTerms(horizon, annual_discount_rate, margin)
        outcome = sample_value(terms, arguments.seed(seed))
        return self._answers(customers, level, outcome=outcome, money=True)

    def compare_segments(
        self,
        customers: Customers | None = None,
        *,
        horizon: Days = COMPARISON_HORIZON,
        value_horizon: Days = VALUE_HORIZON,
        annual_discount_rate: float = ANNUAL_DISCOUNT_RATE,
        margin: float = MARGIN,
        level: float = 0.9,
    ) -> SegmentComparison:
        """Compare churn between segments.

        Parameters
        ----------
        customers
            By default the customers of the fit at its observation end; their comparison is stored
            in the posterior.
        horizon
            Days ahead for "buys again" and expected purchases.
        value_horizon, annual_discount_rate, margin
            The terms of value, as for ``customer_lifetime_value``; a posterior without spend
            ignores them.
        level
            Mass of the intervals.

        Raises
        ------
        InputError
            If an argument is invalid, or the stored comparison has another horizon or other terms
            of value.
        """
        arguments.tails(level)
        horizon = arguments.days("horizon", horizon)
        value_horizon = arguments.days("value_horizon", value_horizon)
        terms = ValueTerms(value_horizon, annual_discount_rate, margin) if self.has_spend else None
        if customers is not None:
            from bayes_clv.posterior.totals import Tally, draws_by_segment

            states = States.from_frame(as_customers(customers))
            tally = Tally.of_customers(states, self.assigned(states))
            model = self.model(money=terms is not None)
            draws = draws_by_segment(model, self.segment_names, tally, horizon, terms)
            return SegmentComparison(draws, level)
        if not self.has_comparison:
            raise InputError("this posterior holds no comparison: give the customers to compare")
        return SegmentComparison.stored(self.tree["segments"].to_dataset(), horizon, terms, level)

    def answer(
        self,
        frequency: float,
        recency: float,
        T: float,
        *,
        monetary_value: float | None = None,
        segment: str | None = None,
        horizon: Days = COMPARISON_HORIZON,
        level: float = 0.9,
    ) -> Answer:
        """Return P(alive) and P(purchase) of one customer: the fast path of the service.

        Raises
        ------
        InputError
            If the level, the horizon or the segment's name is invalid. The caller must check the
            state: see :class:`bayes_clv.data.states.States`.
        """
        from bayes_clv.posterior.one_customer import answer_one

        tails = arguments.tails(level)
        horizon = arguments.days("horizon", horizon)
        spend = np.nan if monetary_value is None else monetary_value
        if segment is not None:
            code = code_of(self.rule, segment)
        else:
            code = self.rule.assign_one(frequency, recency, T, spend)
        weights = [(code, 1.0)]
        if segment is None and self.rule.soft:
            weights = noticeable_one(self.rule.weights_one(frequency, recency, T, spend))
        state = float(frequency), float(recency), float(T)
        summary = answer_one(self._model, weights, state, horizon, tails).tolist()
        alive, purchase = (Estimate(*row) for row in summary)
        return Answer(alive, purchase, level, horizon, self.answerable[code], self.dropout)

    def save(self, path: str | PathLike[str], *, force: bool = False) -> str:
        """Write the model file, read it back, and return its version.

        Raises
        ------
        ArtifactError
            If it cannot be written, or ``path`` is a file of another kind and ``force`` is false.
        """
        path = arguments.path("path", path)
        content = self.tree, self.rule, self.dropout, self.record, self.diagnostics
        return artifact.write(path, *content, force=force)

    def _answers(
        self,
        customers: Customers,
        level: float,
        quantity: "Quantity | None" = None,
        outcome: "Outcome | None" = None,
        *,
        money: bool = False,
    ) -> pd.DataFrame:
        from bayes_clv.posterior.answers import answer_customers, as_frame

        tails, model = arguments.tails(level), self.model(money=money)
        customers = as_customers(customers)
        states = States.from_frame(customers)
        assigned = self.assigned(states)
        (summary,) = answer_customers(
            model,
            assigned,
            states,
            [] if quantity is None else [quantity],
            [] if outcome is None else [outcome],
            tails=tails,
        )
        return as_frame(customers, self.answerable, assigned.codes, summary)

    def model(self, *, money: bool = False) -> "ModelDraws":
        """Return the draws that answers need, with those of spend if ``money`` is asked for.

        Raises
        ------
        InputError
            If spend was not fitted.
        """
        return replace(self._model, spend=self.spend_parameters) if money else self._model

    @cached_property
    def _model(self) -> "ModelDraws":
        from bayes_clv.posterior.mixtures import ModelDraws

        return ModelDraws(self.parameters, self.dropout, self.reactivation)

    def codes(self, states: States) -> Codes:
        """Segment codes: those of given segment names, else the rule's; −1 is the population."""
        return assign_named(self.rule, states)

    def assigned(self, states: States, codes: Codes | None = None) -> "Assigned":
        """Return the segments of customers: to what they belong, and what they are named after.

        Parameters
        ----------
        states
            ``(customer,)``
        codes
            ``(customer,)`` of the segments that the rule names them after, where they are known.
        """
        from bayes_clv.posterior.state_groups import Assigned

        if codes is None:
            codes = self.codes(states)
        if not self.rule.soft:
            return Assigned(codes)
        return Assigned(codes, self.rule, given_names(states))


def load_posterior(path: str | PathLike[str]) -> Posterior:
    """Read a model file and check it: see :mod:`bayes_clv.posterior.artifact`.

    Raises
    ------
    ArtifactError
        If the file is refused; the message is one line that gives the reason.
    """
    stored = artifact.read(arguments.path("path", path))
    return Posterior(
        stored.tree, stored.rule, stored.dropout, stored.record, stored.diagnostics, stored.version
    )

"""All answers about each customer of a table in one pass, for scores and the service's batches."""

from collections.abc import Sequence

import pandas as pd

from bayes_clv import arguments
from bayes_clv.arguments import Days
from bayes_clv.data.states import States, numbers
from bayes_clv.posterior import mixtures, outcomes
from bayes_clv.posterior.answers import answer_customers, as_frame
from bayes_clv.posterior.discounting import ValueTerms
from bayes_clv.posterior.mixtures import Quantity
from bayes_clv.posterior.outcomes import Outcome
from bayes_clv.posterior.posterior import Posterior
from bayes_clv.segments.rules import Codes


def expectations(
    posterior: Posterior,
    customers: pd.DataFrame,
    horizon: float,
    terms: ValueTerms | None = None,
    *,
    money: bool = True,
    level: float = 0.9,
) -> dict[str, pd.DataFrame]:
    """Return every expected quantity for each customer, by name, with credible intervals.

    Parameters
    ----------
    posterior, customers, level
        As for the methods of ``Posterior``.
    horizon
        Days ahead for purchases.
    terms
        The terms of value; None leaves expected_value out.
    money
        Whether to include spend and value, where spend was fitted.

    Returns
    -------
    prob_alive, prob_purchase, expected_purchases; where spend was fitted, expected_spend (per
    purchase) and, with ``terms``, expected_value. Each is a table like that of
    ``Posterior.probability_alive``; the intervals are those of the expectation.
    """
    money = money and posterior.has_spend
    return _answers(posterior, customers, _quantities(horizon, terms, money=money), {}, level)


def score_customers(
    posterior: Posterior,
    customers: pd.DataFrame,
    horizon: float,
    terms: ValueTerms | None = None,
    *,
    value: bool = True,
    level: float = 0.9,
    seed: int = 0,
    codes: Codes | None = None,
) -> pd.DataFrame:
    """Return the customers with their segment and every answer.

    Parameters
    ----------
    posterior, customers, level, seed
        As for the methods of ``Posterior``.
    horizon
        Days ahead for purchases.
    terms
        The terms of value; by default a horizon of one year.
    value
        Whether to include spend and value, where spend was fitted.
    codes
        ``(customer,)`` of the segments that the rule names the customers after, where an engine
        has assigned them already.

    Returns
    -------
    One row per customer in the caller's order: the columns given, then segment, then prob_alive,
    prob_purchase and expected_purchases with ``_lower`` and ``_upper`` (intervals of the
    expectation), then purchases_lower and purchases_upper (interval of the outcome itself); where
    spend was fitted, expected_spend (per purchase) and expected_value with ``_lower`` and
    ``_upper``, value_lower and value_upper (of the outcome) and, where total_spend is given,
    past_value and total_value (past and expected); then dropout, which tells the model: BG/NBD or
    MBG/NBD.
    """
    money, terms = value and posterior.has_spend, terms or ValueTerms()
    seed = arguments.seed(seed)
    sampled = {"purchases": outcomes.sample_purchases(arguments.days("horizon", horizon), seed)}
    if money:
        sampled["value"] = outcomes.sample_value(terms, seed)
    quantities = _quantities(horizon, terms, money=money)
    answers = _answers(posterior, customers, quantities, sampled, level, codes)
    scores = customers.drop(columns="segment", errors="ignore")
    scores["segment"] = answers["prob_alive"]["segment"]
    columns = ["prob_alive", "prob_purchase", "expected_purchases", "purchases"]
    for name in columns + (["expected_spend", "expected_value", "value"] if money else []):
        answer = answers[name]
        if name not in sampled:
            scores[name] = answer["mean"]
        scores[f"{name}_lower"], scores[f"{name}_upper"] = answer["lower"], answer["upper"]
    if money and "total_spend" in customers:
        past = terms.margin * numbers(customers, "total_spend", allow_missing=True)
        scores["past_value"], scores["total_value"] = past, past + scores["expected_value"]
    scores["dropout"] = posterior.dropout.value
    return scores


def _quantities(horizon: Days, terms: ValueTerms | None, *, money: bool) -> dict[str, Quantity]:
    horizon = arguments.days("horizon", horizon)
    asked = {
        "prob_alive": mixtures.probability_alive(),
        "prob_purchase": mixtures.probability_of_purchase(horizon),
        "expected_purchases": mixtures.expected_purchases(horizon),
    }
    if money:
        asked["expected_spend"] = mixtures.expected_spend()
        if terms:
            asked["expected_value"] = mixtures.expected_value(terms)
    return asked


def _answers(
    posterior: Posterior,
    customers: pd.DataFrame,
    quantities: dict[str, Quantity],
    sampled: dict[str, Outcome],
    level: float,
    codes: Codes | None = None,
) -> dict[str, pd.DataFrame]:
    tails, states = arguments.tails(level), States.from_frame(customers)
    assigned = posterior.assigned(states, codes)
    model = posterior.model(money="expected_spend" in quantities)
    asked: Sequence[Quantity] = list(quantities.values())
    summary = answer_customers(model, assigned, states, asked, list(sampled.values()), tails=tails)
    return {
        name: as_frame(customers, posterior.answerable, assigned.codes, of_quantity)
        for name, of_quantity in zip((*quantities, *sampled), summary, strict=True)
    }

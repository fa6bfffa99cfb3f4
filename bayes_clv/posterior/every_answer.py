"""All answers about each customer of a table, for scores and for the service's batches."""

from dataclasses import asdict

import pandas as pd

from bayes_clv.posterior.discounting import ValueTerms
from bayes_clv.posterior.posterior import Posterior


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
    answers = {
        "prob_alive": posterior.probability_alive(customers, level=level),
        "prob_purchase": posterior.probability_of_purchase(customers, horizon, level=level),
        "expected_purchases": posterior.expected_purchases(customers, horizon, level=level),
    }
    if money and posterior.has_spend:
        answers["expected_spend"] = posterior.expected_spend(customers, level=level)
        if terms:
            answers["expected_value"] = posterior.customer_lifetime_value(
                customers, **asdict(terms), level=level
            )
    return answers


def score_customers(
    posterior: Posterior,
    customers: pd.DataFrame,
    horizon: float,
    terms: ValueTerms | None = None,
    *,
    value: bool = True,
    level: float = 0.9,
    seed: int = 0,
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
    terms = (terms or ValueTerms()) if value and posterior.has_spend else None
    expected = expectations(posterior, customers, horizon, terms, money=value, level=level)
    scores = customers.drop(columns="segment", errors="ignore")
    scores["segment"] = expected["prob_alive"]["segment"]

    def add_interval(name: str, answer: pd.DataFrame) -> None:
        scores[f"{name}_lower"], scores[f"{name}_upper"] = answer["lower"], answer["upper"]

    def add(*names: str) -> None:
        for name in names:
            scores[name] = expected[name]["mean"]
            add_interval(name, expected[name])

    add("prob_alive", "prob_purchase", "expected_purchases")
    sampled = posterior.sample_purchases(customers, horizon, level=level, seed=seed)
    add_interval("purchases", sampled)
    if terms:
        add("expected_spend", "expected_value")
        sampled = posterior.sample_value(customers, **asdict(terms), level=level, seed=seed)
        add_interval("value", sampled)
        valued = expected["expected_value"]
        if "past" in valued:
            scores["past_value"], scores["total_value"] = valued["past"], valued["total"]
    scores["dropout"] = posterior.dropout.value
    return scores

"""Every answer about every customer in one table, and that table in a file."""

from dataclasses import asdict
from pathlib import Path

import pandas as pd

from bayes_clv.errors import InputError
from bayes_clv.files import write_whole
from bayes_clv.posterior import Posterior
from bayes_clv.terms import Terms


def score_customers(
    posterior: Posterior,
    customers: pd.DataFrame,
    horizon: float,
    terms: Terms | None = None,
    *,
    level: float = 0.9,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the customers with their segment and every answer.

    Parameters
    ----------
    posterior, customers, level, seed
        As for the methods of the posterior.
    horizon
        Days ahead, of purchases.
    terms
        Those of value; by default a year ahead.

    Returns
    -------
    One row per customer in the caller's order: the columns given, then segment, then prob_alive,
    prob_purchase and expected_purchases with ``_lower`` and ``_upper`` (intervals of the
    expectation), then purchases_lower and purchases_upper (interval of the outcome itself); where
    spend was fitted, expected_spend (per purchase) and expected_value with ``_lower`` and
    ``_upper``, value_lower and value_upper (of the outcome) and, where total_spend is given,
    past_value and total_value (past and expected); then dropout, which says whose
    answers these are: BG/NBD's or MBG/NBD's.
    """
    scores = customers.drop(columns="segment", errors="ignore")

    def add(name: str, answer: pd.DataFrame, *, mean: bool = True) -> None:
        if mean:
            scores[name] = answer["mean"]
        scores[f"{name}_lower"], scores[f"{name}_upper"] = answer["lower"], answer["upper"]

    alive = posterior.probability_alive(customers, level=level)
    scores["segment"] = alive["segment"]
    add("prob_alive", alive)
    add("prob_purchase", posterior.probability_of_purchase(customers, horizon, level=level))
    add("expected_purchases", posterior.expected_purchases(customers, horizon, level=level))
    outcome = posterior.sample_purchases(customers, horizon, level=level, seed=seed)
    add("purchases", outcome, mean=False)
    if posterior.has_spend:
        on = asdict(terms or Terms())
        add("expected_spend", posterior.expected_spend(customers, level=level))
        value = posterior.customer_lifetime_value(customers, **on, level=level)
        add("expected_value", value)
        worth = posterior.sample_value(customers, **on, level=level, seed=seed)
        add("value", worth, mean=False)
        if "past" in value:
            scores["past_value"], scores["total_value"] = value["past"], value["total"]
    scores["dropout"] = posterior.dropout.value
    return scores


def check_target(path: Path) -> None:
    """Refuse a file that cannot be written to, before any work is done.

    Raises
    ------
    InputError
        When the ending is neither .parquet nor .csv, or there is no such folder.
    """
    if path.suffix not in (".parquet", ".csv"):
        raise InputError(f"--out must end in .parquet or .csv: {path.name}")
    if not path.parent.is_dir():
        raise InputError(f"--out {path} cannot be written: there is no folder {path.parent}")


def write_scores(scores: pd.DataFrame, path: Path) -> None:
    """Write a .parquet or .csv file, whole or not at all.

    Raises
    ------
    InputError
        When the target or the disk does not allow it.
    """
    check_target(path)
    write = scores.to_parquet if path.suffix == ".parquet" else scores.to_csv
    try:
        write_whole(path, lambda file: write(file, index=False))
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from None

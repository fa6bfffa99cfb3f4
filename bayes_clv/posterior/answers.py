"""Answers about customers, computed from all posterior draws of the parameters.

Customers who agree in all that an answer depends on are evaluated once, in blocks: memory is
bounded whatever the number of customers. All quantities asked for are computed in one pass, which
shares what they have in common.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np
import pandas as pd

from bayes_clv.data.states import States
from bayes_clv.numerics.quantiles import mean_and_quantiles
from bayes_clv.posterior.mixtures import Evaluator, ModelDraws, Quantity
from bayes_clv.posterior.outcomes import Outcome
from bayes_clv.posterior.state_groups import (
    Assigned,
    Floats,
    Group,
    distinct_cases,
    each_group,
)
from bayes_clv.segments.rules import Codes


def answer_customers(
    model: ModelDraws,
    assigned: Assigned,
    states: States,
    quantities: Sequence[Quantity] = (),
    outcomes: Sequence[Outcome] = (),
    *,
    tails: tuple[float, float],
) -> Floats:
    """Return the posterior mean and interval of each quantity and outcome for each customer.

    Parameters
    ----------
    model
        With spend, if money is asked for.
    assigned, states
        ``(customer,)``
    quantities, outcomes
        From :mod:`bayes_clv.posterior.mixtures` and :mod:`bayes_clv.posterior.outcomes`.
    tails
        Probabilities below the two ends of the interval.

    Returns
    -------
    ``(quantity or outcome, customer, 3)``: mean, lower, upper; outcomes come after quantities.
    """
    index, cases = distinct_cases(states, assigned, money=model.spend is not None)
    summary = np.empty((len(quantities) + len(outcomes), len(cases), 3))

    def summarise(group: Group) -> None:
        evaluate = Evaluator(model, group, quantities) if quantities else None
        samplers = [outcome(model, group) for outcome in outcomes]
        for block in group.blocks():
            values = [] if evaluate is None else list(evaluate(block))
            values += [sampled(block) for sampled in samplers]
            for q, of_case in enumerate(values):
                summary[q, block.rows] = mean_and_quantiles(of_case, tails)

    deque(each_group(summarise, cases), maxlen=0)
    return summary[:, index]


def as_frame(
    customers: pd.DataFrame, names: tuple[str, ...], codes: Codes, summary: Floats
) -> pd.DataFrame:
    """Return a table of each customer's segment, mean and interval, in the caller's order.

    Parameters
    ----------
    customers
        The table keeps their index and, if present, customer_id.
    names
        Names of the segments in the order of their codes; the population is last.
    codes, summary
        ``(customer,)`` and ``(customer, 3)``.
    """
    ids = {"customer_id": customers["customer_id"]} if "customer_id" in customers else {}
    estimates = dict(zip(("mean", "lower", "upper"), summary.T, strict=True))
    segment = np.array(names, dtype=object)[codes]
    return pd.DataFrame(ids | {"segment": segment} | estimates, index=customers.index)

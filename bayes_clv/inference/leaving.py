"""Which purchases may be a customer's last: the choice between BG/NBD and MBG/NBD by the log.

Both models have four parameters, so their log-likelihoods can be compared as they are. They are
those of one model for all customers: the landmark log-likelihood then telescopes to that of the
states at the observation end, which a group-by finds, and the mode of its posterior has four
components, so that the comparison takes a fraction of a second.

MBG/NBD is chosen only if its log-likelihood is larger by more than two standard errors of the
difference (Vuong 1989, Econometrica 57(2), for models that do not contain each other; customers
are the cases, and paired), and by more than 2, which the priors' pull alone can cause. Less is a
tie, for another sample of customers might turn it round, and a tie goes to BG/NBD, the model of the
literature. Where nobody seems to leave, the models are the same and tie.
"""

from typing import NamedTuple

import ibis
import numpy as np
from ibis import ir
from numpy.typing import NDArray

from bayes_clv.inference.coordinates import posterior_modes
from bayes_clv.inference.landmarks import LandmarkTable, landmark_table
from bayes_clv.inference.purchases.layout import LikelihoodLayout
from bayes_clv.inference.purchases.likelihood import value_and_gradient_by_eta
from bayes_clv.models.bgnbd import Dropout, Parameters, log_likelihood
from bayes_clv.models.hyperparameters import parameters_of
from bayes_clv.models.priors import Priors
from bayes_clv.posterior.choices import AUTO, DropoutChoice, is_tie
from bayes_clv.segments.rules import POPULATION

type Floats = NDArray[np.float64]

_LEVEL = 1e-4  # gradient at the mode: the log-likelihood is then known to a thousandth


class AtMode(NamedTuple):
    """A model without segments at the mode of its posterior.

    Attributes
    ----------
    parameters
        ``(1,)`` each, α in days.
    log_likelihood
        ``(row,)`` of one customer in each row of the table; durations in days.
    """

    parameters: Parameters
    log_likelihood: Floats


def choose_dropout(at_end: ir.Table, priors: Priors) -> DropoutChoice:
    """Choose the rule of leaving that the log speaks for.

    Parameters
    ----------
    at_end
        customer_id, landmark, frequency, recency, T (days), at the observation end.
    priors
        Of the model of purchases.
    """
    table = landmark_table(at_end.mutate(code=ibis.literal(POPULATION, "int64")))
    found = {rule: _at_mode(table, rule, priors) for rule in Dropout}
    totals = {
        rule: round(float(table.weight @ it.log_likelihood), 3) if it else None
        for rule, it in found.items()
    }
    repeat, after_any = (found[rule] for rule in (Dropout.AFTER_REPEAT, Dropout.AFTER_ANY))
    error, larger = None, repeat is None and after_any is not None
    if repeat is not None and after_any is not None:
        gain, error = paired_gain(repeat.log_likelihood, after_any.log_likelihood, table.weight)
        larger = gain > 0 and not is_tie(gain, error)
    return DropoutChoice(
        asked=AUTO,
        chosen=Dropout.AFTER_ANY if larger else Dropout.AFTER_REPEAT,
        after_repeat=totals[Dropout.AFTER_REPEAT],
        after_any=totals[Dropout.AFTER_ANY],
        error=None if error is None else round(error, 3),
    )


def at_mode(table: LandmarkTable, dropout: Dropout, priors: Priors) -> AtMode:
    """Return the model without segments at the mode of its posterior density.

    Parameters
    ----------
    table
        Of one landmark, so that weights count customers.
    dropout, priors
        Of the model.
    """
    layout = LikelihoodLayout.of(table, 0, table.mean_T, dropout)
    prior = priors.arrays()
    eta = posterior_modes(
        lambda at: value_and_gradient_by_eta(at, layout),
        prior.mean,
        prior.sd[None, :] ** 2,
        slope=_LEVEL,
    )
    r, alpha, a, b = parameters_of(eta)
    parameters = Parameters(r, alpha * table.mean_T, a, b)
    histories = table.frequency, table.recency, table.T
    return AtMode(parameters, log_likelihood(parameters, *histories, dropout))


def paired_gain(before: Floats, after: Floats, weight: Floats) -> tuple[float, float]:
    """Return the sum of differences, each counted ``weight`` times, and its standard error.

    Examples
    --------
    >>> paired_gain(np.zeros(2), np.array([1.0, -1.0]), np.array([2.0, 2.0]))
    (0.0, 2.0)
    """
    difference = after - before
    mean = weight @ difference / weight.sum()
    return float(weight @ difference), float(np.sqrt(weight @ (difference - mean) ** 2))


def _at_mode(table: LandmarkTable, dropout: Dropout, priors: Priors) -> AtMode | None:
    """``at_mode``, or None where it cannot be computed: extreme priors overflow."""
    try:
        with np.errstate(all="ignore"):
            found = at_mode(table, dropout, priors)
    except (ArithmeticError, ValueError):  # also of linear algebra
        return None
    return found if np.isfinite(found.log_likelihood).all() else None

"""What customers did between one landmark and the next: the factors of the likelihood, a row each.

The model describes a customer's history episode by episode: the time up to the first landmark, by
the population's parameters; the time from each landmark to the next, given the state at the first
of them and by the parameters of its segment; and the time after the log. So the episode is the unit
in which the model is compared with data, those of the fit and later ones. Without segments there is
one episode up to the observation end, and the check is the usual one of the literature.
"""

import datetime as dt
from dataclasses import dataclass, fields
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_clv.data.rfm import durations, summarise
from bayes_clv.data.states import States
from bayes_clv.data.transactions import Transactions
from bayes_clv.errors import InputError
from bayes_clv.posterior.posterior import Posterior
from bayes_clv.segments.rules import POPULATION, Codes

type Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Episodes:
    """Episodes of customers' histories, each ``(episode,)``.

    Attributes
    ----------
    begin
        Day of the log on which it begins, 0 its first; in a customer's first episode that of the
        first purchase.
    code
        The segment whose parameters describe it, or ``POPULATION``.
    frequency, recency, T
        The state in which it begins; all 0 in a customer's first episode. Days.
    days
        How long it is.
    purchases
        Purchase days in it, without the day on which it begins.
    held_out
        Whether it comes after the observation end of the fit.
    """

    begin: Floats
    code: Codes
    frequency: Floats
    recency: Floats
    T: Floats
    days: Floats
    purchases: NDArray[np.int64]
    held_out: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.days)

    def __getitem__(self, index: Any) -> "Episodes":
        """Index all columns alike."""
        return Episodes(*(getattr(self, field.name)[index] for field in fields(self)))

    @property
    def fitted(self) -> "Episodes":
        """The episodes of the fit's data."""
        return self[~self.held_out]

    @property
    def after(self) -> "Episodes":
        """The episodes after the fit's data."""
        return self[self.held_out]

    @property
    def idle_time(self) -> Floats:
        """Days since the last purchase, at the beginning."""
        return self.T - self.recency


def episodes(
    posterior: Posterior, transactions: Transactions, until: dt.date | None = None
) -> Episodes:
    """Cut a log at the landmarks of a fit, and once more where it ends.

    Parameters
    ----------
    posterior
        Fitted to this log, or to an earlier part of it.
    transactions
        The log, up to the end of the held-out time.
    until
        End of the held-out time; by default that of the log. Customers who first bought after the
        fit's observation end are left out.

    Raises
    ------
    InputError
        The log is another, or ends before the fit does.
    """
    record, until = posterior.record, until or transactions.end
    if transactions.start != record.start or not record.end <= until <= transactions.end:
        raise InputError(
            f"the log must begin on {record.start} and reach from {record.end}, as far as the fit "
            f"does, or beyond: it covers {transactions.start} … {transactions.end}"
        )
    dates = sorted({*record.landmarks, until})
    table = durations(summarise(transactions, dates))
    states = table.order_by("customer_id", "landmark").to_pandas()
    codes = posterior.rule.assign(States.from_frame(states))
    return _cut(states, codes, record.end, transactions.start)


def _cut(states: pd.DataFrame, codes: Codes, end: dt.date, start: dt.date) -> Episodes:
    """Turn states, ordered by customer and landmark, into the episodes that end in them."""
    customer = states["customer_id"].to_numpy()
    held_out = (states["landmark"] > pd.Timestamp(end)).to_numpy()
    first, T = days_since(start, states["first"]), states["T"].to_numpy(dtype=float)
    follows = np.append(False, customer[1:] == customer[:-1])
    before = np.maximum(np.arange(len(states)) - 1, 0)
    # A landmark on the day of the first purchase ends no episode: T is 0 there.
    opens = follows & ((T[before] > 0) | held_out)

    def at_opening(name: str) -> Floats:
        return np.where(opens, states[name].to_numpy(dtype=float)[before], 0.0)

    frequency, opening_T = at_opening("frequency"), at_opening("T")
    kept = (T > 0) & (follows | ~held_out)
    return Episodes(
        begin=first + opening_T,
        code=np.where(opens, codes[before], POPULATION),
        frequency=frequency,
        recency=at_opening("recency"),
        T=opening_T,
        days=T - opening_T,
        purchases=(states["frequency"].to_numpy() - frequency).astype(np.int64),
        held_out=held_out,
    )[kept]


def days_since(start: dt.date, dates: pd.Series) -> Floats:
    """Turn dates into days since ``start``."""
    days = (pd.to_datetime(dates) - pd.Timestamp(start)).dt.days
    return cast(Floats, days.to_numpy(dtype=float))

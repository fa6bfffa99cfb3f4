"""Episodes: what a customer did between successive landmarks, one factor of the likelihood each.

The model does not describe a customer's whole past at once, but one episode after another. The
first episode ends at the first landmark after the first purchase; its purchases depend on the
population's parameters. Each further episode runs from a landmark to the next; its purchases depend
on the state at its beginning and on the parameters of the segment that the state belongs to. A last
episode may follow the observation end. The episode is therefore the unit in which forecasts and
observations are compared, both in the data of the fit and in a holdout. Without segments there is
one episode up to the observation end, and the check is that of the literature.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_clv import arguments
from bayes_clv.data.dates import as_date
from bayes_clv.data.described import Described
from bayes_clv.data.given_log import as_log
from bayes_clv.data.rfm import durations, summarise
from bayes_clv.data.states import States
from bayes_clv.data.transactions import Transactions
from bayes_clv.errors import InputError
from bayes_clv.posterior.posterior import Posterior
from bayes_clv.segments.rules import POPULATION, Codes

type Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, repr=False)
class Episodes(Described):
    """Episodes of customers, each array ``(episode,)``.

    Attributes
    ----------
    begin
        Day on which the episode begins; the log's first day is 0. A customer's first episode begins
        on the day of the first purchase.
    code
        The segment whose parameters apply to the episode, or ``POPULATION``.
    frequency, recency, T
        The state at the beginning, in days; all 0 in a customer's first episode.
    days
        Length of the episode.
    purchases
        Number of purchase days in the episode, without the day on which it begins.
    held_out
        Whether the episode is after the observation end of the fit.
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
        """The episodes that the posterior was fitted to."""
        return self[~self.held_out]

    @property
    def after(self) -> "Episodes":
        """The episodes after the observation end of the fit."""
        return self[self.held_out]

    @property
    def idle_time(self) -> Floats:
        """Days since the last purchase, at the beginning of the episode."""
        return self.T - self.recency

    def _facts(self) -> Mapping[str, object]:
        return {"episodes": len(self.days), "held out": int(self.held_out.sum())}


def episodes(
    posterior: Posterior, transactions: Transactions, until: dt.date | None = None
) -> Episodes:
    """Divide a log into episodes, at the landmarks of a fit and at the end of the holdout.

    Customers who first bought after the fit's observation end are left out.

    Parameters
    ----------
    posterior
        Fitted to this log, or to the log until an earlier day.
    transactions
        The log, including the holdout.
    until
        Last day of the holdout; by default the log's last day.

    Raises
    ------
    InputError
        If the log does not begin on the first day of the fit's log, or ends before the fit's
        observation end.
    """
    arguments.instance("posterior", posterior, Posterior)
    transactions = as_log(transactions)
    record, until = posterior.record, transactions.end if until is None else as_date(until, "until")
    if transactions.start != record.start or not record.end <= until <= transactions.end:
        raise InputError(
            f"the log must begin on {record.start}, the first day of the fit, and the holdout must "
            f"end between {record.end}, the observation end, and the log's last day: the log "
            f"covers {transactions.start} … {transactions.end}, and until is {until}"
        )
    dates = sorted({*record.landmarks, until})
    table = durations(summarise(transactions, dates))
    states = table.order_by("customer_id", "landmark").to_pandas()
    codes = posterior.rule.assign(States.from_frame(states))
    return _cut(states, codes, record.end, transactions.start)


def _cut(states: pd.DataFrame, codes: Codes, end: dt.date, start: dt.date) -> Episodes:
    """Turn states, ordered by customer and landmark, into the episodes that end with them."""
    customer = states["customer_id"].to_numpy()
    held_out = (states["landmark"] > pd.Timestamp(end)).to_numpy()
    first, T = days_since(start, states["first"]), states["T"].to_numpy(dtype=float)
    follows = np.append(False, customer[1:] == customer[:-1])
    before = np.maximum(np.arange(len(states)) - 1, 0)
    # At a landmark on the day of the first purchase T is 0: the first episode continues.
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

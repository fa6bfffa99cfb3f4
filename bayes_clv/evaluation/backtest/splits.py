"""Splits of a log into past and holdout: origins and horizons of the forecasts."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from bayes_clv import arguments
from bayes_clv.data.dates import as_date
from bayes_clv.data.given_log import as_log
from bayes_clv.data.transactions import Transactions
from bayes_clv.errors import InputError

_FEWEST_DAYS = 12  # that a log must cover for three origins with horizons


@dataclass(frozen=True, slots=True)
class Split:
    """Fit to the log until ``origin``; forecast the ``horizon`` days after it."""

    origin: dt.date
    horizon: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "origin", as_date(self.origin, "origin"))
        object.__setattr__(self, "horizon", arguments.whole_days("horizon", self.horizon, least=0))

    @property
    def end(self) -> dt.date:
        """The last day that is forecast."""
        return self.origin + dt.timedelta(days=self.horizon)


def default_splits(start: dt.date, end: dt.date) -> tuple[Split, ...]:
    """Return three origins, at 1/2, 2/3 and 5/6 of the log, each with every horizon that fits.

    Horizons are 1/6, 1/3 and 1/2 of the log.

    Raises
    ------
    InputError
        If the log covers fewer than 12 days.
    """
    days = (end - start).days
    if days < _FEWEST_DAYS:
        raise InputError(f"a backtest needs a log of at least {_FEWEST_DAYS} days: it has {days}")
    splits = []
    for sixths in (3, 4, 5):
        origin = start + dt.timedelta(days=round(days * sixths / 6))
        for ahead in range(1, 6 - sixths + 1):
            to_the_end = ahead == 6 - sixths
            horizon = (end - origin).days if to_the_end else round(days * ahead / 6)
            splits.append(Split(origin, horizon))
    return tuple(splits)


def check_splits(
    transactions: Transactions, origins: Sequence[dt.date], horizons: Sequence[int]
) -> tuple[Split, ...]:
    """Return every origin with every horizon that ends within the log.

    Raises
    ------
    InputError
        If an origin is outside the log, a horizon is below 1 day, or no horizon fits.
    """
    transactions = as_log(transactions)
    origins = [as_date(origin, "an origin") for origin in origins]
    for origin in origins:
        if not transactions.start < origin < transactions.end:
            raise InputError(
                f"an origin must lie after {transactions.start} and before {transactions.end}: "
                f"{origin}"
            )
    horizons = [arguments.whole_days("a horizon", horizon) for horizon in horizons]
    splits = tuple(
        Split(origin, horizon)
        for origin in sorted(set(origins))
        for horizon in sorted(set(horizons)) or ((transactions.end - origin).days,)
        if origin + dt.timedelta(days=horizon) <= transactions.end
    )
    if not splits:
        raise InputError(
            f"at least one horizon must end by {transactions.end}, the observation end: "
            f"{', '.join(map(str, horizons))} days after {', '.join(map(str, origins))}"
        )
    return splits

"""Customers in any of the forms in which a caller may give them."""

import os
from typing import TYPE_CHECKING

import pandas as pd

from bayes_clv.data.states import DURATIONS
from bayes_clv.errors import InputError

if TYPE_CHECKING:
    from bayes_clv.data.transactions import Transactions

type Customers = "pd.DataFrame | Transactions"


def as_customers(given: object) -> pd.DataFrame:
    """Return a DataFrame of customers as it is; summarise a clean log at its observation end.

    Parameters
    ----------
    given
        A pandas DataFrame, a table with the method ``to_pandas`` (of Arrow, Ibis, Polars), or
        ``Transactions``. The columns are not checked here: see ``States.from_frame``.

    Raises
    ------
    InputError
        It is none of these.
    """
    if isinstance(given, pd.DataFrame):
        return given
    # Imported here: the service, which gives DataFrames, does without the engines.
    from bayes_clv.data.rfm import customers
    from bayes_clv.data.transactions import Transactions

    if isinstance(given, Transactions):
        return customers(given)
    to_pandas = getattr(given, "to_pandas", None)
    if callable(to_pandas) and not isinstance(given, type):
        table = to_pandas()
        if isinstance(table, pd.DataFrame):
            return table
    advice = ""
    if isinstance(given, str | os.PathLike):
        advice = f"; for a log, give read_transactions({os.fspath(given)!r})"
    raise InputError(
        f"customers must be a pandas DataFrame with {', '.join(DURATIONS)}, one row per customer, "
        f"or what read_transactions returns; got {type(given).__name__}{advice}"
    )

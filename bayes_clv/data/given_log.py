"""A log in any of the forms in which a caller may give it."""

import os

import ibis.expr.types as ir
import pandas as pd

from bayes_clv.data.reading import read_transactions
from bayes_clv.data.states import DURATIONS
from bayes_clv.data.transactions import Transactions
from bayes_clv.errors import InputError

type Log = Transactions | str | os.PathLike[str] | pd.DataFrame | ir.Table


def as_log(given: object) -> Transactions:
    """Return a clean log as it is; read a file, a DataFrame or an Ibis table with the defaults.

    Parameters
    ----------
    given
        ``Transactions``, or what ``read_transactions`` reads without options.

    Raises
    ------
    InputError
        It is neither; it holds one row per customer and not per purchase; or it cannot be read.

    Examples
    --------
    >>> log = pd.DataFrame({"customer": [1, 1, 2], "date": ["2024-01-01", "2024-02-01", None]})
    >>> as_log(log).ledger.rows_kept
    2
    """
    if isinstance(given, Transactions):
        return given
    if isinstance(given, pd.DataFrame | ir.Table) and set(DURATIONS) <= {*given.columns}:
        raise InputError(
            f"transactions must hold one row per purchase; a table with {', '.join(DURATIONS)} "
            "holds one per customer: give the log that it was made from"
        )
    if not isinstance(given, str | os.PathLike | pd.DataFrame | ir.Table):
        raise InputError(
            "transactions must be a path, a pandas DataFrame, an Ibis table, or what "
            f"read_transactions returns; got {type(given).__name__}"
        )
    return read_transactions(given)

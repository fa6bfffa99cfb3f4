"""The states of customers on a date: the model's only input about customers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_clv.data.described import Described
from bayes_clv.data.floats import floats
from bayes_clv.errors import InputError

DURATIONS = ("frequency", "recency", "T")


@dataclass(frozen=True, slots=True, repr=False)
class States(Described):
    """States of customers, one per element of each array.

    Attributes
    ----------
    frequency
        ``(customer,)`` repeat purchases; purchases on one day count once.
    recency
        ``(customer,)`` days from the first purchase to the last.
    T
        ``(customer,)`` days from the first purchase to the day of the state.
    monetary_value
        ``(customer,)`` mean spend per repeat purchase day; NaN where unknown.
    segment
        ``(customer,)`` the user's own segment names, or None.
    """

    frequency: NDArray[np.float64]
    recency: NDArray[np.float64]
    T: NDArray[np.float64]
    monetary_value: NDArray[np.float64]
    segment: NDArray[np.object_] | None = None

    def __len__(self) -> int:
        return len(self.frequency)

    @property
    def idle_time(self) -> NDArray[np.float64]:
        """Days since the last purchase."""
        return self.T - self.recency

    @property
    def repeat_spend(self) -> NDArray[np.float64]:
        """Mean spend per repeat purchase day if above 0, as segments see it; otherwise NaN."""
        known = (self.frequency > 0) & (self.monetary_value > 0)
        return np.where(known, self.monetary_value, np.nan)

    @property
    def known_spend(self) -> NDArray[np.float64]:
        """``repeat_spend`` as models of spend take it: 0 where repeat purchases cost nothing.

        All of them may have been refunded, which is known; NaN alone says that spend is unknown.
        """
        known = (self.frequency > 0) & (self.monetary_value >= 0)
        return np.where(known, self.monetary_value, np.nan)

    @classmethod
    def from_frame(cls, customers: pd.DataFrame) -> "States":
        """Read and validate a frame: frequency, recency, T; optionally monetary_value, segment.

        recency and T are numbers of days or timedeltas.

        Raises
        ------
        InputError
            A row breaks a rule; the message names the first such row, the rule and the value.
        """
        check_columns(customers)
        frequency, recency, T = (numbers(customers, name) for name in DURATIONS)
        _refuse(customers, "frequency", frequency < 0, "must not be negative")
        _refuse(customers, "frequency", frequency % 1 != 0, "must be a whole number")
        _refuse(customers, "T", T < 0, "must not be negative")
        _refuse(customers, "recency", recency < 0, "must not be negative")
        _refuse(customers, "recency", recency > T, "must not exceed T")
        _refuse(
            customers, "recency", (frequency == 0) & (recency > 0), "must be 0 where frequency is 0"
        )
        monetary_value = np.full(len(customers), np.nan)
        if "monetary_value" in customers.columns:
            monetary_value = numbers(customers, "monetary_value", allow_missing=True)
            _refuse(customers, "monetary_value", monetary_value < 0, "must not be negative")
        segment = None
        if "segment" in customers.columns:
            segment = customers["segment"].to_numpy(dtype=object)
        return cls(frequency, recency, T, monetary_value, segment)

    def _facts(self) -> Mapping[str, object]:
        return {"customers": len(self), "segments": "no" if self.segment is None else "own"}


def check_columns(customers: pd.DataFrame) -> None:
    """Raise InputError for what is no DataFrame with frequency, recency and T, once each."""
    if not isinstance(customers, pd.DataFrame):
        raise InputError(
            "customers must be a pandas DataFrame with the columns frequency, recency and T; "
            f"got {type(customers).__name__}"
        )
    missing = [name for name in DURATIONS if name not in customers.columns]
    if missing:
        raise InputError(
            f"customers lack {_join(missing)}; they need the columns frequency, recency and T, "
            f"and have {_join(list(customers.columns))}"
        )
    for name in (*DURATIONS, "monetary_value", "total_spend", "segment"):
        if isinstance(customers.get(name), pd.DataFrame):
            raise InputError(f"customers must have one column {name}; they have several")


def numbers(
    customers: pd.DataFrame, name: str, *, allow_missing: bool = False
) -> NDArray[np.float64]:
    """Read a column of finite numbers; recency and T may be timedeltas, and become days.

    Raises
    ------
    InputError
        A value is no finite number; the message names the first such row.
    """
    values = floats(customers[name], name, is_duration=name in ("recency", "T"))
    bad = np.isinf(values) if allow_missing else ~np.isfinite(values)
    _refuse(customers, name, bad, "must be finite")
    return values


def _refuse(customers: pd.DataFrame, name: str, broken: NDArray[np.bool_], rule: str) -> None:
    if not broken.any():
        return
    first = int(np.argmax(broken))
    # Taken from the column: a row as a Series would turn integers into floats.
    seen = customers[name].iloc[first]
    who = f"row {first}"
    if "customer_id" in customers.columns:
        who = f"customer {customers['customer_id'].iloc[first]}"
    others = int(broken.sum()) - 1
    also = f" (and {others:,} more)" if others else ""
    raise InputError(f"{name} {rule}: {who} has {seen}{also}")


def _join(names: Sequence[Any]) -> str:
    return ", ".join(map(str, names)) or "nothing"

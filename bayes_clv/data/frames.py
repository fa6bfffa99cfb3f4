"""A pandas DataFrame as a source: copied column by column, never changed."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from bayes_clv.data.engines import one_line
from bayes_clv.data.loading import Loaded, Source, connect
from bayes_clv.errors import InputError


class FrameSource(Source):
    """A pandas DataFrame; it is copied, never changed.

    The levels of the index that have a name are columns, too, before the others.

    Raises
    ------
    InputError
        The labels of its columns have several levels.
    """

    def __init__(self, frame: pd.DataFrame, name: str) -> None:
        if frame.columns.nlevels > 1:
            raise InputError(
                f"the columns of {name} must have one level of labels, such as 'amount'; they have "
                f"{frame.columns.nlevels}, such as {frame.columns[0]!r}; join them first"
                if len(frame.columns)
                else f"the columns of {name} must have one level of labels"
            )
        labels = [str(label) for label in frame.columns]
        # A level that is a column already, as after set_index(drop=False), is not offered twice.
        levels = [
            i
            for i, level in enumerate(frame.index.names)
            if level is not None and str(level) not in labels
        ]
        self.name, self._frame, self._levels = name, frame, levels
        self.columns = (*(str(frame.index.names[i]) for i in levels), *labels)

    def load(self, roles: Mapping[str, int]) -> Loaded:
        """Copy the columns into DuckDB."""
        connection = connect()
        try:
            arrays = {role: _to_arrow(self._column(i)) for role, i in roles.items()}
        except (pa.ArrowException, OverflowError) as error:
            raise InputError(f"{self.name} cannot be read: {one_line(error)}") from error
        connection.con.register("frame", pa.table(arrays))
        connection.con.execute("CREATE TABLE raw AS FROM frame")
        connection.con.unregister("frame")
        return Loaded(connection.table("raw"), worth_storing=True)

    def _column(self, position: int) -> "pd.Series[Any]":
        if position >= len(self._levels):
            return self._frame.iloc[:, position - len(self._levels)]
        return self._frame.index.get_level_values(self._levels[position]).to_series()


def _to_arrow(column: Any) -> Any:
    """Return a column that has one type in Arrow; zoned timestamps become their local time."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        whole = pd.api.types.is_integer_dtype(dtype.categories.dtype)
        column = column.astype(object if whole else dtype.categories.dtype)  # it may have gaps
    elif isinstance(dtype, pd.ArrowDtype) and pa.types.is_dictionary(dtype.pyarrow_dtype):
        return _to_arrow(column.astype(pd.ArrowDtype(dtype.pyarrow_dtype.value_type)))
    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.to_timestamp()
    if column.dtype == object:
        kind = pd.api.types.infer_dtype(column, skipna=True)
        if kind == "integer":
            return _whole(column)
        if kind in ("floating", "mixed-integer-float", "boolean", "datetime", "datetime64"):
            column = column.infer_objects()
        elif kind not in ("string", "date", "decimal", "empty"):
            return pa.array(map(as_text, column), "string")
    zone = getattr(getattr(column, "dt", None), "tz", None)
    if zone is not None:
        column = column.dt.tz_localize(None)
    return pa.Array.from_pandas(column)


def _whole(column: Any) -> pa.Array:
    """Return Python's whole numbers, which have no limit, in the first type that holds them all."""
    values = [None if pd.isna(value) else int(value) for value in column]
    for dtype in ("int64", "uint64"):
        try:
            return pa.array(values, dtype)
        except OverflowError:
            pass
    return pa.array(map(as_text, column), "string")


def as_text(value: Any) -> str | None:
    """Return a cell of a column of mixed types as the text that a person would type."""
    if not isinstance(value, str) and pd.api.types.is_scalar(value) and pd.isna(value):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)

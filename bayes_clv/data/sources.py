"""Sources of a log: files, DataFrames, Ibis tables and databases, behind one small interface.

Every file and DataFrame gets its own in-memory DuckDB, which lives as long as the tables that are
read from it, has a memory limit (`connect`) and spills the rest to disk. Tables and databases stay
in their own engine.
"""

import glob
import os
import shutil
import tempfile
import weakref
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends import BaseBackend
from ibis.common.exceptions import IbisError

from bayes_clv.data.engines import connect as connect_to
from bayes_clv.data.engines import find_table, is_url, one_line, place, use_zone
from bayes_clv.data.report import MALFORMED, Rejected
from bayes_clv.data.text import TEXT_SUFFIXES, TextFile
from bayes_clv.errors import InputError

AMOUNTS = ("amount", "quantity", "price")
SUFFIXES = (*TEXT_SUFFIXES, ".parquet", ".xlsx")
# Environment variable for DuckDB's memory limit, and the largest default limit in bytes.
MEMORY = "BAYES_CLV_MEMORY"
_LARGEST_SHARE = 4_000_000_000


@dataclass(frozen=True)
class Loaded:
    """A log whose columns are named by their roles.

    `rejected`: what the source holds that is not a row. `remarks`: what reading decided, one line
    each, for people. `worth_storing`: the cleaned log should be stored, not cleaned again in every
    query, because `table` is a copy already or parsing its text is costly. `untyped`: every column
    is text.
    """

    table: ir.Table
    rejected: tuple[Rejected, ...] = ()
    remarks: tuple[str, ...] = ()
    worth_storing: bool = False
    untyped: bool = False


class Source(ABC):
    """A log whose columns are not assigned to roles yet."""

    name: str
    columns: tuple[str, ...]

    @abstractmethod
    def load(self, roles: Mapping[str, int]) -> Loaded:
        """Read the columns that play a role, given as role -> position."""


def open_source(source: object, table: str | None, time_zone: str | None = None) -> Source:
    """Detect the kind of `source` and open it.

    Raises
    ------
    InputError
        `source` is of no known kind or cannot be read, or `table` does not fit it.
    """
    if isinstance(source, str) and is_url(source):
        return _open_url(source, table, time_zone)
    if isinstance(source, BaseBackend):
        if table is None:
            raise InputError("an Ibis connection needs the name of a table: table=")
        return _open_table(source, table, source.name, time_zone)
    if time_zone is not None:
        raise InputError(
            "time_zone (--time-zone) is for engines that store instants; the dates of this source "
            f"are in its own zone; got {time_zone!r}"
        )
    path = Path(source) if isinstance(source, str | os.PathLike) else None
    if table is not None and (path is None or path.suffix.lower() != ".xlsx"):
        raise InputError(
            f"table (--table) names a sheet of an .xlsx file or a table behind a connection; "
            f"got {table!r} for another kind of source"
        )
    if path is not None:
        return _open_file(path, table)
    if isinstance(source, pd.DataFrame):
        return FrameSource(source, "the DataFrame")
    if isinstance(source, ir.Table):
        try:
            source.get_backend()
        except IbisError as error:
            raise InputError(f"the Ibis table has no data behind it: {one_line(error)}") from error
        return TableSource(source, _table_name(source))
    raise InputError(
        "transactions must be a path, a pandas DataFrame, an Ibis table or connection, or a URL; "
        f"got {type(source).__name__}"
    )


def connect() -> Any:
    """Open an in-memory DuckDB that spills to disk.

    The environment variable `MEMORY` sets its memory limit, e.g. ``8GB`` or ``25%``. The default is
    half of DuckDB's own limit (80 % of the memory of the machine or container), but at most 4 GB.
    What does not fit goes to a folder under the system's temporary directory, which only its owner
    can read and which is removed with the connection.

    Raises
    ------
    InputError
        The variable is not an amount of memory.
    """
    # Its own folder: two databases that share a folder overwrite each other's spilled data.
    overflow = tempfile.mkdtemp(prefix="bayes_clv-")
    connection = ibis.duckdb.connect(temp_directory=overflow)
    weakref.finalize(connection, shutil.rmtree, overflow, ignore_errors=True)
    connection.con.execute("SET TimeZone = 'UTC'")  # days must not depend on the machine
    _limit_memory(connection.con)
    return connection


def _limit_memory(database: duckdb.DuckDBPyConnection) -> None:
    wanted = os.environ.get(MEMORY)
    if not wanted:
        default = "SELECT parse_formatted_bytes(current_setting('memory_limit'))"
        ((most,),) = database.execute(default).fetchall()
        wanted = f"{min(most // 2, _LARGEST_SHARE)}B"
    try:
        database.execute("SET memory_limit = $wanted", {"wanted": wanted})
    except duckdb.Error as error:
        raise InputError(
            f"{MEMORY} must be an amount of memory such as 8GB or 25%; got {wanted!r}"
        ) from error


def store(judged: ir.Table) -> ir.Table:
    """Store the rows of a log and their reasons in DuckDB, which spills to disk."""
    connection = judged.get_backend()
    stored = connection.create_table("judged", judged)
    connection.con.execute("DROP TABLE IF EXISTS raw")
    return stored


class TextSource(Source):
    """A delimited text file: all columns as text, so that one bad value affects no other."""

    def __init__(self, path: Path) -> None:
        self._file = TextFile.open(path)
        self.name, self.columns = path.name, self._file.columns

    def load(self, roles: Mapping[str, int]) -> Loaded:
        """Copy the columns into DuckDB, and count the lines that are not rows."""
        connection = connect()
        malformed = self._file.copy_to(connection.con, "raw", roles)
        rejected = (Rejected(MALFORMED, malformed),) if malformed else ()
        return Loaded(connection.table("raw"), rejected, worth_storing=True, untyped=True)


class ParquetSource(Source):
    """A Parquet file, which DuckDB scans again for every query instead of holding it."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._connection = connect()
        try:
            self._schema = pq.read_schema(path)
            self._table = self._connection.read_parquet(glob.escape(str(path)))
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise InputError(f"{path} is not a readable Parquet file: {one_line(error)}") from error
        self.columns = tuple(self._table.columns)

    def load(self, roles: Mapping[str, int]) -> Loaded:
        """Return a view of the columns."""
        name = self.columns[roles["date"]]
        zone = getattr(self._schema.field(name).type, "tz", None)
        if zone is not None:
            self._use_zone(zone)
        table = _select(self._table, roles)
        text = any(table[role].type().is_string() for role in ("date", *AMOUNTS) if role in roles)
        return Loaded(table, worth_storing=text)

    def _use_zone(self, zone: str) -> None:
        """Read timestamps in the zone that the file was written with."""
        try:
            self._connection.con.execute(f"SET TimeZone = '{zone.replace(chr(39), '')}'")
        except duckdb.Error as error:
            raise InputError(
                f"the dates of {self.name} are in the time zone {zone!r}, which DuckDB does "
                "not know; write them as local dates or in a named zone such as Europe/Paris"
            ) from error


class FrameSource(Source):
    """A pandas DataFrame, or a sheet that pandas read; it is copied, never changed."""

    def __init__(self, frame: pd.DataFrame, name: str) -> None:
        self.name, self._frame = name, frame
        self.columns = tuple(str(label) for label in frame.columns)

    def load(self, roles: Mapping[str, int]) -> Loaded:
        """Copy the columns into DuckDB."""
        connection = connect()
        columns = {role: _plain(self._frame.iloc[:, i]) for role, i in roles.items()}
        try:
            arrays = {r: pa.Array.from_pandas(column) for r, column in columns.items()}
        except pa.ArrowException as error:
            raise InputError(f"{self.name} cannot be read: {one_line(error)}") from error
        connection.con.register("frame", pa.table(arrays))
        connection.con.execute("CREATE TABLE raw AS FROM frame")
        connection.con.unregister("frame")
        return Loaded(connection.table("raw"), worth_storing=True)


class TableSource(Source):
    """A table in any engine that Ibis supports; that engine does all the work."""

    def __init__(self, table: ir.Table, name: str) -> None:
        self.name, self._table = name, table
        self.columns = tuple(table.columns)

    def load(self, roles: Mapping[str, int]) -> Loaded:
        """Return a view of the columns."""
        return Loaded(_select(self._table, roles))


def _open_file(path: Path, table: str | None) -> Source:
    suffix = path.suffix.lower()
    if path.is_dir():
        raise InputError(f"{path} is a directory; give one file ({', '.join(SUFFIXES)})")
    if not path.exists():
        raise InputError(f"{path} does not exist; give a file, or a URL such as duckdb://shop.db")
    if suffix not in SUFFIXES:
        raise InputError(f"{path} ends in {suffix!r}; a file must end in {', '.join(SUFFIXES)}")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty: it has no header and no rows")
    if suffix == ".parquet":
        return ParquetSource(path)
    if suffix == ".xlsx":
        return FrameSource(_read_sheet(path, table), path.name)
    return TextSource(path)


def _read_sheet(path: Path, table: str | None) -> pd.DataFrame:
    """Read one sheet, by default the first, with every cell as Excel stores it."""
    try:
        with pd.ExcelFile(path, engine="calamine") as book:
            sheets = [str(sheet) for sheet in book.sheet_names]
            if table is not None and table not in sheets:
                raise InputError(
                    f"{path} has no sheet {table!r} (--table); its sheets are {sheets}"
                )
            # By default pandas reads the country or customer 'NA' as a missing value.
            frame = pd.read_excel(
                book,
                sheet_name=table or sheets[0],
                dtype=object,
                keep_default_na=False,
                na_values=[""],
            )
    except InputError:
        raise
    # calamine raises bare Exceptions.
    except Exception as error:
        raise InputError(f"{path} is not a readable workbook: {one_line(error)}") from error
    return frame.dropna(how="all")


def _open_url(url: str, table: str | None, time_zone: str | None) -> Source:
    if table is None:
        scheme = url.partition("://")[0]
        raise InputError(
            f"a connection URL ({scheme}://…) needs the name of a table: table= (--table)"
        )
    return _open_table(connect_to(url), table, place(url), time_zone)


def _open_table(
    connection: BaseBackend, table: str, where: str, time_zone: str | None
) -> TableSource:
    if time_zone is not None:
        use_zone(connection, time_zone)
    return TableSource(find_table(connection, table, where), f"{where} {table}")


def _table_name(table: ir.Table) -> str:
    try:
        return f"the Ibis table {table.get_name()}"
    except (AttributeError, IbisError):
        return "the Ibis table"


def _select(table: ir.Table, roles: Mapping[str, int]) -> ir.Table:
    return table.select(**{role: table[table.columns[i]] for role, i in roles.items()})


def _plain(column: Any) -> Any:
    """Return a column that has one type in Arrow; zoned timestamps become their local time."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.to_timestamp()
    if column.dtype == object:
        column = column.infer_objects()
    if column.dtype == object and pd.api.types.infer_dtype(column) != "date":
        return column.map(_text).astype("str")
    zoned = getattr(getattr(column, "dt", None), "tz", None) is not None
    return column.dt.tz_localize(None) if zoned else column


def _text(value: Any) -> str | None:
    """Return a cell of a column of mixed types as the text that a person would type."""
    if pd.isna(value):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)

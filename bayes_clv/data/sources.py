"""Sources of a log: files, DataFrames, Ibis tables and databases, behind one small interface.

Files and DataFrames are copied into a DuckDB of their own, or queried by it (`loading`). Tables and
databases stay in their own engine.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import pandas as pd
from ibis.backends import BaseBackend
from ibis.common.exceptions import IbisError

from bayes_clv.data.engines import connect as connect_to
from bayes_clv.data.engines import find_table, is_url, one_line, place, use_zone
from bayes_clv.data.frames import FrameSource
from bayes_clv.data.header import check_header_row
from bayes_clv.data.loading import Loaded, Source, connect, select
from bayes_clv.data.parquet import ParquetSource
from bayes_clv.data.paths import PARQUET, WORKBOOK, Files, find_files, unpack
from bayes_clv.data.report import Rejected
from bayes_clv.data.text import TextFile
from bayes_clv.data.workbooks import WorkbookSource
from bayes_clv.errors import InputError


def open_source(
    source: object,
    table: str | None,
    time_zone: str | None = None,
    *,
    header_row: int | None = None,
    encoding: str | None = None,
) -> Source:
    """Detect the kind of `source` and open it.

    Parameters
    ----------
    source
        A path, a folder, a pattern such as ``data/*.csv``, a list of paths, a DataFrame, an Ibis
        table or connection, or the URL of an engine.
    table
        Table of a connection, or sheet of a workbook.
    time_zone
        For engines that store instants.
    header_row
        Line of the header of text files and sheets, counted from 1; default: found.
    encoding
        Encoding of text files; default: found.

    Raises
    ------
    InputError
        `source` is of no known kind or cannot be read, or an option does not fit it.
    """
    is_file = isinstance(source, str | os.PathLike | list | tuple) and not is_url(source)
    if not is_file:
        for name, value in (("header_row", header_row), ("encoding", encoding)):
            if value is not None:
                option = name.replace("_", "-")
                raise InputError(f"{name} (--{option}) is for files; got {value!r}")
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
    if is_file:
        return _open_files(source, table, header_row, encoding)
    if table is not None:
        raise InputError(_NO_TABLE.format(table))
    if isinstance(source, pd.DataFrame):
        return FrameSource(source, "the DataFrame")
    if isinstance(source, ir.Table):
        try:
            source.get_backend()
        except IbisError as error:
            raise InputError(f"the Ibis table has no data behind it: {one_line(error)}") from error
        return TableSource(source, _table_name(source))
    raise InputError(
        "transactions must be a path, a list of paths, a pandas DataFrame, an Ibis table or "
        f"connection, or a URL; got {type(source).__name__}"
    )


class TextSource(Source):
    """Delimited text files: all columns as text, so that one bad value affects no other.

    Raises
    ------
    InputError
        A file cannot be read, or two files have other columns.
    """

    def __init__(
        self, files: Files, encoding: str | None = None, header_row: int | None = None
    ) -> None:
        self.name = files.name
        self._folder = tempfile.TemporaryDirectory(prefix="bayes_clv-")
        self._files = [
            TextFile.open(unpack(path, self._folder.name), encoding, header_row, path.name)
            for path in files.paths
        ]
        self.columns = self._files[0].columns
        for path, file in zip(files.paths[1:], self._files[1:], strict=True):
            _same(files.paths[0], self.columns, path, file.columns)

    def load(self, roles: Mapping[str, int]) -> Loaded:
        """Copy the columns into DuckDB, and count the lines that are not rows."""
        connection = connect()
        counts: Counter[str] = Counter()
        examples: dict[str, str] = {}
        for file in self._files:
            positions = dict(roles)
            if file.columns != self.columns:
                positions = {r: file.columns.index(self.columns[i]) for r, i in roles.items()}
            for each in file.copy_to(connection.con, "raw", positions):
                counts[each.reason] += each.rows
                examples.setdefault(each.reason, each.example)
        rejected = tuple(Rejected(reason, n, examples[reason]) for reason, n in counts.items())
        remarks = [file.how.remark for file in self._files if file.how.remark]
        if len(self._files) > 1:
            remarks.insert(0, f"{len(self._files)} files read as one log")
        return Loaded(
            connection.table("raw"), rejected, tuple(remarks), worth_storing=True, untyped=True
        )


def _same(one: Path, columns: Sequence[str], other: Path, others: Sequence[str]) -> None:
    """Refuse two files whose columns differ; their order may, where no name is repeated."""
    if columns == others or (len(set(columns)) == len(columns) and set(columns) == set(others)):
        return
    odd = [(n, one, other) for n in columns if n not in others]
    odd += [(n, other, one) for n in others if n not in columns]
    detail = "the order or number of columns differs"
    if odd:
        name, has, lacks = odd[0]
        detail = f"{str(has)!r} has {name!r} and {str(lacks)!r} has not"
    raise InputError(
        f"files of one log must have the same columns; {detail} (in {str(one)!r} and "
        f"{str(other)!r}); give them one by one or mend their headers"
    )


class TableSource(Source):
    """A table in any engine that Ibis supports; that engine does all the work."""

    def __init__(self, table: ir.Table, name: str) -> None:
        self.name, self._table = name, table
        self.columns = tuple(table.columns)

    def load(self, roles: Mapping[str, int]) -> Loaded:
        """Return a view of the columns."""
        return Loaded(select(self._table, roles))


_NO_TABLE = (
    "table (--table) names a sheet of an .xlsx file or a table behind a connection; got {!r} for "
    "another kind of source"
)


def _open_files(
    source: Any, table: str | None, header_row: int | None, encoding: str | None
) -> Source:
    if header_row is not None:
        check_header_row(header_row)
    files = find_files(source)
    if files.kind != WORKBOOK and table is not None:
        raise InputError(_NO_TABLE.format(table))
    if files.kind in (PARQUET, WORKBOOK) and encoding is not None:
        raise InputError(f"encoding (--encoding) is for text files; got {encoding!r}")
    if files.kind == PARQUET and header_row is not None:
        raise InputError(
            f"header_row (--header-row) is for text files and workbooks; got {header_row!r}"
        )
    if files.kind == PARQUET:
        return ParquetSource(files)
    if files.kind == WORKBOOK:
        return WorkbookSource(files.paths[0], table, header_row)
    return TextSource(files, encoding, header_row)


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

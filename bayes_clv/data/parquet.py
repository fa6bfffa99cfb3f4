"""Parquet: one file, or many files of one schema, queried where they are.

Folders named ``country=FR`` (Hive partitions) become columns, unless the files have a column of
that name. Timestamps are read in the zone that the files were written with; an offset such as
``+02:00`` is added.
"""

import re
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import duckdb
import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from bayes_clv.data.engines import one_line
from bayes_clv.data.loading import AMOUNTS, Loaded, Source, connect, select
from bayes_clv.data.paths import Files, is_plain, link
from bayes_clv.errors import InputError

_PARTITION = re.compile(r"([^=]+)=(.*)", re.DOTALL)
_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?(\d{2}))?")


class ParquetSource(Source):
    """Parquet files, which DuckDB scans again for every query instead of holding them."""

    def __init__(self, files: Files) -> None:
        self.name = files.name
        self._count = len(files.paths)
        self._connection = connect()
        # The largest values that Parquet states leave NaN out, and DuckDB believes them: it would
        # drop the tests that find NaN.
        self._connection.con.execute("SET disabled_optimizers = 'statistics_propagation'")
        schemas = [_read_schema(path) for path in files.paths]
        for path, schema in zip(files.paths[1:], schemas[1:], strict=True):
            _same(files.paths[0], schemas[0], path, schema)
        self._schemas = schemas
        keys = _partitions(files.paths, schemas[0])
        try:
            self._table = self._connection.read_parquet(
                self._readable(files.paths, keys),
                hive_partitioning=bool(keys),
                union_by_name=self._count > 1,
            )
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise InputError(
                f"{files.name} is not a readable Parquet file: {one_line(error)}"
            ) from error
        self.columns = tuple(self._table.columns)

    def load(self, roles: Mapping[str, int]) -> Loaded:
        """Return a view of the columns."""
        table = select(self._table, roles)
        zone = self._zone(roles["date"])
        if zone is not None:
            table = self._in_zone(table, zone)
        text = any(table[role].type().is_string() for role in ("date", *AMOUNTS) if role in roles)
        remarks = (f"{self._count} Parquet files read as one log",) if self._count > 1 else ()
        return Loaded(table, remarks=remarks, worth_storing=text)

    def _readable(self, paths: Sequence[Path], keys: Sequence[str]) -> list[str]:
        """Return paths that DuckDB takes as they are, by links in a folder where they are odd."""
        if not keys and all(map(is_plain, paths)):
            return [str(path) for path in paths]
        folder = tempfile.mkdtemp(prefix="bayes_clv-")
        weakref.finalize(self._connection, shutil.rmtree, folder, ignore_errors=True)
        made = []
        for i, path in enumerate(paths):
            parts = [_encode(part) for part in path.parts[:-1] if _PARTITION.fullmatch(part)]
            place = Path(folder, str(i), *(parts if keys else ()))
            place.mkdir(parents=True)
            made.append(link(path, str(place), "log.parquet"))
        return made

    def _zone(self, position: int) -> str | None:
        name, first = self.columns[position], self._schemas[0]
        fields = [each for schema in self._schemas for each in schema if each.name == name]
        if position < len(first):  # DuckDB renames repeated columns
            fields.insert(0, first.field(position))
        zones = (getattr(each.type, "tz", None) for each in fields)
        return next(filter(None, zones), None)

    def _in_zone(self, table: ir.Table, zone: str) -> ir.Table:
        """Read timestamps in the zone that the file was written with."""
        zone = "UTC" if zone == "Z" else zone
        # Ibis knows no nanoseconds in a zone.
        table = table.mutate(date=table.date.cast(dt.Timestamp(timezone="UTC")))
        offset = _OFFSET.fullmatch(zone)
        if offset:
            minutes = 60 * int(offset[2]) + int(offset[3] or 0)
            # The session's zone is UTC, so the day of the sum is the local day.
            away = ibis.interval(minutes=minutes if offset[1] == "+" else -minutes)
            return table.mutate(date=table.date + away)
        try:
            self._connection.con.execute(f"SET TimeZone = '{zone.replace(chr(39), '')}'")
        except duckdb.Error as error:
            raise InputError(
                f"the dates of {self.name} are in the time zone {zone!r}, which DuckDB does "
                "not know; write them as local dates or in a named zone such as Europe/Paris"
            ) from error
        return table


def _read_schema(path: Path) -> pa.Schema:
    try:
        with path.open("rb") as file:  # Arrow takes no names that are not UTF-8
            return pq.read_schema(file)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is not a readable Parquet file: {one_line(error)}") from error


def _same(one: Path, first: pa.Schema, other: Path, schema: pa.Schema) -> None:
    """Refuse two files whose columns differ in name or in kind."""
    missing = [(name, one, other) for name in first.names if name not in schema.names]
    missing += [(name, other, one) for name in schema.names if name not in first.names]
    if missing:
        name, has, lacks = missing[0]
        raise InputError(
            f"files of one log must have the same columns; {str(has)!r} has {name!r} and "
            f"{str(lacks)!r} has not"
        )
    for name in first.names:
        types = [each.field(each.get_field_index(name)).type for each in (first, schema)]
        kinds = {_kind(each) for each in types} - {"null"}
        if len(kinds) > 1:
            raise InputError(
                f"files of one log must have the same types; {name!r} is {types[0]} in "
                f"{str(one)!r} and {types[1]} in {str(other)!r}"
            )


def _kind(dtype: pa.DataType) -> str:
    """Return what must agree between files; numbers may be of several types, text too."""
    if pa.types.is_dictionary(dtype):
        return _kind(dtype.value_type)
    if pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_decimal(dtype):
        return "number"
    if pa.types.is_string(dtype) or pa.types.is_large_string(dtype):
        return "text"
    if pa.types.is_timestamp(dtype):
        return f"timestamp in {dtype.tz}"
    if pa.types.is_date(dtype):
        return "date"
    return str(dtype)


def _partitions(paths: Sequence[Path], schema: pa.Schema) -> list[str]:
    """Return the keys that the folders of all files have; none if a column has such a name."""
    keys = {
        tuple(match[1] for part in path.parts[:-1] if (match := _PARTITION.fullmatch(part)))
        for path in paths
    }
    if len(keys) != 1:
        return []
    (found,) = keys
    names = {name.casefold() for name in schema.names}
    return [] if any(key.casefold() in names for key in found) else list(found)


def _encode(part: str) -> str:
    """Return the name of a partition's folder in characters that DuckDB takes, which it decodes."""
    return (
        part if is_plain(Path(part.replace("=", "").replace("%", ""))) else quote(part, safe="=%")
    )

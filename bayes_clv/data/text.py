"""Delimited text files: separators, encodings, and every line read or counted as malformed.

DuckDB reads well-formed files. All its options are given and none is detected: options detected on
the first thousand lines can drop later rows. Where a stray quote makes DuckDB read following lines
into one field, and where columns are separated by spaces, the file is read line by line.
"""

import codecs
import csv
import glob
import itertools
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from bayes_clv.errors import InputError

TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
DELIMITERS = (",", ";", "\t", "|")
_CHUNK = 1 << 20
_BATCH = 100_000
# DuckDB reports at most this many characters of a line that it rejects.
_SHOWN = 10_000


@dataclass(frozen=True)
class TextFile:
    """A text file and how to read it.

    Parameters
    ----------
    path
        The file.
    encoding
        ``utf-8-sig`` (with or without a byte order mark) or ``latin-1``.
    delimiter
        One of `DELIMITERS`, or None for runs of white space.
    columns
        The header.
    regular
        DuckDB can read it as it is: UTF-8, one kind of line end, header on the first line.
    """

    path: Path
    encoding: str
    delimiter: str | None
    columns: tuple[str, ...]
    regular: bool

    @classmethod
    def open(cls, path: Path) -> "TextFile":
        """Scan the whole file for its encoding and line ends, and read the header.

        Raises
        ------
        InputError
            The file cannot be read, is not text, or holds nothing but blank lines.
        """
        try:
            encoding, line_ends = _survey(path)
            with path.open(encoding=encoding, newline=None) as lines:
                first, header = next(
                    ((i, line) for i, line in enumerate(lines) if line.strip()), (0, "")
                )
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from error
        if not header:
            raise InputError(f"{path} is empty: it has no header and no rows")
        delimiter = _delimiter(header)
        columns = _splitter(delimiter)(header)
        if columns is None:
            raise InputError(f"the header of {path} has an open quote: {header.strip()[:100]!r}")
        regular = encoding == "utf-8-sig" and len(line_ends) <= 1 and first == 0
        return cls(path, encoding, delimiter, tuple(c.strip() for c in columns), regular)

    def copy_to(
        self, connection: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, int]
    ) -> int:
        """Create a table of text columns, name -> position in the file.

        Returns
        -------
        int
            Number of malformed lines: another number of fields than the header, or open quotes.
        """
        if self.delimiter is not None:
            with self._regular_copy() as path:
                malformed = self._copy_fast(connection, path, table, columns)
            if malformed is not None:
                return malformed
        return self._copy_lines(connection, table, columns)

    @contextmanager
    def _regular_copy(self) -> Iterator[Path]:
        """Yield the file itself, or a temporary copy that DuckDB reads: UTF-8 and one line end."""
        if self.regular:
            yield self.path
            return
        handle, name = tempfile.mkstemp(suffix=".csv", prefix="bayes_clv-")
        try:
            with (
                self.path.open(encoding=self.encoding, newline=None) as lines,
                os.fdopen(handle, "w", encoding="utf-8", newline="\n") as copy,
            ):
                copy.write(next(line for line in lines if line.strip()))
                shutil.copyfileobj(lines, copy)
            yield Path(name)
        finally:
            os.unlink(name)

    def _copy_fast(
        self,
        connection: duckdb.DuckDBPyConnection,
        path: Path,
        table: str,
        columns: Mapping[str, int],
    ) -> int | None:
        """Read with DuckDB; return None if it fails or a rejected row spans several lines."""
        chosen = ", ".join(f'c{position} AS "{name}"' for name, position in columns.items())
        every = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(self.columns)))
        try:
            connection.execute(
                f"""
                CREATE OR REPLACE TABLE {table} AS SELECT {chosen} FROM read_csv(
                    $path, auto_detect = false, header = true, columns = {{{every}}},
                    delim = $delimiter, quote = '"', escape = '"', store_rejects = true
                )""",
                {"path": glob.escape(str(path)), "delimiter": self.delimiter},
            )
        except duckdb.Error:
            return None
        # One line may have several errors.
        ((malformed, spans_lines),) = connection.execute(
            """
            SELECT count(DISTINCT line), coalesce(bool_or(
                contains(trim(csv_line, chr(10) || chr(13)), chr(10)) OR length(csv_line) >= $shown
            ), false) FROM reject_errors""",
            {"shown": _SHOWN},
        ).fetchall()
        return None if spans_lines else int(malformed)

    def _copy_lines(
        self, connection: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, int]
    ) -> int:
        """Read line by line; each line is a row or malformed."""
        malformed = 0
        declared = ", ".join(f'"{name}" VARCHAR' for name in columns)
        connection.execute(f"CREATE OR REPLACE TABLE {table} ({declared})")
        split = _splitter(self.delimiter)
        with self.path.open(encoding=self.encoding, newline=None) as file:
            lines = (line for line in file if line.strip())
            next(lines)
            for batch in itertools.batched(lines, _BATCH):
                fields = [row for row in map(split, batch) if row and len(row) == len(self.columns)]
                malformed += len(batch) - len(fields)
                arrays = {n: pa.array([r[i] for r in fields], "string") for n, i in columns.items()}
                connection.register("batch", pa.table(arrays))
                connection.execute(f"INSERT INTO {table} FROM batch")
                connection.unregister("batch")
        return malformed


def _survey(path: Path) -> tuple[str, set[bytes]]:
    """Find the encoding and the kinds of line end in one pass over the bytes."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    encoding, line_ends = "utf-8-sig", set()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            if chunk.endswith(b"\r"):  # keep \r\n together
                chunk += file.read(1)
            if b"\x00" in chunk:
                raise InputError(
                    f"{path} is neither UTF-8 nor Latin-1 text (it holds zero bytes, as UTF-16 and "
                    "binary files do); save it as UTF-8"
                )
            pairs = chunk.count(b"\r\n")
            line_ends |= {b"\r\n"} if pairs else set()
            line_ends |= {end for end in (b"\r", b"\n") if chunk.count(end) > pairs}
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError:
                encoding = "latin-1"
                decoder.reset()
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        encoding = "latin-1"
    return encoding, line_ends


def _delimiter(header: str) -> str | None:
    """Find the delimiter of the header, ignoring quoted text."""
    bare = re.sub(r'"[^"]*"', "", header)
    best = max(DELIMITERS, key=bare.count)
    return best if best in bare else None


def _splitter(delimiter: str | None) -> Callable[[str], list[str] | None]:
    """Return a function from a line to its fields, or to None where a quote stays open."""
    if delimiter is None:
        return str.split

    def split(line: str) -> list[str] | None:
        try:
            return next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter, strict=True))
        except (csv.Error, StopIteration):
            return None

    return split

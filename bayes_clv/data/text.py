r"""Delimited text files: every line is a row, is counted under a reason, or is blank.

DuckDB reads well-formed files. All its options are given and none is detected: options detected on
the first thousand lines can drop later rows. It reads the file itself where that is UTF-8 with one
kind of line end and its header on top, else a temporary copy that is. Its rows and rejected lines
are then counted against the lines of the file. Where the count does not agree, where a stray quote
may have made it read rows into one field, and where columns are separated by spaces or quotes are
escaped by backslashes, the file is read line by line (`fields`).

A line break within a field is read as ``\n``.
"""

import itertools
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa

from bayes_clv.data.encodings import SHOWN, UTF_8, Block, Survey, read_blocks, survey
from bayes_clv.data.fields import LONGEST_LINE, Splitter, uses_backslashes
from bayes_clv.data.header import SAMPLE, Header, find_header
from bayes_clv.data.paths import readable
from bayes_clv.data.report import ABOVE_HEADER, MALFORMED, Rejected
from bayes_clv.errors import InputError

_BATCH = 100_000
# Characters of the first lines that are looked at; lines may be long.
_LARGEST_SAMPLE = 20_000_000
# Bytes of a record for DuckDB: more than a line of `LONGEST_LINE` characters can have.
_LONGEST_RECORD = 4 * LONGEST_LINE
# DuckDB reports at most this many characters of a line that it rejects.
_REPORTED = 10_000
# The regular expressions of DuckDB repeat a group at most so often.
_MOST_REPEATS = 1_000


@dataclass
class _Tally:
    """Rows read, and lines that are not rows: counts and one example for each reason."""

    rows: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def reject(self, reason: str, line: str, count: int = 1) -> None:
        self.counts[reason] += count
        self.examples.setdefault(reason, line[:SHOWN])

    def rejected(self) -> tuple[Rejected, ...]:
        return tuple(
            Rejected(reason, count, self.examples.get(reason, ""))
            for reason, count in self.counts.items()
        )


@dataclass(frozen=True)
class TextFile:
    """A text file and how to read it.

    Parameters
    ----------
    path
        The file.
    how
        Its encoding and what its bytes are like.
    header
        Where the header is, the delimiter, and the names of the columns.
    """

    path: Path
    how: Survey
    header: Header

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return self.header.names

    @classmethod
    def open(
        cls,
        path: Path,
        encoding: str | None = None,
        header_row: int | None = None,
        name: str | None = None,
    ) -> "TextFile":
        """Survey the whole file's bytes, and find the header.

        Parameters
        ----------
        path
            The file.
        encoding
            Its encoding, if the caller says so.
        header_row
            The header's line, counted from 1, if the caller says so.
        name
            What messages call the file; default: its own name.

        Raises
        ------
        InputError
            The file cannot be read, is not text, holds nothing but blank lines, or none of its
            lines is unmistakably the header.
        """
        try:
            how = survey(path, encoding, name)
            lines = _first_lines(path, how, SAMPLE + (header_row or 0))
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from error
        except UnicodeError as error:
            raise InputError(
                f"{path} cannot be read as {how.encoding}; say encoding= (--encoding)"
            ) from error
        header = find_header(lines, name or path.name, header_row)
        return cls(path, how, header)

    def copy_to(
        self, connection: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, int]
    ) -> tuple[Rejected, ...]:
        """Append the rows to a table of text columns, name -> position in the file.

        The table is created if it does not exist.

        Returns
        -------
        tuple of Rejected
            Lines that are not rows: above the header, too long, unreadable, or malformed (another
            number of fields than the header, or open quotes).
        """
        declared = ", ".join(f'"{name}" VARCHAR' for name in columns)
        connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({declared})")
        delimiter, backslash = self.header.delimiter, False
        if delimiter is not None and self.how.escaped_quotes:
            lines = (line for block in self._body(_Tally()) for line in block)
            backslash = uses_backslashes(lines, delimiter, self._fits)
        if delimiter is not None and not backslash:
            tally = self._copy_fast(connection, table, columns)
            if tally is not None:
                return tally.rejected()
        splitter = Splitter(delimiter, backslash=backslash)
        return self._copy_lines(connection, table, columns, splitter).rejected()

    def _fits(self, fields: list[str]) -> bool:
        """Whether the fields are a row; as DuckDB does, a delimiter at the end is forgiven."""
        width = len(self.columns)
        return len(fields) == width or (len(fields) == width + 1 and not fields[-1])

    # ---- by DuckDB

    def _copy_fast(
        self, connection: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, int]
    ) -> _Tally | None:
        """Read with DuckDB; None, and no rows, if it fails or its rows cannot be relied on."""
        with self._regular_copy() as (path, how, tally):
            source = self._reader(path)
            connection.execute("BEGIN")
            try:
                good = self._insert(connection, source, how, table, columns, tally)
            except duckdb.Error:
                good = False
            connection.execute("COMMIT" if good else "ROLLBACK")
            return tally if good else None

    def _reader(self, path: str) -> str:
        quoted = path.replace("'", "''")
        delimiter = str(self.header.delimiter).replace("'", "''")
        every = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(self.columns)))
        return (
            f"read_csv('{quoted}', auto_detect = false, header = true, columns = {{{every}}}, "
            f"delim = '{delimiter}', quote = '\"', escape = '\"', "
            f"max_line_size = {_LONGEST_RECORD}, hive_partitioning = false, store_rejects = true)"
        )

    def _insert(
        self,
        connection: duckdb.DuckDBPyConnection,
        source: str,
        how: Survey,
        table: str,
        columns: Mapping[str, int],
        tally: _Tally,
    ) -> bool:
        """Insert the rows and count them; return whether every line is accounted for."""
        for each in ("reject_errors", "reject_scans"):
            connection.execute(f"DROP TABLE IF EXISTS {each}")
        # A file with returns ends its lines, and those within fields, by \r\n.
        form = "replace(c{}, chr(13) || chr(10), chr(10))" if how.returns and how.quotes else "c{}"
        chosen = ", ".join(form.format(position) for position in columns.values())
        ((rows,),) = connection.execute(
            f"INSERT INTO {table} SELECT {chosen} FROM {source}"
        ).fetchall()
        # One line may have several errors.
        ((malformed, example, unclear),) = connection.execute(
            f"""
            SELECT count(DISTINCT line), arg_min(csv_line, line), coalesce(bool_or(
                contains(trim(csv_line, chr(10) || chr(13)), chr(10))
                OR length(csv_line) >= {_REPORTED} OR error_type = 'LINE SIZE OVER MAXIMUM'
            ), false)
            FROM reject_errors WHERE trim(csv_line, ' ' || chr(9) || chr(10) || chr(13)) <> ''"""
        ).fetchall()
        tally.rows = rows
        if malformed:
            tally.reject(MALFORMED, example or "", malformed)
            if unclear or how.backslashes:
                return False
        counted = 1 + rows + malformed  # the header has one line, in the copy too
        if counted == how.lines or counted == self._count_lines(how):
            return True
        return how.quotes and not malformed and not self._swallows(connection, source)

    def _count_lines(self, how: Survey) -> int:
        """Count the lines that are not blank."""
        if not how.plain or how is not self.how:
            return how.lines
        blocks = read_blocks(self.path, how)
        return sum(sum(map(_is_written, block.lines)) for block in blocks)

    def _swallows(self, connection: duckdb.DuckDBPyConnection, source: str) -> bool:
        """Whether a field holds a line that is a row itself, as it does after a stray quote."""
        width, delimiter = len(self.columns), str(self.header.delimiter)
        if width > _MOST_REPEATS:
            return True
        d = "\\t" if delimiter == "\t" else "\\" + delimiter
        row = rf"\n([^\n{d}]*{d}){{{width - 1}}}[^\n{d}]*\r?\n"
        tests = " OR ".join(f"regexp_matches(c{i}, $row)" for i in range(width))
        ((found,),) = connection.execute(
            f"SELECT coalesce(bool_or({tests}), false) FROM {source}", {"row": row}
        ).fetchall()
        return bool(found)

    # ---- line by line

    def _copy_lines(
        self,
        connection: duckdb.DuckDBPyConnection,
        table: str,
        columns: Mapping[str, int],
        splitter: Splitter,
    ) -> _Tally:
        """Read line by line; each line is part of a row, or rejected."""
        tally = _Tally()
        connection.execute("BEGIN")
        for batch in itertools.batched(self._rows(splitter, tally), _BATCH):
            arrays = {n: pa.array([row[i] for row in batch], "string") for n, i in columns.items()}
            connection.register("batch", pa.table(arrays))
            connection.execute(f"INSERT INTO {table} FROM batch")
            connection.unregister("batch")
            tally.rows += len(batch)
        connection.execute("COMMIT")
        return tally

    def _rows(self, splitter: Splitter, tally: _Tally) -> Iterator[list[str]]:
        """Yield the fields of each row, and count what is not a row."""
        delimiter = splitter.delimiter
        rest: list[str] = []
        for block in itertools.chain(self._body(tally), [None]):
            lines = rest + (block or [])
            at, end = 0, len(lines)
            while at < end:
                line = lines[at]
                if not line.strip():
                    at += 1
                    continue
                if delimiter is not None and '"' not in line and "\\" not in line:
                    fields = line.split(delimiter)
                    if self._fits(fields):
                        yield fields
                    else:
                        tally.reject(MALFORMED, line)
                    at += 1
                    continue
                record = splitter.record(lines, at, self._fits, final=block is None)
                if record is None:
                    break  # it may go on in the next block
                if record.fields is None:
                    tally.reject(MALFORMED, line)
                    at += 1
                else:
                    yield record.fields
                    at += record.lines
            rest = lines[at:]

    # ---- the lines below the header

    def _body(self, tally: _Tally) -> Iterator[list[str]]:
        """Yield blocks of the lines below the header that can be read, and count the others."""
        skip, number = self.header.line + self.header.lines, 0
        for block in read_blocks(self.path, self.how):
            lines = block.lines
            if number < skip:
                for line in lines[: max(self.header.line - number, 0)]:
                    if line.strip():
                        tally.reject(ABOVE_HEADER, line)
                block = _below(block, skip - number)
            number += len(lines)
            for i, reason in block.bad.items():
                tally.reject(reason, block.lines[i])
            yield (
                [s for i, s in enumerate(block.lines) if i not in block.bad]
                if block.bad
                else block.lines
            )

    @contextmanager
    def _regular_copy(self) -> Iterator[tuple[str, Survey, _Tally]]:
        """Yield the path, survey and tally of the file itself or of a temporary copy.

        The copy is UTF-8 with one kind of line end, and has no lines but the header and, below it,
        those that can be read.
        """
        if self.how.plain and self.header.line == 0 and self.header.lines == 1:
            with readable(self.path) as path:
                yield path, self.how, _Tally()
            return
        folder = tempfile.mkdtemp(prefix="bayes_clv-")
        try:
            copy = os.path.join(folder, "copy.csv")
            yield copy, *self._write(copy)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _write(self, path: str) -> tuple[Survey, _Tally]:
        tally, count = _Tally(), 1
        quotes = backslashes = False
        with open(path, "w", encoding="utf-8", newline="\n") as copy:
            copy.write(str(self.header.delimiter).join("c" * len(self.columns)) + "\n")
            for lines in self._body(tally):
                text = "\n".join(lines)
                quotes = quotes or '"' in text
                backslashes = backslashes or "\\" in text
                count += sum(map(_is_written, lines))
                copy.write(text + "\n" if lines else "")
        how = Survey(UTF_8, lines=count, quotes=quotes, backslashes=backslashes, returns=False)
        return how, tally


def _first_lines(path: Path, how: Survey, count: int) -> list[str]:
    lines: list[str] = []
    size = 0
    for block in read_blocks(path, how):
        lines += block.lines
        size += sum(map(len, block.lines))
        if len(lines) >= count or size > _LARGEST_SAMPLE:
            break
    return lines[:count]


def _is_written(line: str) -> bool:
    return line != "" and not line.isspace()


def _below(block: Block, skip: int) -> Block:
    return Block(block.lines[skip:], {i - skip: r for i, r in block.bad.items() if i >= skip})

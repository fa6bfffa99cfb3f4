r"""Fields of delimited lines: both ways of escaping a quote, and records that span lines.

A quote within quotes is written ``""`` (RFC 4180) or ``\"``. A line is read in the first way that
gives it as many fields as the header has:

1. by itself, with doubled quotes;
2. by itself, with backslashes as well;
3. together with the lines up to the one that closes its quote, in either way.

Where none does, the first line is malformed and reading goes on with the next one. So a stray quote
costs its own line and no other. It does not swallow rows either: a record is refused whose inner
lines are mostly rows themselves.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

# A quote that stays open over more lines is a stray one: people write notes of some lines.
MOST_LINES = 1_000
# Characters of a line, and of a record of several lines.
LONGEST_LINE = 500_000

_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True)
class Record:
    """Lines that belong together: their fields, or None where they are malformed."""

    fields: list[str] | None
    lines: int = 1


class Splitter:
    r"""Splits lines at a delimiter, or at runs of white space if it is None.

    >>> Splitter(";").split('1;"say ""hi""; please";5')
    ['1', 'say "hi"; please', '5']
    >>> Splitter(";").split(r'1;"say \"hi\"; please";5', backslash=True)
    ['1', 'say "hi"; please', '5']
    """

    def __init__(self, delimiter: str | None) -> None:
        self.delimiter = delimiter
        d = re.escape(delimiter or " ")
        self._doubled = re.compile(rf'(?:"([^"]*(?:""[^"]*)*)"|([^"{d}][^{d}]*)?)({d}|\Z)')
        self._backslashed = re.compile(
            rf'(?:"([^"\\]*(?:(?:""|\\.)[^"\\]*)*)"|((?:[^"{d}\\]|\\.)(?:[^{d}\\]|\\.)*)?)({d}|\Z)',
            re.DOTALL,
        )
        self._escapes = ("\\", '"', delimiter)

    def split(self, line: str, *, backslash: bool = False) -> list[str] | None:
        """Return the fields, or None where a quote stays open or text follows a closing one."""
        if self.delimiter is None:
            return line.split()
        if '"' not in line and not backslash:
            return line.split(self.delimiter)
        pattern = self._backslashed if backslash else self._doubled
        fields, at = [], 0
        while match := pattern.match(line, at):
            quoted, bare, end = match.groups()
            field = bare or "" if quoted is None else quoted.replace('""', '"')
            fields.append(_ESCAPED.sub(self._unescape, field) if backslash else field)
            at = match.end()
            if not end:
                return fields
        return None

    def _unescape(self, match: re.Match[str]) -> str:
        r"""Return an escaped character; other backslashes, as in \N, stand for themselves."""
        return match[1] if match[1] in self._escapes else match[0]

    def fit(self, line: str, fits: Callable[[list[str]], bool]) -> list[str] | None:
        """Return the fields of a line, read in the first way that `fits`, or None."""
        fields = self.split(line)
        if fields is not None and fits(fields):
            return fields
        if "\\" in line and self.delimiter is not None:
            fields = self.split(line, backslash=True)
            if fields is not None and fits(fields):
                return fields
        return None

    def record(
        self, lines: Sequence[str], first: int, fits: Callable[[list[str]], bool]
    ) -> Record | None:
        """Read the record that begins at ``lines[first]``.

        Returns
        -------
        Record or None
            None if the record may go on after the last of `lines`.
        """
        line = lines[first]
        fields = self.fit(line, fits)
        if fields is not None:
            return Record(fields)
        if '"' not in line or self.delimiter is None:
            return Record(None)
        # Each way has its own count of quotes so far; where it is even, the quote may be closed.
        quotes, unescaped = line.count('"'), _count_unescaped(line)
        if not quotes % 2 and not unescaped % 2:
            return Record(None)
        size, last = len(line), first
        while last - first < MOST_LINES and size <= LONGEST_LINE:
            last += 1
            if last == len(lines):
                return None
            line = lines[last]
            size += 1 + len(line)
            if '"' not in line:
                continue
            quotes, unescaped = quotes + line.count('"'), unescaped + _count_unescaped(line)
            if quotes % 2 and unescaped % 2:
                continue
            fields = self.fit("\n".join(lines[first : last + 1]), fits)
            if fields is None:
                return Record(None)
            inner = lines[first + 1 : last]
            rows = sum(self._is_row(each, fits) for each in inner)
            return Record(None) if inner and 2 * rows > len(inner) else _joined(fields, last, first)
        return Record(None)

    def _is_row(self, line: str, fits: Callable[[list[str]], bool]) -> bool:
        fields = self.split(line)
        return fields is not None and fits(fields)


def records(
    splitter: Splitter, lines: Sequence[str], fits: Callable[[list[str]], bool]
) -> Iterator[tuple[int, Record]]:
    """Yield the records of all lines that are not blank, each with the index of its first line."""
    at = 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        record = splitter.record(lines, at, fits) or Record(None)
        yield at, record
        at += record.lines


def _joined(fields: list[str], last: int, first: int) -> Record:
    return Record(fields, last - first + 1)


def _count_unescaped(line: str) -> int:
    return line.count('"') if "\\" not in line else re.sub(r"\\.", "", line).count('"')

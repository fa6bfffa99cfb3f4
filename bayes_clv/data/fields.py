r"""Fields of delimited lines: both ways of escaping a quote, and records that span lines.

A quote within quotes is written ``""`` (RFC 4180) or ``\"``; a file has one way, which most of its
lines show (`uses_backslashes`). A line is read in the first way that gives it as many fields as the
header has:

1. by itself, in the file's way;
2. together with the lines up to the one that closes its quote, in the file's way;
3. and 4. the same in the other way.

Where none does, the line is malformed and reading goes on with the next one. So a stray quote costs
its own line and no other. It does not swallow rows either: lines do not belong to a record if most
of those between its first and its last are rows themselves.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

# A quote that stays open over more lines is a stray one: people write notes of some lines.
MOST_LINES = 1_000
# Characters of a line, and of a record of several lines.
LONGEST_LINE = 500_000

Fits = Callable[[list[str]], bool]
# What is left of a field in quotes, up to the one that closes it; by the way of escaping.
_CLOSES = {
    False: re.compile(r'[^"]*(?:""[^"]*)*"(?!")'),
    True: re.compile(r'[^"\\]*(?:(?:""|\\.)[^"\\]*)*"(?!")'),
}
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True)
class Record:
    """Lines that belong together: their fields, or None where they are malformed."""

    fields: list[str] | None
    lines: int = 1


class Splitter:
    r"""Splits lines at a delimiter, or at runs of white space if it is None.

    Parameters
    ----------
    delimiter
        One character, or None.
    backslash
        The file's way of escaping a quote is ``\"``.

    >>> Splitter(";").split('1;"say ""hi""; please";5')
    ['1', 'say "hi"; please', '5']
    >>> Splitter(";", backslash=True).split(r'1;"say \"hi\"; please";5')
    ['1', 'say "hi"; please', '5']
    """

    def __init__(self, delimiter: str | None, *, backslash: bool = False) -> None:
        self.delimiter, self.backslash = delimiter, backslash
        d = re.escape(delimiter or " ")
        self._doubled = re.compile(rf'(?:"([^"]*(?:""[^"]*)*)"|([^"{d}][^{d}]*)?)({d}|\Z)')
        self._backslashed = re.compile(
            rf'(?:"([^"\\]*(?:(?:""|\\.)[^"\\]*)*)"|((?:[^"{d}\\]|\\.)(?:[^{d}\\]|\\.)*)?)({d}|\Z)',
            re.DOTALL,
        )
        self._escapes = ("\\", '"', delimiter)

    def split(self, line: str) -> list[str] | None:
        """Return the fields, or None where a quote stays open or text follows a closing one."""
        return self._split(line, self.backslash)[0]

    def suits(self, line: str, fits: Fits) -> int:
        """Return 2 for a line that is a row, 1 for one whose last quote stays open, else 0."""
        fields, start = self._split(line, self.backslash)
        return 2 * fits(fields) if fields is not None else int(start is not None)

    def has_bare_escape(self, line: str) -> bool:
        r"""Whether a field that is not in quotes holds ``\"``."""
        at = 0
        while match := self._doubled.match(line, at):
            if '\\"' in (match[2] or ""):
                return True
            at = match.end()
            if not match[3]:
                break
        return False

    def record(self, lines: Sequence[str], first: int, fits: Fits, *, final: bool) -> Record | None:
        """Read the record that begins at ``lines[first]``; its fields must fit.

        Returns
        -------
        Record or None
            None if the record may go on after the last of `lines`; never if they are `final`.
        """
        line = lines[first]
        for way in (self.backslash, not self.backslash):
            fields, start = self._split(line, way)
            if fields is not None and fits(fields):
                return Record(fields)
            if start is not None:
                joined = self._join(lines, first, fits, way)
                if joined is None and not final:
                    return None
                if joined is not None and joined.fields is not None:
                    return joined
            elif "\\" not in line:  # the other way is the same
                break
        return Record(None)

    def _join(self, lines: Sequence[str], first: int, fits: Fits, way: bool) -> Record | None:
        """Read a record whose first line has a quote that stays open."""
        last, size = first, len(lines[first])
        parts = [lines[first]]
        while last - first < MOST_LINES and size <= LONGEST_LINE:
            last += 1
            if last == len(lines):
                return None
            parts.append(lines[last])
            size += 1 + len(lines[last])
            if not _CLOSES[way].match(lines[last]):
                continue
            fields, opened = self._split("\n".join(parts), way)
            if fields is not None:
                inner = lines[first + 1 : last]
                rows = sum(self._is_row(line, len(fields)) for line in inner)
                swallows = inner and 2 * rows > len(inner)
                return Record(fields, len(parts)) if fits(fields) and not swallows else Record(None)
            if opened is None:
                return Record(None)
        return Record(None)

    def _split(self, line: str, backslash: bool) -> tuple[list[str] | None, int | None]:
        """Return the fields; or None and where the quote is that stays open, if that is why."""
        if self.delimiter is None:
            return line.split(), None
        if '"' not in line and not (backslash and "\\" in line):
            return line.split(self.delimiter), None
        pattern = self._backslashed if backslash else self._doubled
        fields, at = [], 0
        while match := pattern.match(line, at):
            quoted, bare, end = match.groups()
            field = bare or "" if quoted is None else quoted.replace('""', '"')
            fields.append(_ESCAPED.sub(self._unescape, field) if backslash else field)
            at = match.end()
            if not end:
                return fields, None
        is_open = line.startswith('"', at) and not _CLOSES[backslash].match(line, at + 1)
        return None, at if is_open else None

    def _unescape(self, match: re.Match[str]) -> str:
        r"""Return an escaped character; other backslashes, as in \N, stand for themselves."""
        return match[1] if match[1] in self._escapes else match[0]

    def _is_row(self, line: str, width: int) -> bool:
        fields = self.split(line)
        return fields is not None and len(fields) == width


def records(splitter: Splitter, lines: Sequence[str], fits: Fits) -> Iterator[tuple[int, Record]]:
    """Yield the records of all lines that are not blank, each with the index of its first line."""
    at = 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        record = splitter.record(lines, at, fits, final=True) or Record(None)
        yield at, record
        at += record.lines


def uses_backslashes(lines: Iterator[str], delimiter: str, fits: Fits, most: int = 1_000) -> bool:
    r"""Whether a file escapes quotes by backslashes, as more of its lines show than not.

    A line shows it if it holds ``\"`` and is a row, or the first part of one, in one way only; or
    if ``\"`` is outside quotes: who doubles quotes puts such a field into quotes. At most `most`
    such lines are read. A line within a field of several lines may show the wrong way; in a file
    with few other such lines it then decides.
    """
    doubled, backslashed = Splitter(delimiter), Splitter(delimiter, backslash=True)
    votes = [0, 0]
    for line in lines:
        if '\\"' in line:
            ways = [way.suits(line, fits) for way in (doubled, backslashed)]
            bare_quote = ways[0] == ways[1] > 0 and doubled.has_bare_escape(line)
            if ways[0] != ways[1] or bare_quote:
                votes[ways[1] > ways[0] or bare_quote] += 1
                if sum(votes) == most:
                    break
    return votes[1] > votes[0]

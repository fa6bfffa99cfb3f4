r"""Fields of delimited lines: both ways of escaping a quote, and records that span lines.

A quote within quotes is written ``""`` (RFC 4180) or ``\"``; a file has one way, which most of its
lines show (`uses_backslashes`). A line is read in the first way that gives it as many fields as the
header has:

1. by itself, in the file's way;
2. together with the lines up to the one that closes its quote, in the file's way;
3. by itself, in the other way.

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

    def record(self, lines: Sequence[str], first: int, fits: Fits, *, final: bool) -> Record | None:
        """Read the record that begins at ``lines[first]``; its fields must fit.

        Returns
        -------
        Record or None
            None if the record may go on after the last of `lines`; never if they are `final`.
        """
        line = lines[first]
        fields, start = self._split(line, self.backslash)
        if fields is not None and fits(fields):
            return Record(fields)
        if fields is None and start is not None:
            joined = self._join(lines, first, start, fits)
            if joined is None and not final:
                return None
            if joined is not None and joined.fields is not None:
                return joined
        if "\\" in line:
            fields, _ = self._split(line, not self.backslash)
            if fields is not None and fits(fields):
                return Record(fields)
        return Record(None)

    def _join(self, lines: Sequence[str], first: int, start: int, fits: Fits) -> Record | None:
        """Read a record whose first line has a quote that opens at `start` and stays open."""
        text, last = lines[first], first
        parts, size = [text], len(text)
        quotes = self._count_quotes(text[start:])
        while last - first < MOST_LINES and size <= LONGEST_LINE:
            last += 1
            if last == len(lines):
                return None
            parts.append(lines[last])
            size += 1 + len(lines[last])
            quotes += self._count_quotes(lines[last])
            if quotes % 2:  # still open
                continue
            text = "\n".join(parts)
            fields, opened = self._split(text, self.backslash)
            if fields is not None:
                inner = lines[first + 1 : last]
                rows = sum(self._is_row(line, len(fields)) for line in inner)
                swallows = inner and 2 * rows > len(inner)
                return Record(fields, len(parts)) if fits(fields) and not swallows else Record(None)
            if opened is None:
                return Record(None)
            quotes = self._count_quotes(text[opened:])
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
        is_open = line.startswith('"', at) and self._count(line[at:], backslash) % 2
        return None, at if is_open else None

    def _unescape(self, match: re.Match[str]) -> str:
        r"""Return an escaped character; other backslashes, as in \N, stand for themselves."""
        return match[1] if match[1] in self._escapes else match[0]

    def _count_quotes(self, text: str) -> int:
        return self._count(text, self.backslash)

    @staticmethod
    def _count(text: str, backslash: bool) -> int:
        """Count the quotes that open, close or double."""
        if backslash and "\\" in text:
            text = _ESCAPED.sub("", text)
        return text.count('"')

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

    A line shows it if it holds ``\"`` and fits in one way only, or if ``\"`` is outside quotes: who
    doubles quotes puts such a field into quotes. At most `most` such lines are read.
    """
    doubled, backslashed = Splitter(delimiter), Splitter(delimiter, backslash=True)
    bare = re.compile(rf'(?:^|{re.escape(delimiter)})[^"{re.escape(delimiter)}]*\\"')
    votes = [0, 0]
    for line in lines:
        if '\\"' in line:
            ways = [
                (fields := way.split(line)) is not None and fits(fields)
                for way in (doubled, backslashed)
            ]
            if ways[0] != ways[1] or (ways[1] and bare.search(line)):
                votes[ways[1]] += 1
                if sum(votes) == most:
                    break
    return votes[1] > votes[0]

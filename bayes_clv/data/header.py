"""The header of a log: where it is, and what separates the columns below it.

Exports have titles, comments and ``sep=;`` above the header, and blank columns beside the table.
The rows decide, not the header alone: on a sample from the top, the delimiter is the one that
splits nearly all lines into the same number of fields. The header is above the first line that
looks like data; of the lines there with that number of fields, it is the one with the most names. A
field is a value if it has more digits than letters; in the columns that hold values, a line of data
has them, and a header has names. Where no line is like that, the caller has to say which one it is.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bayes_clv.data.columns import USUAL_NAMES
from bayes_clv.data.fields import Splitter, records
from bayes_clv.errors import InputError

DELIMITERS = (",", ";", "\t", "|")
# Lines of the sample in which the header is looked for.
SAMPLE = 1_000
# The last line that can be said to be the header.
LAST_HEADER = 10_000
# With lines above the header, at least so many of those below must have its number of fields; a
# header on the first line is believed with fewer, since nothing else can be it.
_SHARE_BELOW_TITLES = 0.5
_SHARE_BELOW = 0.1
# A column holds values, and lines end in a delimiter, if so many of the sample's lines do.
_MOST = 0.8
_SEP = re.compile(r'^\ufeff?"?sep=(\\t|.)"?\s*$', re.IGNORECASE)
_MONTH = re.compile(
    r"\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b|\d[tz](?=\d|$)", re.IGNORECASE
)
_USUAL = frozenset().union(*(names for groups in USUAL_NAMES.values() for names in groups))
_OPTION = "header_row= (--header-row N)"


@dataclass(frozen=True)
class Header:
    """The names of the columns, the index of their line (counted from 0), and the delimiter.

    `lines` is how many lines the header spans; `share` is the share of the rows in the sample
    that have as many fields.
    """

    names: tuple[str, ...]
    line: int
    delimiter: str | None = None
    lines: int = 1
    share: float = 1.0


@dataclass(frozen=True)
class _Row:
    line: int
    fields: Sequence[str]
    lines: int = 1


def find_header(lines: Sequence[str], name: str, header_row: int | None = None) -> Header:
    """Find the header among the first lines of a text file.

    Parameters
    ----------
    lines
        The first lines, about `SAMPLE`.
    name
        The file's name, for messages.
    header_row
        Number of the header's line, counted from 1 and with blank lines, if the caller says so.

    Raises
    ------
    InputError
        No line is unmistakably the header, or `header_row` is no line with text.
    """
    top = next((i for i, line in enumerate(lines) if line.strip()), None)
    if top is None:
        raise InputError(f"{name} is empty: it has no header and no rows")
    said = _SEP.match(lines[top])
    delimiters: tuple[str | None, ...] = (*DELIMITERS, None)
    if said:
        delimiters = ("\t" if said[1] == "\\t" else said[1],)
    if header_row is not None:
        _check(header_row, lines, name)
    if header_row is not None:
        top = header_row - 1
    elif said:
        top = next((i for i in range(top + 1, len(lines)) if lines[i].strip()), None)
        if top is None:
            raise InputError(f"{name} is empty: it has no header and no rows")
    text = "".join(lines)
    present = [d for d in delimiters if d is None or d in text]
    ways = (False, True) if any('\\"' in line for line in lines) else (False,)
    tables = [(d, _rows(lines, top, Splitter(d, backslash=way))) for d in present for way in ways]
    found = [
        replace(header, delimiter=delimiter)
        for delimiter, rows in tables
        if (header := _find(rows, top, said=header_row is not None)) is not None
    ]
    # White space separates columns only where nothing else does.
    found = [header for header in found if header.delimiter is not None] or found
    if found:
        return max(found, key=lambda header: (round(header.share, 1), len(header.names)))
    raise InputError(_complaint(lines[top], top + 1, [rows for _, rows in tables], name))


def find_sheet_header(
    rows: Sequence[Sequence[str]], header_row: int | None = None
) -> Header | None:
    """Find the header among the first rows of a sheet, whose cells are text; None if there is none.

    A sheet's rows all have the same number of cells, so its names may be fewer: cells beside the
    table are blank.
    """
    table = [_Row(i, row) for i, row in enumerate(rows) if any(cell.strip() for cell in row)]
    if header_row is not None:
        table = [row for row in table if row.line >= header_row - 1]
        if not table or table[0].line != header_row - 1:
            return None
    return _find(table, table[0].line, said=header_row is not None) if table else None


def _rows(lines: Sequence[str], top: int, splitter: Splitter) -> list[_Row]:
    """Split the lines from `top` on; lines that cannot be split have no fields."""
    return [
        _Row(top + at, [field.strip() for field in record.fields or ()], record.lines)
        for at, record in records(splitter, lines[top:], lambda _: True)
    ]


def _find(rows: Sequence[_Row], top: int, *, said: bool) -> Header | None:
    """Find the header under one delimiter; `said`: the caller said that it is the first row."""
    if said:
        return _header(rows[0], rows[1:]) if len(rows[0].fields) > 1 else None
    counts = Counter(len(row.fields) for row in rows if len(row.fields) > 1)
    found = [_of_width(rows, width, top) for width, _ in counts.most_common(3)]
    return max(filter(None, found), key=lambda header: header.share, default=None)


def _of_width(rows: Sequence[_Row], width: int, top: int) -> Header | None:
    """Find the header of the rows that have `width` fields."""
    wide = [row for row in rows if len(row.fields) == width]
    values = _value_columns([row.fields for row in wide[len(wide) - len(wide) // 2 :]], width)
    widths = {width, width + 1, width - 1} if width > 2 else {width, width + 1}
    above = []
    for row in rows:
        if len(row.fields) in widths:
            if _is_data(row.fields, values):
                break
            above.append(row)
    headers = []
    for row in above:
        if row.line > top and row is rows[-1]:
            break  # without rows below, nothing tells a header from a title
        below = [each for each in rows if each.line > row.line]
        header = _header(row, below)
        if len(header.names) == width and _is_header(row.fields, values):
            headers.append((_rank(row), header))
    if not headers:
        return None
    header = max(headers, key=lambda ranked: ranked[0])[1]
    least = _SHARE_BELOW if header.line <= top else _SHARE_BELOW_TITLES
    return header if header.share >= least else None


def _header(row: _Row, below: Sequence[_Row]) -> Header:
    """Return a row as the header, with as many names as rows below it have fields.

    Lines that end in a delimiter have one more field, which is blank: in all rows or in the header.
    """
    names = list(row.fields)
    width = len(names)
    wider = [each.fields for each in below if len(each.fields) == width + 1]
    same = sum(len(each.fields) == width for each in below)
    if len(wider) > same and sum(not fields[-1] for fields in wider) >= _MOST * len(wider):
        names.append("")
    elif not names[-1] and sum(len(each.fields) == width - 1 for each in below) > same:
        names.pop()
    matching = sum(len(each.fields) == len(names) for each in below)
    share = matching / len(below) if below else 1.0
    return Header(tuple(names), row.line, lines=row.lines, share=share)


def _value_columns(rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return the columns in which most of the fields that are not blank are values."""
    found = []
    for column in range(width):
        fields = [row[column] for row in rows if row[column].strip()]
        if fields and sum(map(is_value, fields)) >= _MOST * len(fields):
            found.append(column)
    return found


def _is_data(fields: Sequence[str], values: Sequence[int]) -> bool:
    """Whether a row has values in most of the columns that hold values, and no name in them."""
    cells = [fields[column] for column in values if column < len(fields)]
    found = sum(map(is_value, cells))
    return 0 < len(cells) <= 2 * found and not any(map(_is_name, cells))


def _is_header(fields: Sequence[str], values: Sequence[int]) -> bool:
    """Whether a row has more names than values in the columns that hold values, or anywhere."""
    cells = [fields[column] for column in values if column < len(fields)] or fields
    names, numbers = sum(map(_is_name, cells)), sum(map(is_value, cells))
    return names > numbers and any(map(_is_name, fields))


def _rank(row: _Row) -> tuple[int, int, bool, int]:
    """Rank lines that may be the header: names, usual names, no comment, the first one."""
    names = {field for field in row.fields if _is_name(field)}
    numbers = sum(map(is_value, row.fields))
    usual = sum("".join(filter(str.isalnum, each.casefold())) in _USUAL for each in names)
    return len(names) - numbers, usual, not row.fields[0].startswith("#"), -row.line


def is_value(field: str) -> bool:
    """Whether a field has more digits than letters, apart from the names of months.

    >>> [is_value(field) for field in ("3 Feb 2011", "-12,50 €", "Q1 sales", "")]
    [True, True, False, False]
    """
    digits = sum(map(str.isdigit, field))
    if not digits:
        return False
    return digits > sum(map(str.isalpha, _MONTH.sub("", field)))


def _is_name(field: str) -> bool:
    return any(map(str.isalpha, field)) and not is_value(field)


def check_header_row(header_row: object) -> None:
    """Check the number of a header's line.

    Raises
    ------
    InputError
        It is not a whole number from 1 to `LAST_HEADER`.
    """
    is_number = isinstance(header_row, int) and not isinstance(header_row, bool)
    if not is_number or not 1 <= header_row <= LAST_HEADER:  # type: ignore[operator]
        raise InputError(
            f"{_OPTION} must be a line number from 1 to {LAST_HEADER:,}; got {header_row!r}"
        )


def _check(header_row: int, lines: Sequence[str], name: str) -> None:
    if header_row > len(lines):
        raise InputError(
            f"{_OPTION} must be one of the first {len(lines)} lines of {name}; got {header_row}"
        )
    if not lines[header_row - 1].strip():
        raise InputError(f"{_OPTION} must be a line with column names; line {header_row} is blank")


def _complaint(line: str, number: int, tables: Sequence[list[_Row]], name: str) -> str:
    """Say why no line is the header."""
    shown = f"line {number} is {line.strip()[:100]!r}"
    if line.count('"') % 2:
        return f"the header of {name} has an open quote: {shown}; mend it, or say {_OPTION}"
    rows = max(tables, key=_evidence)
    _, width = _evidence(rows)
    if len(rows[0].fields) == width and any(map(is_value, rows[0].fields)):
        return (
            f"{name} seems to have no header: {shown}, which looks like data; put the names of the "
            f"columns above it, or say which line has them: {_OPTION}"
        )
    return (
        f"the header of {name} cannot be told: {shown}, and most lines have {width or 1} fields; "
        f"say which line has the names of the columns: {_OPTION}"
    )


def _evidence(rows: Sequence[_Row]) -> tuple[int, int]:
    """How many lines have the most frequent number of fields, and that number."""
    counts = Counter(len(row.fields) for row in rows if len(row.fields) > 1)
    (width, lines), *_ = counts.most_common(1) or [(0, 0)]
    return lines, width

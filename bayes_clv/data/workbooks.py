"""Excel workbooks: all sheets that share a header, read as one log.

Retailers split a log over sheets, by year or because a sheet holds 1,048,576 rows. The sheets whose
header is that of the first sheet with data are read one after the other; other sheets are named in
a remark, and empty ones are ignored. Dates, numbers and text stay what they are in Excel; errors
such as #N/A are blank.

Excel stores only the cells that are used, but the reader makes room for all cells up to the last
one. So a stray cell in the far corner asks for 549 GB. The used cells are looked up first
(`_check`), in the XML of the sheets, which is unpacked piece by piece and only up to a limit.
"""

import datetime as dt
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers import expat

import pyarrow as pa
import python_calamine as calamine

from bayes_clv.data.columns import USUAL_NAMES
from bayes_clv.data.engines import one_line
from bayes_clv.data.header import Header, find_sheet_header
from bayes_clv.data.loading import Loaded, Source, connect
from bayes_clv.data.report import ABOVE_HEADER, Rejected
from bayes_clv.errors import InputError

# Room for a full sheet of 57 columns: 2 GB.
MOST_CELLS = 60_000_000
# All XML of a workbook: Online Retail II, with a million rows, has 0.5 GB.
_MOST_BYTES, _MOST_TIMES, _SMALL = 4_000_000_000, 200, 100_000_000
_CHUNK = 1 << 22
# Rows in which the header is looked for, and rows that become one batch.
_SAMPLE, _BATCH = 1_000, 50_000
_LARGEST_WHOLE_FLOAT = 2**53
# Cells beyond column Z or row 999,999; all others together are fewer than MOST_CELLS.
_FAR = re.compile(rb'<c r="([A-Za-z]{2,}\d+|[A-Za-z]\d{7,})"')
_CELL = re.compile(rb'<c r="([A-Za-z]+)(\d+)"')
_ANY_CELL = re.compile(rb"[<:]c[\s/>]")


@dataclass(frozen=True)
class _Sheet:
    name: str
    cells: Any
    header: Header
    """Names without blank columns; `columns` are their positions in the sheet."""
    columns: tuple[int, ...]


class WorkbookSource(Source):
    """A workbook, of which the sheets with one header are one log."""

    def __init__(self, path: Path, sheet: str | None = None, header_row: int | None = None) -> None:
        self.name = path.name
        _check(path)
        try:
            self._open(path, sheet, header_row)
        except InputError:
            raise
        except BaseException as error:  # calamine raises bare Exceptions, and Rust's panics
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            raise InputError(f"{path} is not a readable workbook: {one_line(error)}") from error

    def _open(self, path: Path, wanted: str | None, header_row: int | None) -> None:
        book = calamine.load_workbook(str(path))
        names = [
            each.name
            for each in book.sheets_metadata
            if each.typ == calamine.SheetTypeEnum.WorkSheet
        ]
        if wanted is not None and wanted not in names:
            raise InputError(f"{path} has no sheet {wanted!r} (--table); its sheets are {names}")
        sheets, self._others = [], []
        for name in [wanted] if wanted is not None else names:
            cells = book.get_sheet_by_name(name)
            if not cells.height:
                continue
            sheet = _read_header(name, cells, header_row)
            if sheet is None:
                self._others.append((name, "no header was found"))
            else:
                sheets.append(sheet)
        if not sheets and not self._others:
            raise InputError(f"{path} is empty: it has no header and no rows")
        if not sheets:
            raise InputError(
                f"no sheet of {path} has an unmistakable header; say which row has the names of "
                f"the columns: header_row= (--header-row N), and which sheet: table= (--table); "
                f"its sheets are {names}"
            )
        first = next(filter(_is_log, sheets), sheets[0])
        self.columns = first.header.names
        self._sheets = [each for each in sheets if _order(self.columns, each) is not None]
        self._others += [(s.name, "other columns") for s in sheets if s not in self._sheets]

    def load(self, roles: Mapping[str, int]) -> Loaded:
        """Copy the columns of all sheets into DuckDB, and count the rows above their headers."""
        parts: dict[str, list[pa.Array]] = {role: [] for role in roles}
        above, example = 0, ""
        for sheet in self._sheets:
            order = _order(self.columns, sheet)
            assert order is not None
            positions = {role: order[i] for role, i in roles.items()}
            rows = iter(sheet.cells.iter_rows())
            for row in (row for _, row in zip(range(sheet.header.line), rows, strict=False)):
                if any(cell != "" for cell in row):
                    above += 1
                    example = example or " ".join(as_text(cell) for cell in row if cell != "")[:60]
            next(rows)
            left = sheet.cells.start[1]  # these rows begin at the first column that is used
            for batch in _batches(rows):
                for role, position in positions.items():
                    parts[role].append(_column([row[position - left] for row in batch]))
        connection = connect()
        connection.con.register("sheets", pa.table({r: _unite(p) for r, p in parts.items()}))
        connection.con.execute("CREATE TABLE raw AS FROM sheets")
        connection.con.unregister("sheets")
        rejected = (Rejected(ABOVE_HEADER, above, example),) if above else ()
        return Loaded(connection.table("raw"), rejected, self._remarks(), worth_storing=True)

    def _remarks(self) -> tuple[str, ...]:
        read = ", ".join(repr(sheet.name) for sheet in self._sheets)
        several = len(self._sheets) + len(self._others) > 1
        remarks = [f"sheet{'s' if len(self._sheets) > 1 else ''} {read} read"] if several else []
        return (*remarks, *(f"sheet {name!r} not read: {why}" for name, why in self._others))


def _is_log(sheet: _Sheet) -> bool:
    """Whether a sheet has a usual name for the customer and for the date."""
    keys = {"".join(filter(str.isalnum, name.casefold())) for name in sheet.header.names}
    return all(any(keys & group for group in USUAL_NAMES[role]) for role in ("customer", "date"))


def _order(names: Sequence[str], sheet: _Sheet) -> list[int] | None:
    """Return where in a row of the sheet each name's cell is; None if the sheet has others."""
    own = sheet.header.names
    if own == tuple(names):
        return list(sheet.columns)
    if len(set(names)) < len(names) or sorted(own) != sorted(names):
        return None
    return [sheet.columns[own.index(name)] for name in names]


def _read_header(name: str, cells: Any, header_row: int | None) -> _Sheet | None:
    sample = cells.to_python(skip_empty_area=False, nrows=_SAMPLE + (header_row or 0))
    used = sorted({i for row in sample for i, cell in enumerate(row) if cell != ""})
    text = [[as_text(row[i]).strip() for i in used] for row in sample]
    header = find_sheet_header(text, header_row)
    if header is None:
        return None
    # A column beside the table holds a title or nothing; a column of it has a name or values.
    below = text[header.line + 1 :]
    kept = [i for i, n in enumerate(header.names) if n or any(row[i] for row in below)]
    names = tuple(header.names[i] for i in kept)
    return _Sheet(name, cells, Header(names, header.line), tuple(used[i] for i in kept))


def _batches(rows: Iterator[list[Any]]) -> Iterator[list[list[Any]]]:
    """Yield batches of the rows that are not blank."""
    batch: list[list[Any]] = []
    for row in rows:
        if row.count("") < len(row):
            batch.append(row)
            if len(batch) == _BATCH:
                yield batch
                batch = []
    if batch:
        yield batch


def _column(cells: list[Any]) -> pa.Array:
    """Return cells as whole numbers, numbers, times, truth values or else as text."""
    values = [None if cell == "" else cell for cell in cells]
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pa.nulls(len(values))
    if kinds <= {int, float}:
        if all(value is None or _is_exact(value) for value in values):
            return pa.array([None if v is None else int(v) for v in values], "int64")
        return pa.array(values, "float64")
    if kinds <= {dt.date, dt.datetime}:
        midnight = dt.time()
        return pa.array(
            [dt.datetime.combine(v, midnight) if type(v) is dt.date else v for v in values],
            pa.timestamp("us"),
        )
    if kinds == {bool}:
        return pa.array(values, "bool")
    return pa.array([None if v is None else as_text(v) for v in values], "string")


def _is_exact(number: float) -> bool:
    """Whether it is a whole number of which Excel, whose numbers are floats, knows every digit."""
    return abs(number) <= _LARGEST_WHOLE_FLOAT and number == int(number)


def _unite(parts: Sequence[pa.Array]) -> pa.ChunkedArray:
    """Join batches of one column, as text where their types have nothing in common."""
    types = {part.type for part in parts} - {pa.null()}
    if not types:
        return pa.chunked_array([part.cast("string") for part in parts], "string")
    if len(types) == 1:
        (common,) = types
    elif types == {pa.int64(), pa.float64()}:
        common = pa.float64()
    else:
        common = pa.string()
        parts = [
            part
            if part.type in (pa.string(), pa.null())
            else pa.array([None if v is None else as_text(v) for v in part.to_pylist()], "string")
            for part in parts
        ]
    return pa.chunked_array([part.cast(common) for part in parts], common)


def as_text(cell: Any) -> str:
    """Return a cell as the text that a person would type: 5 for 5.0, a day without midnight."""
    if isinstance(cell, dt.datetime) and cell.time() == dt.time():
        return str(cell.date())
    if isinstance(cell, float) and _is_exact(cell):
        return str(int(cell))
    return str(cell)


def _check(path: Path) -> None:
    """Refuse a workbook that is damaged or would need far too much memory.

    Raises
    ------
    InputError
        One line, with the limit and the cell or size beyond it.
    """
    try:
        with zipfile.ZipFile(path) as book:
            parts = [part for part in book.infolist() if part.filename.endswith(".xml")]
            most = min(_MOST_BYTES, max(_SMALL, _MOST_TIMES * path.stat().st_size))
            size = sum(part.file_size for part in book.infolist())
            if size > most:
                raise InputError(
                    f"{path} unpacks to {size / 1e6:,.0f} MB, more than the limit of "
                    f"{most / 1e6:,.0f} MB; save its sheet as CSV"
                )
            for part in parts:
                if not part.filename.endswith(("sharedStrings.xml", "styles.xml")):
                    rows, columns = _extent(book, part)
                    if rows * columns > MOST_CELLS:
                        raise InputError(
                            f"the cells of {path} reach to {_letters(columns)}{rows}, which makes "
                            f"{rows * columns:,} cells, more than the limit of {MOST_CELLS:,}; "
                            "delete what is beside the table, or save it as CSV"
                        )
    except InputError:
        raise
    except Exception as error:  # damage makes zipfile raise errors of many kinds
        raise InputError(f"{path} is not a readable workbook: {one_line(error)}") from error


def _extent(book: zipfile.ZipFile, part: zipfile.ZipInfo) -> tuple[int, int]:
    """Return an upper bound on the rows and columns of a sheet; exact if it is wide or long."""
    far = plain = cells = 0
    for piece in _pieces(book, part):
        # A prefix, as in <x:c>, is not counted as plain, so the sheet is read element by element.
        cells += len(_ANY_CELL.findall(piece))
        plain += piece.count(b'<c r="')
        far += _FAR.search(piece) is not None
    if cells != plain:
        return _extent_of_events(book, part)
    if not far:
        return (999_999, 26) if cells else (0, 0)
    rows = columns = 0
    for piece in _pieces(book, part):
        found = _CELL.findall(piece)
        rows = max(rows, max((int(row) for _, row in found), default=0))
        columns = max(columns, max(map(_number, {column for column, _ in found}), default=0))
    return rows, columns


def _pieces(book: zipfile.ZipFile, part: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield the XML in pieces that end with a tag."""
    rest = b""
    with book.open(part) as file:
        while chunk := file.read(_CHUNK):
            whole, end, rest = (rest + chunk).rpartition(b">")
            yield whole + end
    yield rest


def _extent_of_events(book: zipfile.ZipFile, part: zipfile.ZipInfo) -> tuple[int, int]:
    """Return rows and columns of a sheet whose cells need not say where they are."""
    at, most = [0, 0], [0, 0]

    def start(tag: str, attributes: dict[str, str]) -> None:
        tag = tag.rpartition(":")[2]
        if tag == "row":
            at[:] = [int(attributes.get("r", at[0] + 1)), 0]
        elif tag == "c":
            reference = re.fullmatch(r"([A-Za-z]+)(\d+)", attributes.get("r", ""))
            at[1] += 1
            if reference:
                at[:] = [int(reference[2]), _number(reference[1].encode())]
            most[:] = [max(most[0], at[0]), max(most[1], at[1])]

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    with book.open(part) as file:
        parser.ParseFile(file)
    return most[0], most[1]


def _number(letters: bytes) -> int:
    """Return the number of a column: A is 1, Z is 26, AA is 27."""
    number = 0
    for letter in letters.upper()[:8]:
        number = 26 * number + letter - ord("A") + 1
    return number


def _letters(number: int) -> str:
    letters = ""
    while number:
        number, digit = divmod(number - 1, 26)
        letters = chr(ord("A") + digit) + letters
    return letters

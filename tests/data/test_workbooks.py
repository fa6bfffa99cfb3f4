"""Workbooks: all sheets of one header are one log; cells keep their types; limits hold."""

import datetime as dt
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest

from bayes_clv.data import workbooks
from bayes_clv.data.ledger import Ledger
from bayes_clv.data.reading import read_transactions
from bayes_clv.data.sources import open_source
from bayes_clv.errors import InputError

NAMES = ["Customer ID", "InvoiceDate", "Amount"]
DAY = dt.datetime(2010, 1, 3)


def _book(path: Path, sheets: dict[str, list[list[Any]]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path / "log.xlsx")
    return path / "log.xlsx"


def _rows(customer: Any, n: int = 2) -> list[list[Any]]:
    return [[customer, DAY + dt.timedelta(days=30 * i), 5.5 + i] for i in range(n)]


def _load(path: Path, **options: Any) -> tuple[tuple[str, ...], list[tuple[Any, ...]], Any]:
    source = open_source(path, options.pop("table", None), **options)
    roles = {f"c{i}": i for i in range(len(source.columns))} | {"date": 0}
    loaded = source.load(roles)
    table = loaded.table.drop("date").to_pyarrow()
    return source.columns, [tuple(row.values()) for row in table.to_pylist()], loaded


def test_all_sheets_of_one_header_are_one_log(tmp_path):
    sheets = {
        "Notes": [["about", "by"], ["sales", "me"]],
        "Empty": [],
        "2009": [NAMES, *_rows(1, 2)],
        "2010": [["Sales 2010"], [], NAMES, *_rows(2, 3)],
        "Turned": [NAMES[::-1], [7.5, DAY, 3]],
        "Other": [[*NAMES[:2], "Price"], [1, DAY, 3]],
    }
    path = _book(tmp_path, sheets)
    transactions = read_transactions(path)
    assert transactions.ledger == Ledger(7, (("above the header", 1),))
    assert sorted(transactions.table.customer_id.execute()) == [1, 1, 2, 2, 2, 3]
    assert transactions.table.amount.sum().execute() == 5.5 + 6.5 + 5.5 + 6.5 + 7.5 + 7.5
    assert transactions.report.remarks == (
        "sheets '2009', '2010', 'Turned' read",
        "sheet 'Notes' not read: other columns",
        "sheet 'Other' not read: other columns",
    )
    assert transactions.report.examples["above the header"] == "Sales 2010"
    one = read_transactions(path, table="2010")
    assert one.ledger == Ledger(4, (("above the header", 1),))
    assert one.report.remarks == ()


def test_a_sheet_without_a_header_is_not_read_and_named(tmp_path):
    path = _book(tmp_path, {"A": [NAMES, *_rows(1)], "B": _rows(2)})
    transactions = read_transactions(path)
    assert transactions.ledger == Ledger(2)
    assert "sheet 'B' not read: no header was found" in transactions.report.remarks
    with pytest.raises(InputError, match=r"no sheet of .*log.xlsx has .* header.*--header-row N"):
        read_transactions(path, table="B")


def test_the_first_sheet_is_read_where_no_sheet_has_usual_names(tmp_path):
    path = _book(tmp_path, {"A": [["who", "when"], ["x", DAY]], "B": [["it", "on"], ["y", DAY]]})
    assert _load(path)[0] == ("who", "when")


@pytest.mark.parametrize(
    "above",
    [
        [],
        [["Sales 2010"]],
        [["Sales", "of", 2010], [], [None, "made", DAY]],
        [[None, None, None, None, "a title far right"]],
        [["Report"]] * 20,
    ],
)
def test_the_header_is_found_below_titles(above, tmp_path):
    columns, rows, loaded = _load(_book(tmp_path, {"A": [*above, NAMES, *_rows(1)]}))
    assert columns == tuple(NAMES)
    assert rows == [(1, DAY, 5.5), (1, DAY + dt.timedelta(days=30), 6.5)]
    written = sum(any(cell is not None for cell in row) for row in above)
    assert sum(each.rows for each in loaded.rejected) == written


def test_the_row_of_the_header_is_the_sheets_own(tmp_path):
    path = _book(tmp_path, {"A": [[], ["x", "y", "z"], NAMES, *_rows(1)]})
    assert _load(path, header_row=3)[0] == tuple(NAMES)
    columns, rows, _ = _load(path, header_row=2)
    assert columns == ("x", "y", "z")
    assert rows[0] == tuple(NAMES)
    for row in (1, 9):
        with pytest.raises(InputError, match=r"has .* header.*--header-row N"):
            _load(path, header_row=row)


def test_blank_rows_and_columns_beside_the_table_are_ignored(tmp_path):
    rows = [[], [None, None, *NAMES], [None, None, *_rows(1)[0]], [], [None, None, *_rows(2)[0]]]
    path = _book(tmp_path, {"A": rows})
    columns, found, loaded = _load(path)
    assert columns == tuple(NAMES)
    assert found == [(1, DAY, 5.5), (2, DAY, 5.5)]
    assert not loaded.rejected


@pytest.mark.parametrize(
    ("cells", "expected", "dtype"),
    [
        ([1, 2, None], [1, 2, None], pa.int64()),
        ([1, 2.5, None], [1.0, 2.5, None], pa.float64()),
        (["00123", "123"], ["00123", "123"], pa.string()),
        (["00123", 123], ["00123", "123"], pa.string()),
        (["x", 12.5], ["x", "12.5"], pa.string()),
        ([DAY, dt.date(2010, 2, 3)], [DAY, dt.datetime(2010, 2, 3)], pa.timestamp("us")),
        ([DAY, "13/02/2010"], ["2010-01-03", "13/02/2010"], pa.string()),
        (["#N/A", 5], [None, 5], pa.int64()),
        (["#REF!", "#DIV/0!", "x"], [None, None, "x"], pa.string()),
        ([True, False], [True, False], pa.bool_()),
        (["NA", "null"], ["NA", "null"], pa.string()),
        ([999999999999999, 1], [999999999999999, 1], pa.int64()),
    ],
)
@pytest.mark.parametrize("batch", [50_000, 1])
def test_cells_keep_their_types(cells, expected, dtype, batch, tmp_path, monkeypatch):
    monkeypatch.setattr(workbooks, "_BATCH", batch)
    path = _book(tmp_path, {"A": [["Customer", "Date", "X"], *(["a", DAY, c] for c in cells)]})
    source = open_source(path, None)
    table = source.load({"date": 1, "amount": 2}).table.to_pyarrow()
    assert table["amount"].to_pylist() == expected
    assert table["amount"].type in (dtype, pa.large_string() if dtype == pa.string() else dtype)


def _with_cell(path: Path, reference: str) -> Path:
    book = openpyxl.Workbook()
    for row in [NAMES, *_rows(1)]:
        book.worksheets[0].append(row)
    book.worksheets[0][reference] = 1
    book.save(path / "log.xlsx")
    return path / "log.xlsx"


@pytest.mark.parametrize(
    ("reference", "cells"), [("XFD1048576", "17,179,869,184"), ("ZZ100000", "70,200,000")]
)
def test_a_far_cell_is_refused_before_room_is_made_for_it(reference, cells, tmp_path):
    with pytest.raises(InputError, match=rf"reach to {reference}, .* {cells} cells.*60,000,000"):
        read_transactions(_with_cell(tmp_path, reference))


@pytest.mark.parametrize("reference", ["A1048576", "XFD3", "Z900000"])
def test_a_stray_cell_that_is_not_too_far_is_read(reference, tmp_path):
    ledger = read_transactions(_with_cell(tmp_path, reference)).ledger
    assert ledger.rows_in - ledger.rows_kept == (reference != "XFD3")


def _edited(path: Path, part: str, edit: Any) -> Path:
    """Change one part of a good workbook."""
    good = _book(path, {"A": [NAMES, *_rows(1)]})
    made = path / "edited.xlsx"
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for item in old.infolist():
            content = old.read(item)
            new.writestr(item.filename, edit(content) if item.filename == part else content)
    return made


_SHEET = "xl/worksheets/sheet1.xml"


@pytest.mark.parametrize(
    "edit",
    [
        lambda xml: xml.replace(b'<c r="A2"', b'<c q="" r="XFD1048576"'),
        lambda xml: xml.replace(b'<c r="A2"', b'<c\nr="xfd1048576"'),
        lambda xml: xml.replace(b'<row r="2"', b'<row r="1048576"').replace(
            b'<c r="A2"', b"<c/>" * 16_000 + b"<c"
        ),
    ],
)
def test_a_far_cell_is_seen_however_it_is_written(edit, tmp_path):
    with pytest.raises(InputError, match="cells, more than the limit"):
        read_transactions(_edited(tmp_path, _SHEET, edit))


def test_cells_that_do_not_say_where_they_are_are_read(tmp_path):
    import re

    path = _edited(tmp_path, _SHEET, lambda xml: re.sub(rb' r="[A-Z]+\d+"', b"", xml))
    assert read_transactions(path).ledger == Ledger(2)


@pytest.mark.parametrize(
    ("part", "edit"),
    [
        (_SHEET, lambda xml: xml[: len(xml) // 2]),
        (_SHEET, lambda xml: b""),
        (_SHEET, lambda xml: xml.replace(b"<sheetData>", b"<sheetData><c")),
        ("xl/workbook.xml", lambda xml: b"\xff" * 99),
        ("xl/workbook.xml", lambda xml: xml.replace(b"rId1", b"rId99")),
    ],
)
def test_a_damaged_workbook_is_refused_in_one_line_or_read_whole(part, edit, tmp_path):
    path, message = _edited(tmp_path, part, edit), ""
    try:
        assert read_transactions(path).ledger == Ledger(2)
    except InputError as error:
        message = str(error)
    assert "\n" not in message


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_workbook_is_refused(share, tmp_path):
    path = _book(tmp_path, {"A": [NAMES, *_rows(1)]})
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"log.xlsx is not a readable workbook: [^\n]*$"):
        read_transactions(path)


def test_a_zip_bomb_is_refused(tmp_path):
    path = _edited(tmp_path, "xl/styles.xml", lambda xml: xml + b" " * 200_000_000)
    assert path.stat().st_size < 400_000
    with pytest.raises(InputError, match=r"unpacks to 2\d\d MB, more than the limit of 100 MB"):
        read_transactions(path)


def test_an_empty_workbook_is_refused(tmp_path):
    with pytest.raises(InputError, match="is empty: it has no header and no rows"):
        read_transactions(_book(tmp_path, {"A": [], "B": []}))
    with pytest.raises(InputError, match="is empty: it holds no transactions"):
        read_transactions(_book(tmp_path, {"A": [NAMES]}))

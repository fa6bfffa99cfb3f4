import datetime as dt
import gc
import inspect
import os
import stat
from pathlib import Path
from typing import Any

import duckdb
import ibis
import numpy as np
import pandas as pd
import pytest

from bayes_clv.data.ledger import Ledger
from bayes_clv.data.loading import MEMORY, connect
from bayes_clv.data.reading import read_transactions
from bayes_clv.data.rfm import summarise
from bayes_clv.errors import InputError

RETAILER = (
    Path(__file__).resolve().parents[3] / "shared" / "data" / "online_retail_II_2009_2010.parquet"
)

SHOP = pd.DataFrame(
    {
        "Customer ID": ["Ёлка", "b 2", "Ёлка", "李", "b 2", "Ёлка"],
        "Order Date": pd.to_datetime(
            [
                "2020-02-28 23:59:59",
                "2020-02-29 00:00:00",
                "2020-02-28 08:00:00",
                "2019-12-31 12:00:00",
                "2020-03-01 10:30:00",
                "2020-03-13 01:00:00",
            ]
        ),
        "Qty": [1, 2, 3, 4, -1, 6],
        "Unit Price": [1.5, 2.0, 0.25, 10.0, 2.0, 0.1],
        "Invoice No": ["101", "102", "103", "104", "C105", "106"],
        "Country": ["NA", "France", "NA", "中国", "France", "Zürich"],
    }
)
SHOP_ROWS = [
    ("b 2", dt.date(2020, 2, 29), 4.0, "France"),
    ("Ёлка", dt.date(2020, 2, 28), 0.75, "NA"),
    ("Ёлка", dt.date(2020, 2, 28), 1.5, "NA"),
    ("Ёлка", dt.date(2020, 3, 13), pytest.approx(0.6), "Zürich"),
    ("李", dt.date(2019, 12, 31), 40.0, "中国"),
]


def _rows(transactions: Any) -> list[tuple[Any, ...]]:
    return sorted(tuple(row.values()) for row in transactions.table.to_pyarrow().to_pylist())


def _write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def _frame(**columns: Any) -> pd.DataFrame:
    """Two good rows, whose columns a test replaces or adds to."""
    return pd.DataFrame({"customer": ["a", "b"], "date": ["2020-01-01", "2020-01-02"]} | columns)


# ---- one answer, whatever the log came in


def _as_csv(path: Path) -> tuple[Any, dict[str, Any]]:
    SHOP.to_csv(path / "shop.csv", index=False)
    return path / "shop.csv", {}


def _as_semicolons(path: Path) -> tuple[Any, dict[str, Any]]:
    SHOP.to_csv(
        path / "shop.txt", index=False, sep=";", encoding="utf-8-sig", lineterminator="\r\n"
    )
    return str(path / "shop.txt"), {}


def _as_tsv(path: Path) -> tuple[Any, dict[str, Any]]:
    SHOP.to_csv(path / "shop.tsv", index=False, sep="\t")
    return path / "shop.tsv", {}


def _as_pipes(path: Path) -> tuple[Any, dict[str, Any]]:
    SHOP.to_csv(path / "shop.csv", index=False, sep="|")
    return path / "shop.csv", {}


def _as_parquet(path: Path) -> tuple[Any, dict[str, Any]]:
    SHOP.to_parquet(path / "shop [1] *.parquet")
    return path / "shop [1] *.parquet", {}


def _as_workbook(path: Path) -> tuple[Any, dict[str, Any]]:
    SHOP.to_excel(path / "shop.xlsx", index=False)
    return path / "shop.xlsx", {}


def _as_second_sheet(path: Path) -> tuple[Any, dict[str, Any]]:
    with pd.ExcelWriter(path / "shop.xlsx") as book:
        pd.DataFrame({"nothing": [1]}).to_excel(book, sheet_name="first", index=False)
        SHOP.to_excel(book, sheet_name="orders", index=False)
    return path / "shop.xlsx", {"table": "orders"}


def _as_frame(path: Path) -> tuple[Any, dict[str, Any]]:
    return SHOP, {}


def _as_categories(path: Path) -> tuple[Any, dict[str, Any]]:
    text = ["Customer ID", "Invoice No", "Country"]
    return SHOP.astype(dict.fromkeys(text, "category")).set_index([[7] * len(SHOP)]), {}


def _as_memtable(path: Path) -> tuple[Any, dict[str, Any]]:
    return ibis.memtable(SHOP), {}


def _as_ibis_table(path: Path) -> tuple[Any, dict[str, Any]]:
    return ibis.duckdb.connect().create_table("orders", SHOP), {}


def _as_url(path: Path) -> tuple[Any, dict[str, Any]]:
    connection = ibis.duckdb.connect(path / "shop.db")
    connection.create_table("orders", SHOP)
    connection.disconnect()
    return f"duckdb://{path / 'shop.db'}", {"table": "orders"}


@pytest.mark.parametrize(
    "form",
    [
        _as_csv,
        _as_semicolons,
        _as_tsv,
        _as_pipes,
        _as_parquet,
        _as_workbook,
        _as_second_sheet,
        _as_frame,
        _as_categories,
        _as_memtable,
        _as_ibis_table,
        _as_url,
    ],
)
def test_every_form_of_a_log_gives_the_same_purchases_and_ledger(form, tmp_path):
    source, options = form(tmp_path)
    transactions = read_transactions(source, segment="country", **options)
    assert _rows(transactions) == SHOP_ROWS
    assert transactions.ledger == Ledger(6, (("cancelled", 1),))
    assert (transactions.start, transactions.end) == (dt.date(2019, 12, 31), dt.date(2020, 3, 13))
    assert transactions.has_amounts
    schema = transactions.table.schema()
    assert schema["date"].is_date()
    assert schema["amount"].is_float64()


def test_the_source_may_vanish_after_the_log_was_read(tmp_path):
    def read() -> Any:
        frame = SHOP.copy()
        transactions = read_transactions(frame, segment="Country")
        frame["Qty"] = 0
        return transactions

    assert _rows(read()) == SHOP_ROWS
    path = _write(tmp_path / "a.csv", "customer,date\na,2020-01-01\n")
    transactions = read_transactions(path)
    path.unlink()
    assert _rows(transactions) == [("a", dt.date(2020, 1, 1), None)]


def test_the_callers_dataframe_is_not_changed():
    frame = SHOP.copy(deep=True)
    read_transactions(frame, segment="Country")
    pd.testing.assert_frame_equal(frame, SHOP)


# ---- the ledger


def test_every_known_defect_is_counted_once_and_under_its_own_name(tmp_path):
    lines = """\
customer_id,order_date,invoice_no,sku,quantity,unit_price
1,2020-01-01,100,x,1,1.50
1,2020-01-02 10:00:00,101,"a, quoted ""name""\nover two lines",2,2.5
ünï,2020-01-03T23:59:59.5+09:00,102,x,3,1e2
,2020-01-04,103,x,1,1
  ,2020-01-04,103,x,1,1
NaN,,C9,x,bad,1
2,,104,x,1,1
2,2020-02-30,105,x,1,1
2,yesterday,106,x,1,1
2,2020-13-01,106,x,1,1
2,2020-01-05,C107,x,-1,1
2,2020-01-05,c108,x,1,1
2,2020-01-05,A109,x,1,1
2,2020-01-05,110,x,0,1
2,2020-01-05,111,x,-4,1
2,2020-01-05,112,BANK CHARGES,1,15
2,2020-01-05,113,x,1,
2,2020-01-05,114,x,one,1
2,2020-01-05,115,x,1,inf
2,2020-01-05,116,x,1,nan
2,2020-01-05,117,x,1,1e400
2,2020-01-05,118,x,1,0
2,2020-01-05,119,x,1,-3
2,2020-07-01,120,x,1,1
2,2020-01-05,121,x,1
2,2020-01-05,122,x,1,1,1
2,2020-01-05,123,x,1,1,1,1,1

"""
    transactions = read_transactions(_write(tmp_path / "x.csv", lines), end=dt.date(2020, 6, 30))
    assert transactions.ledger.to_dict() == {
        "rows_in": 27,
        "rows_kept": 3,
        "rejected": {
            "malformed line": 3,
            "no customer": 3,
            "no date": 1,
            "unreadable date": 3,
            "cancelled": 2,
            "not a sale": 4,
            "no amount": 2,
            "unreadable amount": 3,
            "not positive amount": 2,
            "after the end": 1,
        },
    }
    assert _rows(transactions) == [
        ("1", dt.date(2020, 1, 1), 1.5),
        ("1", dt.date(2020, 1, 2), 5.0),
        ("ünï", dt.date(2020, 1, 3), 300.0),
    ]
    assert transactions.end == dt.date(2020, 6, 30)


@pytest.mark.parametrize("stray", ['b,"2020-01-02', 'b,"2020"-01-02', '"b,2020-01-02'])
def test_a_stray_quote_costs_its_own_line_and_no_other(stray, tmp_path):
    good = "a,2020-01-01\n" * 500
    path = _write(tmp_path / "x.csv", f"customer,date\n{good}{stray}\n{good}")
    assert read_transactions(path).ledger == Ledger(1001, (("malformed line", 1),))


def test_no_line_is_lost_in_a_large_file_of_which_many_are_malformed(tmp_path):
    rng = np.random.default_rng(5)
    kinds = rng.choice(4, size=300_000, p=[0.97, 0.01, 0.01, 0.01])
    forms = np.array(
        ["{},2020-01-01,1", "{},2020-01-01", "{},2020-01-01,1,2,3,4", '"{}"x,2020-01-01,1']
    )
    lines = "\n".join(form.format(i) for i, form in enumerate(forms[kinds]))
    ledger = read_transactions(_write(tmp_path / "x.csv", f"customer,date,amount\n{lines}")).ledger
    assert ledger == Ledger(300_000, (("malformed line", int((kinds > 0).sum())),))


def test_the_retailers_file_needs_no_options_and_its_ledger_adds_up():
    if not RETAILER.exists():
        pytest.skip("Online Retail II is not beside the repository")
    transactions = read_transactions(RETAILER, segment="Country")
    assert transactions.ledger == Ledger(
        525_461,
        (
            ("no customer", 107_927),
            ("cancelled", 9_839),
            ("not a sale", 67),
            ("not positive amount", 29),
        ),
    )
    assert transactions.table.count().execute() == transactions.ledger.rows_kept == 407_599
    assert transactions.table.customer_id.type().is_int64()
    assert (transactions.start, transactions.end) == (dt.date(2009, 12, 1), dt.date(2010, 12, 9))


def test_cdnow_as_published_needs_no_options():
    datasets = pytest.importorskip("lifetimes.datasets", exc_type=ImportError)
    path = Path(inspect.getfile(datasets)).with_name("CDNOW_master.txt")
    assert read_transactions(path).ledger == Ledger(69_659, (("not positive amount", 80),))
    kept = read_transactions(path, keep_zero_amounts=True)
    assert kept.ledger == Ledger(69_659)
    assert (kept.start, kept.end) == (dt.date(1997, 1, 1), dt.date(1998, 6, 30))
    assert kept.table.customer_id.min().execute() == "00001"


def test_a_ledger_survives_its_dictionary():
    ledger = Ledger(10, (("no customer", 3), ("cancelled", 2)))
    assert ledger.rows_kept == 5
    assert Ledger.from_dict(ledger.to_dict()) == ledger


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (
            {"rows_in": 10, "rows_kept": 6, "rejected": {"cancelled": 5}},
            "rows_kept is 6 and 5 rows are rejected",
        ),
        ({"rows_in": 10, "rejected": {}}, "holds rows_in, rows_kept and rejected"),
        ({"rows_in": 10, "rows_kept": 10, "rejected": []}, "holds rows_in, rows_kept and rejected"),
        ({"rows_in": 1.0, "rows_kept": 1, "rejected": {}}, "counts rows in integers"),
        ({"rows_in": 1, "rows_kept": 2, "rejected": {"cancelled": -1}}, "a positive count"),
        (
            {"rows_in": 1, "rows_kept": -1, "rejected": {"cancelled": 2}},
            "must not count more rows than rows_in, 1: 2",
        ),
        ([], "holds rows_in, rows_kept and rejected"),
    ],
)
def test_a_ledger_that_does_not_add_up_is_refused(record, words):
    with pytest.raises(InputError, match=words):
        Ledger.from_dict(record)


# ---- invoices


def test_letters_before_invoice_numbers_mean_nothing_where_all_invoices_have_them():
    frame = _frame(order_id=["C0001", "C0002"])
    assert read_transactions(frame).ledger == Ledger(2)
    frame = _frame(order_id=["CA-2016-152156", "US-2015-108966"])
    assert read_transactions(frame).ledger == Ledger(2)


def test_integer_invoices_cancel_nothing():
    assert read_transactions(_frame(invoice=[1, 2])).ledger == Ledger(2)


def test_the_example_of_a_rejected_row_is_the_value_that_says_why():
    log = {
        "invoice": [*map(str, range(100, 120)), "A7", "121", "122", "123", "124"],
        "stock_code": [*["x"] * 22, "BANK CHARGES", "x", "x"],
        "quantity": [*["1"] * 21, "one", "1", "1", "-2"],
        "price": [*["2.5"] * 23, "free", "2.5"],
    }
    frame = pd.DataFrame(log | {"customer": "a", "date": "2020-01-01"})

    def example(rows):
        return dict(read_transactions(frame.loc[rows], allow_rejected=True).report.examples)

    kept = list(range(20))
    assert example([*kept, 20]) == {"not a sale": "A7"}
    assert example([*kept, 21]) == {"unreadable amount": "one"}
    assert example([*kept, 22]) == {"not a sale": "BANK CHARGES"}
    assert example([*kept, 23]) == {"unreadable amount": "free"}
    assert example([*kept, 24]) == {"not a sale": "-2"}


# ---- amounts


def test_an_amount_column_goes_before_quantity_times_price():
    frame = _frame(amount=[7.0, 8.0], quantity=[2, 2], price=[1.0, 1.0])
    assert [amount for *_, amount in _rows(read_transactions(frame))] == [7.0, 8.0]
    named = read_transactions(frame, quantity="quantity", price="price")
    assert [amount for *_, amount in _rows(named)] == [2.0, 2.0]


def test_a_quantity_beside_an_amount_still_tells_returns_and_may_be_missing():
    frame = _frame(amount=[7.0, 8.0], quantity=[-2, None])
    assert read_transactions(frame).ledger == Ledger(2, (("not a sale", 1),))


def test_a_log_without_amounts_has_none():
    transactions = read_transactions(_frame())
    assert not transactions.has_amounts
    assert transactions.table.schema()["amount"].is_float64()
    assert [amount for *_, amount in _rows(transactions)] == [None, None]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (np.nan, "no amount"),
        (None, "no amount"),
        (np.inf, "unreadable amount"),
        (-np.inf, "unreadable amount"),
    ],
)
def test_amounts_that_are_missing_or_not_finite_are_counted(bad, reason):
    assert read_transactions(_frame(amount=[1.0, bad])).ledger == Ledger(2, ((reason, 1),))


@pytest.mark.parametrize("bad", [2e18, -2e18, 1e26, 1e40, 1e150, 1e300])
def test_amounts_that_no_purchase_costs_are_unreadable(bad):
    unreadable = Ledger(2, (("unreadable amount", 1),))
    assert read_transactions(_frame(amount=[1.0, bad])).ledger == unreadable
    assert read_transactions(_frame(amount=["1", f"{bad:g}"])).ledger == unreadable
    assert read_transactions(_frame(quantity=[1, 10], price=[1.0, bad])).ledger == unreadable
    assert read_transactions(_frame(amount=[1.0, 1e18])).ledger.rejected == ()


@pytest.mark.parametrize("each", [1e10, 1e17, 1e149])
def test_a_product_that_no_purchase_costs_is_unreadable(each):
    log = read_transactions(_frame(quantity=[1.0, each], price=[1.0, each]))
    assert log.ledger.rejected == (("unreadable amount", 1),)


# ---- customers


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([13085.0, None], [13085]),
        ([3, 1], [1, 3]),
        (pd.array([5, None], dtype="Int64"), [5]),
        ([" a ", ""], ["a"]),
        (["00012", "nan"], ["00012"]),
        (["13085.0", None], ["13085.0"]),
        ([17, "x"], ["17", "x"]),
        ([17.0, "x"], ["17", "x"]),
    ],
)
def test_customer_ids_keep_their_type_and_blanks_are_no_customer(ids, expected):
    transactions = read_transactions(_frame(customer=ids))
    assert [customer for customer, *_ in _rows(transactions)] == expected
    assert transactions.ledger.rows_kept == len(expected)


def test_a_text_file_s_float_ids_are_the_whole_numbers_that_they_were(tmp_path):
    path = _write(tmp_path / "x.csv", "customer,date\n13085.0,2020-01-01\n007,2020-01-01\n")
    assert [customer for customer, *_ in _rows(read_transactions(path))] == ["007", "13085"]


def test_fractional_customer_ids_are_refused():
    with pytest.raises(InputError, match=r"exact whole numbers; one is 1.5"):
        read_transactions(_frame(customer=[1.5, 2.0]))


def test_a_missing_segment_has_a_name():
    transactions = read_transactions(_frame(tier=[None, "gold"]), segment="tier")
    assert [segment for *_, segment in _rows(transactions)] == ["missing", "gold"]


# ---- dates


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (["2011-01-02 08:26:00", "2011-1-3"], ["2011-01-02", "2011-01-03"]),
        (["2011-01-02T23:30:00Z", "2011-01-03 23:59:59.999+05:30"], ["2011-01-02", "2011-01-03"]),
        (["2011/01/02", "2011/12/13"], ["2011-01-02", "2011-12-13"]),
        (["13/02/2011 8:26", "01/02/2011 18:26:09"], ["2011-02-01", "2011-02-13"]),
        (["2/13/2011 8:26 PM", "2/1/2011 10:00 am"], ["2011-02-01", "2011-02-13"]),
        (["01.02.2011", "02.02.2011"], ["2011-02-01", "2011-02-02"]),
        (["13-02-2011", "01-02-2011"], ["2011-02-01", "2011-02-13"]),
        (["20110213", "20110201"], ["2011-02-01", "2011-02-13"]),
        ([20110213, 20110201], ["2011-02-01", "2011-02-13"]),
        (["3 Feb 2011", "14 September 2011"], ["2011-02-03", "2011-09-14"]),
        (["3-FEB-2011", "4-feb-2011"], ["2011-02-03", "2011-02-04"]),
        (["Feb 3, 2011", "Sep 14, 2011"], ["2011-02-03", "2011-09-14"]),
        (["05/05/2011", "06/06/2011"], ["2011-05-05", "2011-06-06"]),
        ([dt.date(2011, 2, 1), dt.date(2011, 2, 2)], ["2011-02-01", "2011-02-02"]),
        (pd.to_datetime(["2011-02-01 23:59", "2011-02-02 00:00"]), ["2011-02-01", "2011-02-02"]),
        (pd.period_range("2011-02-01", periods=2), ["2011-02-01", "2011-02-02"]),
    ],
)
def test_dates_are_read_as_they_are_written(written, expected):
    transactions = read_transactions(_frame(date=written))
    assert sorted(str(date) for _, date, *_ in _rows(transactions)) == expected


def test_integer_dates_with_gaps_are_read():
    transactions = read_transactions(_frame(date=[20110213, None]))
    assert transactions.ledger == Ledger(2, (("no date", 1),))
    assert transactions.start == dt.date(2011, 2, 13)


def test_dates_that_may_be_day_first_or_month_first_are_not_guessed():
    frame = _frame(date=["01/02/2011", "03/04/2011"])
    with pytest.raises(InputError, match=r"%d/%m/%Y and as %m/%d/%Y.*--date-format"):
        read_transactions(frame)
    assert read_transactions(frame, date_format="%d/%m/%Y").start == dt.date(2011, 2, 1)
    assert read_transactions(frame, date_format="%m/%d/%Y").start == dt.date(2011, 1, 2)


def test_dates_in_several_formats_are_refused_with_an_example_of_each():
    frame = pd.DataFrame({"customer": "a", "date": ["13/02/2011"] * 200 + ["02/13/2011"]})
    with pytest.raises(InputError, match=r"'13/02/2011' is %d/%m/%Y, '02/13/2011' is %m/%d/%Y; .*"):
        read_transactions(frame)
    both = read_transactions(frame, date_format=["%d/%m/%Y", "%m/%d/%Y"])
    assert (both.ledger, both.start, both.end) == (Ledger(201), *[dt.date(2011, 2, 13)] * 2)
    with pytest.raises(InputError, match=r"'13/02/2011' is %d/%m/%Y, '2011-02-13' is %Y-%m-%d; .*"):
        read_transactions(frame.replace("02/13/2011", "2011-02-13")[-50:])


def test_a_slip_in_another_format_is_counted_and_does_not_change_the_others():
    dates = ["2011-02-13"] * 200 + ["14/02/2011"]
    log = read_transactions(pd.DataFrame({"customer": "a", "date": dates}))
    assert log.ledger == Ledger(201, (("unreadable date", 1),))
    assert log.report.examples == {"unreadable date": "14/02/2011"}
    assert log.end == dt.date(2011, 2, 13)


@pytest.mark.parametrize(
    ("date_format", "written", "expected"),
    [
        ("%d/%m/%y", ["01/02/69", "01/02/68"], ["1969-02-01", "2068-02-01"]),
        ("%Y%m%d%H%M", ["201102131530", "201102010000"], ["2011-02-01", "2011-02-13"]),
        ("%A %d %B %Y", None, None),
        ("%Y-%m", None, None),
        ("100%", None, None),
    ],
)
def test_a_date_format_is_followed_or_refused(date_format, written, expected):
    if written is None:
        with pytest.raises(InputError, match="year, month and day once each"):
            read_transactions(_frame(), date_format=date_format)
    else:
        transactions = read_transactions(_frame(date=written), date_format=date_format)
        assert sorted(str(date) for _, date, *_ in _rows(transactions)) == expected


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Los_Angeles", "UTC"])
@pytest.mark.parametrize("form", ["frame", "parquet"])
def test_the_day_is_the_one_in_the_columns_own_zone(zone, form, tmp_path):
    local = pd.to_datetime(["2020-01-01 00:30", "2020-01-02 23:30"]).tz_localize(zone)
    source: Any = _frame(date=local)
    if form == "parquet":
        source.to_parquet(tmp_path / "x.parquet")
        source = tmp_path / "x.parquet"
    transactions = read_transactions(source)
    assert (transactions.start, transactions.end) == (dt.date(2020, 1, 1), dt.date(2020, 1, 2))


# ---- text files


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_encodings_and_line_ends_make_no_difference(line_end, encoding, tmp_path):
    text = line_end.join(["customer;date;note", "Zoë;2020-01-01;£5", "b;2020-01-02;x", ""])
    path = _write(tmp_path / "x.csv", text.encode(encoding))
    assert _rows(read_transactions(path)) == [
        ("Zoë", dt.date(2020, 1, 1), None),
        ("b", dt.date(2020, 1, 2), None),
    ]


def test_mixed_line_ends_and_leading_blank_lines_are_read(tmp_path):
    path = _write(tmp_path / "x.csv", "\n\ncustomer,date\r\na,2020-01-01\nb,2020-01-02\r\n\r\n")
    assert read_transactions(path).ledger == Ledger(2)


def test_parquet_whose_dates_are_text_is_read(tmp_path):
    _frame(date=["13/01/2020", "14/01/2020"]).to_parquet(tmp_path / "x.parquet")
    assert read_transactions(tmp_path / "x.parquet").end == dt.date(2020, 1, 14)


# ---- columns


def test_named_columns_go_before_the_usual_ones():
    frame = _frame(Patron=["p", "q"], booked=["2021-01-01", "2021-01-02"])
    transactions = read_transactions(frame, customer="patron", date="BOOKED")
    assert _rows(transactions)[0][:2] == ("p", dt.date(2021, 1, 1))


def test_a_plain_id_is_the_customer_only_where_nothing_better_is_found():
    assert _rows(read_transactions(_frame(id=[1, 2])))[0][0] == "a"
    plain = _frame(id=[1, 2]).drop(columns="customer")
    assert _rows(read_transactions(plain))[0][0] == 1


def test_columns_are_found_even_where_labels_are_not_text_or_repeat():
    frame = pd.concat([_frame(), pd.DataFrame({0: [1, 2], "x": [1, 2]})], axis=1)
    frame = pd.concat([frame, frame[["x"]]], axis=1)
    assert read_transactions(frame).ledger == Ledger(2)


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        (_frame(), {"customer": "who"}, r"no column 'who' \(customer= \(--customer\)\); its col"),
        (_frame(), {"segment": "tier"}, r"no column 'tier' \(segment="),
        (_frame().rename(columns={"customer": "x"}), {}, r"for the customer; .*'x', 'date'; say"),
        (_frame().rename(columns={"date": "x"}), {}, r"for the date; .*--date"),
        (
            _frame(invoicedate=[1, 2]),
            {},
            "the date of the DataFrame may be 'date' or 'invoicedate'",
        ),
        (_frame(price=[1, 2]), {}, "has a price, 'price', but no quantity"),
        (_frame(amount=[True, False]), {}, "amount column must hold numbers; its type is boolean"),
        (_frame(date=[True, False]), {}, "the date column must hold dates"),
        (_frame(date=["soon", "later"]), {}, "no date can be read, for example 'later'"),
        (_frame(customer=["", None]), {}, "DataFrame is a purchase; 2 rows were rejected: 2 no c"),
        (_frame()[:0], {}, "the DataFrame is empty"),
        (_frame(), {"end": dt.date(2019, 12, 31)}, r"end \(2019-12-31\) must not be before .*2020"),
        (_frame(), {"end": "soon"}, "end must be a date such as"),
        (_frame(), {"table": "x"}, r"table \(--table\) names a sheet"),
        (3, {}, "got int"),
        (ibis.table({"customer": "int64", "date": "date"}, name="t"), {}, "no data behind it"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(frame, options, message):
    with pytest.raises(InputError, match=message) as refusal:
        read_transactions(frame, **options)
    assert "\n" not in str(refusal.value)


# ---- files and databases that are not what they should be


def _truncated_parquet(path: Path) -> Path:
    SHOP.to_parquet(path / "x.parquet")
    whole = (path / "x.parquet").read_bytes()
    return _write(path / "x.parquet", whole[: len(whole) // 2])


def _no_such_sheet(path: Path) -> Path:
    SHOP.to_excel(path / "x.xlsx", index=False)
    return path / "x.xlsx"


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (lambda path: path / "x.csv", {}, "does not exist"),
        (lambda path: path, {}, "is a directory"),
        (lambda path: _write(path / "x.doc", "a"), {}, "ends in '.doc'"),
        (lambda path: _write(path / "x.csv", ""), {}, "is empty"),
        (lambda path: _write(path / "x.csv", "\n \n"), {}, "is empty"),
        (lambda path: _write(path / "x.csv", "customer,date\n"), {}, "x.csv is empty"),
        (lambda path: _write(path / "x.csv", SHOP.to_csv().encode("utf-16-le")), {}, "zero bytes"),
        (lambda path: _write(path / "x.csv", '"customer,date\na,2020\n'), {}, "open quote"),
        (_truncated_parquet, {}, "not a readable Parquet file"),
        (lambda path: _write(path / "x.xlsx", "customer,date"), {}, "not a readable workbook"),
        (_no_such_sheet, {"table": "x"}, r"no sheet 'x' \(--table\); its sheets are \['Sheet1'\]"),
        (lambda path: f"duckdb://{path / 'x.db'}", {"table": "t"}, "does not exist"),
        (lambda path: f"duckdb://{path / 'x.db'}", {}, "needs the name of a table"),
        (lambda path: "warehouse://host/x", {"table": "t"}, "cannot connect to warehouse://host/x"),
    ],
)
def test_unusable_sources_are_refused_in_one_line(make, options, message, tmp_path):
    with pytest.raises(InputError, match=message) as refusal:
        read_transactions(make(tmp_path), **options)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "x.db").exists()


def test_a_table_that_a_database_does_not_have_is_refused(tmp_path):
    with duckdb.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE orders (customer INT, date DATE)")
    with pytest.raises(InputError, match=r"has no table 'order' \(--table\)"):
        read_transactions(f"duckdb://{tmp_path / 'shop.db'}", table="order")


def test_a_password_in_a_url_is_not_repeated():
    with pytest.raises(InputError) as refusal:
        read_transactions("warehouse://ana:s3cret@host/x", table="t")
    assert "s3cret" not in str(refusal.value)


# ---- DuckDB's share of the machine


def _setting(connection: Any, name: str) -> Any:
    """A setting of DuckDB, sizes in bytes."""
    function = "parse_formatted_bytes" if name == "memory_limit" else ""
    query = f"SELECT {function}(current_setting('{name}'))"
    return connection.con.execute(query).fetchone()[0]


def test_duckdb_takes_half_of_what_it_would_and_four_gigabytes_at_most(monkeypatch):
    monkeypatch.delenv(MEMORY, raising=False)
    usual = _setting(ibis.duckdb.connect(), "memory_limit")
    # DuckDB prints sizes with one decimal.
    assert _setting(connect(), "memory_limit") == pytest.approx(min(usual / 2, 4e9), rel=0.05)


def test_the_environment_sets_the_share_of_memory(monkeypatch):
    monkeypatch.setenv(MEMORY, "1GB")
    assert _setting(connect(), "memory_limit") == pytest.approx(1e9, rel=0.001)
    monkeypatch.setenv(MEMORY, "a lot")
    with pytest.raises(InputError, match=r"^BAYES_CLV_MEMORY must be an amount .*'a lot'$"):
        read_transactions(SHOP)


def test_what_memory_does_not_hold_lies_in_a_private_folder_that_goes_with_the_log(monkeypatch):
    monkeypatch.setenv(MEMORY, "50MB")
    connection, other = connect(), connect()
    overflow = Path(_setting(connection, "temp_directory"))
    assert overflow != Path(_setting(other, "temp_directory"))
    assert stat.S_IMODE(overflow.stat().st_mode) == stat.S_IRWXU
    assert os.listdir(overflow) == []
    connection.con.execute("CREATE TABLE log AS SELECT range, random() AS x FROM range(5_000_000)")
    assert os.listdir(overflow)
    assert connection.con.execute("SELECT count(*), sum(range) FROM log").fetchone() == (
        5_000_000,
        5_000_000 * 4_999_999 // 2,
    )
    del connection
    gc.collect()
    assert not overflow.exists()


def test_a_log_is_summarised_alike_in_little_memory(monkeypatch, tmp_path):
    rng = np.random.default_rng(5)
    n = 1_500_000
    days = np.datetime64("2020-01-01") + rng.integers(0, 700, n)
    log = pd.DataFrame({"customer": rng.integers(0, 400_000, n), "date": days, "amount": 0.25})
    log.to_parquet(tmp_path / "log.parquet")
    summaries = []
    for memory in ("2GB", "70MB"):
        monkeypatch.setenv(MEMORY, memory)
        transactions = read_transactions(tmp_path / "log.parquet")
        states = summarise(transactions).cache()
        frame = states.order_by("customer_id").to_pandas()
        summaries.append(frame)
        assert transactions.ledger == Ledger(n)
    pd.testing.assert_frame_equal(*summaries)
    firsts = log.groupby("customer")["date"].agg(["min", "max", "nunique"])
    assert (frame["frequency"].to_numpy() == firsts["nunique"].to_numpy() - 1).all()
    assert (frame["first"].to_numpy().astype("M8[D]") == firsts["min"].to_numpy()).all()

"""Parquet, folders, patterns, odd names and packed files: one log, in the zone of its files."""

import bz2
import datetime as dt
import decimal
import gzip
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bayes_clv.data.ledger import Ledger
from bayes_clv.data.reading import read_transactions
from bayes_clv.data.sources import open_source
from bayes_clv.errors import InputError

TEXT = "customer,date,amount\na,2020-01-01,5\nb,2020-01-02,6\n"


def _parquet(path: Path, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    given = {
        "customer": [1, 2],
        "date": [dt.date(2020, 1, 1), dt.date(2020, 1, 2)],
        "amount": [5, 6.0],
    }
    pq.write_table(pa.table(given | columns), path)
    return path


def _customers(source: Any, **options: Any) -> list[Any]:
    return sorted(read_transactions(source, **options).table.customer_id.execute())


# ---- zones and types


@pytest.mark.parametrize(
    ("zone", "hours"),
    [
        ("+00:00", 0),
        ("UTC", 0),
        ("Z", 0),
        ("+02:00", 2),
        ("-05:30", -5.5),
        ("+0545", 5.75),
        ("Etc/GMT-2", 2),
        ("Europe/Paris", 1),
        ("America/New_York", -5),
    ],
)
@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_days_are_those_of_the_files_zone(zone, hours, unit, tmp_path):
    moments = [dt.datetime(2020, 1, 1, 23, 30), dt.datetime(2020, 1, 2, 0, 30)]
    stored = pa.array(moments, pa.timestamp(unit)).cast(pa.timestamp(unit, tz="UTC"))
    path = _parquet(tmp_path / "x.parquet", date=stored.cast(pa.timestamp(unit, tz=zone)))
    days = sorted(read_transactions(path).table.date.execute().astype(str))
    assert days == [str((moment + dt.timedelta(hours=hours)).date()) for moment in moments]


def test_an_unknown_zone_is_refused(tmp_path):
    moments = pa.array([0, 1], pa.timestamp("us", tz="Mars/Olympus"))
    with pytest.raises(InputError, match=r"time zone 'Mars/Olympus', which DuckDB does not know"):
        read_transactions(_parquet(tmp_path / "x.parquet", date=moments))


@pytest.mark.parametrize(
    "column",
    [
        pa.array([2**64 - 1, 2**63], pa.uint64()),
        pa.array([decimal.Decimal(10) ** 20 + 1, decimal.Decimal(10) ** 20], pa.decimal128(38, 0)),
        pa.array(["00123", "123"], pa.large_string()),
        pa.array(["x", "y"]).dictionary_encode(),
        pa.array([2**53 + 1, 2**53], pa.int64()),
        pa.array([dt.datetime(2020, 1, 1, 1), None], pa.timestamp("ns")),
        pa.array([dt.date(2020, 1, 1), None], pa.date64()),
    ],
)
def test_columns_are_handed_on_as_they_are(column, tmp_path):
    source = open_source(_parquet(tmp_path / "x.parquet", amount=column), None)
    table = source.load({"date": 1, "amount": 2}).table.to_pyarrow()
    plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    day = pa.types.is_date(column.type)
    assert table["amount"].to_pylist() == (plain.cast("date32") if day else plain).to_pylist()


# ---- several files


def test_a_folder_a_pattern_and_a_list_are_one_log(tmp_path):
    one = _parquet(tmp_path / "logs" / "year=2020" / "a.parquet")
    other = _parquet(tmp_path / "logs" / "year=2021" / "b.parquet", customer=[3, None])
    (tmp_path / "logs" / "_SUCCESS").write_text("")
    (tmp_path / "logs" / ".a.parquet.crc").write_text("x")
    for source in (
        tmp_path / "logs",
        str(tmp_path / "logs" / "*" / "*.parquet"),
        tmp_path / "logs" / "**" / "*.parquet",
        [one, str(other)],
    ):
        transactions = read_transactions(source)
        assert transactions.ledger == Ledger(4, (("no customer", 1),))
        assert transactions.report.remarks == ("2 Parquet files read as one log",)
    assert open_source(tmp_path / "logs", None).columns == ("customer", "date", "amount", "year")
    segments = read_transactions(tmp_path / "logs", segment="year").table.segment.execute()
    assert sorted(segments) == ["2020", "2020", "2021"]


@pytest.mark.parametrize("name", ["country=São Paulo", "country=a%20b", "country=a'b*[", "x"])
def test_the_names_of_partitions_may_be_odd(name, tmp_path):
    _parquet(tmp_path / name / "a.parquet")
    value = {"country=a%20b": "a b"}.get(name, name.partition("=")[2])
    source = tmp_path if "[" not in name else [tmp_path / name / "a.parquet"]
    assert ("country" in open_source(source, None).columns) == (name != "x")
    if name != "x":
        assert set(read_transactions(source, segment="country").table.segment.execute()) == {value}


def test_a_partition_does_not_hide_a_column(tmp_path):
    _parquet(tmp_path / "Amount=1" / "a.parquet")
    assert open_source(tmp_path, None).columns == ("customer", "date", "amount")
    assert read_transactions(tmp_path).table.amount.sum().execute() == 11


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"extra": [1, 2]}, r"same columns; '.*b.parquet' has 'extra' and '.*a.parquet' has not"),
        ({"customer": ["x", "y"]}, r"'customer' is int64 in '.*a.parquet' and string in '.*b.parq"),
        ({"date": pa.array([0, 1], pa.timestamp("us", tz="UTC"))}, r"'date' is date32"),
    ],
)
def test_files_of_other_schemas_are_refused(columns, message, tmp_path):
    _parquet(tmp_path / "a.parquet")
    _parquet(tmp_path / "b.parquet", **columns)
    with pytest.raises(InputError, match=message):
        read_transactions(tmp_path)


def test_numbers_of_several_types_and_columns_without_values_agree(tmp_path):
    _parquet(tmp_path / "a.parquet", customer=pa.array([1, 2], pa.int32()))
    _parquet(tmp_path / "b.parquet", customer=[3.0, None], amount=pa.nulls(2))
    transactions = read_transactions(tmp_path)
    assert transactions.ledger == Ledger(4, (("no customer", 1), ("no amount", 1)))


def test_text_files_of_the_same_columns_are_one_log(tmp_path):
    (tmp_path / "a.csv").write_text(TEXT)
    (tmp_path / "b.csv").write_bytes("date;amount;customer\n2020-01-03;7;Zoë\nx\n".encode("cp1252"))
    (tmp_path / "c.csv").write_text("made by me\n" + TEXT)
    for source in (tmp_path, tmp_path / "*.csv", [tmp_path / f"{n}.csv" for n in "abc"]):
        transactions = read_transactions(source)
        assert transactions.ledger == Ledger(7, (("above the header", 1), ("malformed line", 1)))
        assert _customers(source) == ["Zoë", "a", "a", "b", "b"]
        assert transactions.report.remarks[0] == "3 files read as one log"
        assert "b.csv was read as Windows-1252" in transactions.report.remarks[1]
        assert transactions.report.examples["malformed line"] == "x"


def test_text_files_of_other_columns_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text(TEXT)
    (tmp_path / "b.csv").write_text(TEXT.replace("amount", "price"))
    with pytest.raises(InputError, match=r"'.*a.csv' has 'amount' and '.*b.csv' has not"):
        read_transactions(tmp_path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: [], "at least one file"),
        (lambda p: p / "*.csv", "no file matches it as a pattern"),
        (lambda p: [p / "none.csv"], "none.csv does not exist"),
        (lambda p: [p], "is a directory; list the files"),
        (
            lambda p: (_parquet(p / "a.parquet"), (p / "b.csv").write_text(TEXT), p)[-1],
            "several kinds",
        ),
        (lambda p: (os.mkfifo(p / "a.csv"), p / "a.csv")[-1], "is not a regular file"),
    ],
)
def test_what_is_no_log_is_refused(make, message, tmp_path):
    with pytest.raises(InputError, match=message):
        read_transactions(make(tmp_path))


# ---- names


_NAMES = [
    "a*b",
    "a[1]",
    "a?",
    "a\\b",
    "a\tb",
    "a\nb",
    "a'b",
    'a"b',
    "ü",
    "a b",
    "{a,b}",
    "~",
    "a;--",
    "-",
]


@pytest.mark.parametrize("name", [*map(os.fsencode, _NAMES), b"a\xff", b"\x01"])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_is_read_whatever_its_name(name, kind, tmp_path):
    path = tmp_path / os.fsdecode(name + b"." + kind.encode())
    if kind == "csv":
        path.write_text(TEXT)
    else:
        os.rename(_parquet(tmp_path / "plain.parquet"), path)
    # What the name matches as a pattern must not be read.
    (tmp_path / f"a1.{kind}").write_text("x")
    (tmp_path / f"axb.{kind}").write_text("x")
    assert read_transactions(path).ledger == Ledger(2)
    assert len(_customers(str(path))) == 2


# ---- packed files


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".zst"])
def test_packed_text_is_read(suffix, tmp_path):
    pack = {
        ".gz": gzip.compress,
        ".bz2": bz2.compress,
        ".zst": lambda data: pa.compress(data, "zstd", asbytes=True),
    }[suffix]
    path = tmp_path / f"log.csv{suffix}"
    path.write_bytes(pack(TEXT.encode()))
    assert read_transactions(path).ledger == Ledger(2)
    path.write_bytes(pack(TEXT.encode())[:-9])
    with pytest.raises(InputError, match=r"cannot be unpacked: it is damaged or no"):
        read_transactions(path)


def test_a_packed_bomb_is_refused(tmp_path):
    path = tmp_path / "log.csv.gz"
    path.write_bytes(gzip.compress(b"customer,date\n" + b"a" * 300_000_000, 1))
    assert path.stat().st_size < 2_000_000
    with pytest.raises(InputError, match=r"unpacks to more than .* MB, 200 times its size"):
        read_transactions(path)


def test_nan_is_missing_whatever_the_statistics_of_the_file_say(tmp_path):
    nan = float("nan")
    rows = {
        "customer": pa.array([1.0, nan, 3.0, 4.0, float("inf")]),
        "date": pa.array([20230101.0, 20230102.0, nan, 20230104.0, 20230105.0]),
        "amount": pa.array([1.0, 2.0, 3.0, nan, 5.0]),
    }
    pq.write_table(pa.table(rows), tmp_path / "x.parquet")
    log = read_transactions(tmp_path / "x.parquet")
    assert log.ledger == Ledger(5, (("no customer", 2), ("no date", 1), ("no amount", 1)))
    assert log.table.customer_id.to_pyarrow().to_pylist() == [1]

"""A known log, written in any notation, is read back exactly or refused: never wrong in silence."""

import csv
import datetime as dt
import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bayes_clv.data.reading import read_transactions
from bayes_clv.errors import InputError
from tests.data.cases import purchases_of

CUSTOMERS = (
    *("7", "00123", "98765432109876543210", "Zoë", "O'Brien, J", 'the "x"', "a;b|c", "Ünal €"),
)
STRPTIME = [
    *("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d.%m.%Y", "%d %b %Y", "%d-%b-%y", "%b %d, %Y", "%d/%m/%y", "%m/%d/%y", "%d.%m.%y"),
]
SERIAL = {"excel": 1, "unix": 86_400, "unix-ms": 86_400_000, "unix-ns": 86_400_000_000_000}
EPOCH = dt.date(1970, 1, 1)
# What may stand in place of a value, the reason that the row is then rejected for, and its order.
FAULTS = {
    "malformed line": None,
    "no customer": ("customer", ["", "NULL", "\\N", "#N/A"]),
    "no date": ("date", ["", "n/a"]),
    "unreadable date": ("date", ["soon", "99"]),
    "no amount": ("amount", ["", "-", "nan"]),
    "unreadable amount": ("amount", ["free", "12 kg", "1e400"]),
    "not positive amount": ("amount", ["-3", "(3)", "0"]),
}


@dataclass(frozen=True)
class Notation:
    """How a log is written."""

    decimal: str
    group: str
    places: int
    currency: tuple[str, str]
    date: str
    time: str
    delimiter: str
    quote_all: bool
    encoding: str
    line_end: str
    above: str

    def number(self, cents: int) -> str:
        whole, rest = divmod(cents, 100)
        digits = f"{whole:,}".replace(",", self.group)
        if self.places:
            digits += f"{self.decimal}{rest:02d}"
        return f"{self.currency[0]}{digits}{self.currency[1]}"

    def day(self, day: dt.date) -> str:
        if self.date == "excel":
            return f"{(day - dt.date(1899, 12, 30)).days}{'.5' if self.time else ''}"
        if self.date in SERIAL:
            per_day = SERIAL[self.date]
            return str((day - EPOCH).days * per_day + (per_day // 2 if self.time else 0))
        return day.strftime(self.date) + self.time

    def file(self, rows: list[list[str]]) -> bytes:
        out = io.StringIO()
        quoting = csv.QUOTE_ALL if self.quote_all else csv.QUOTE_MINIMAL
        writer = csv.writer(
            out, delimiter=self.delimiter, quoting=quoting, lineterminator=self.line_end
        )
        writer.writerows(rows)
        above = self.above.format(delimiter=self.delimiter, end=self.line_end)
        return (above + out.getvalue()).encode(self.encoding)

    @property
    def options(self) -> dict[str, str]:
        """What settles every question."""
        return {"decimal_mark": self.decimal, "date_format": self.date}


notations = st.builds(
    Notation,
    decimal=st.sampled_from(".,"),
    group=st.sampled_from(["", ".", ",", "'", " ", "\u00a0"]),
    places=st.sampled_from([0, 2, 2, 2]),
    currency=st.sampled_from([("", "")] * 3 + [("$", ""), ("€ ", ""), ("", " EUR"), ("kr. ", "")]),
    date=st.sampled_from([*STRPTIME, *SERIAL]),
    time=st.sampled_from(["", "", " 8:05", "T23:59:59.123Z", " 11:30:00 PM", " 10:00:00 +0200"]),
    delimiter=st.sampled_from(",;\t|"),
    quote_all=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    above=st.sampled_from(
        ["", "", "", "sep={delimiter}{end}", "Sales report{end}{end}", "# by hand{end}{end}"]
    ),
).filter(lambda notation: notation.group != notation.decimal)

days = st.dates(dt.date(2023, 1, 1), dt.date(2023, 6, 30))
purchases = st.lists(
    st.tuples(st.sampled_from(CUSTOMERS), days, st.integers(100, 5_000_000)),
    min_size=25,
    max_size=40,
)
faults = st.lists(st.sampled_from(sorted(FAULTS)), unique=True, max_size=4)


def needs_an_option(notation: Notation, bought: list[tuple[str, dt.date, int]]) -> bool:
    """Whether the written values alone cannot show how they are meant."""
    numbers = [notation.number(cents) for *_, cents in bought]
    if not notation.places and any(mark in number for number in numbers for mark in ".,"):
        return True
    if notation.date[:2] not in ("%d", "%m") or "%b" in notation.date:
        return False
    if "%y" in notation.date:
        return True
    return "." not in notation.date and all(day.day <= 12 for _, day, _ in bought)


def check(notation: Notation, bought, wrong: list[str], folder: Path) -> None:
    """Write the log with some wrong rows, read it, and compare."""
    rows, expected = [["customer", "date", "amount"]], Counter(wrong)
    for customer, day, cents in bought:
        rows.append([customer, notation.day(day), notation.number(cents)])
    for place, reason in enumerate(wrong):
        row = list(rows[1 + place])
        if FAULTS[reason] is None:
            row.append("one too many")
        else:
            name, values = FAULTS[reason]
            row[rows[0].index(name)] = values[place % len(values)]
        rows.append(row)
    if notation.above:
        expected["above the header"] = 1
    path = folder / "log.csv"
    path.write_bytes(notation.file(rows))
    try:
        log = read_transactions(path, allow_rejected=True)
    except InputError:
        assert needs_an_option(notation, bought), "refused, but the values show the notation"
        log = read_transactions(path, allow_rejected=True, **notation.options)
    amounts = [
        (who, day.isoformat(), (cents if notation.places else cents // 100 * 100) / 100)
        for who, day, cents in bought
    ]
    assert purchases_of(log) == tuple(sorted(amounts, key=str))
    assert dict(log.ledger.rejected) == dict(expected)


def prove(examples: int, folder: Path) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(notations, purchases, faults)
    def holds(notation, bought, wrong):
        check(notation, bought, wrong, folder)

    holds()


def test_a_log_in_any_notation_is_read_back_exactly_or_refused(tmp_path):
    prove(40, tmp_path)


@pytest.mark.long
def test_two_thousand_logs_in_any_notation_are_read_back_exactly_or_refused(tmp_path):
    prove(2_000, tmp_path)

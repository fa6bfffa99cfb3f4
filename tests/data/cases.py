"""Notations of logs: what is read, what is refused, and what an option settles.

Each case is a log as people export it. `test_cases.py` holds the reader to every one of them, and

    python -m tests.data.cases

writes them as the tables of docs/reading.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

DOCS = Path(__file__).parents[2] / "docs" / "reading.md"


@dataclass(frozen=True)
class Case:
    """A log, and what must come of it.

    Parameters
    ----------
    kind
        Heading under which it stands in the documentation.
    what
        What is unusual about it, for people.
    values
        The values that show it, for people.
    log
        The file.
    suffix
        Its ending.
    options
        Arguments of `read_transactions`.
    rows
        Customer, date and amount of each purchase, sorted; None where the log is refused.
    rejected
        Rows that are rejected, by reason.
    refused
        A regular expression of the error; "" where the log is read.
    settled_by
        An option that a refused log is read with, as on the command line, and the same as
        arguments.
    warns
        A regular expression of a warning; "" for none.
    """

    kind: str
    what: str
    values: str
    log: str | bytes
    suffix: str = ".csv"
    options: Mapping[str, Any] = field(default_factory=dict)
    rows: tuple[tuple[Any, str, float | None], ...] | None = None
    rejected: Mapping[str, int] = field(default_factory=dict)
    refused: str = ""
    settled_by: tuple[str, Mapping[str, Any]] = ("", MappingProxyType({}))
    warns: str = ""

    @property
    def name(self) -> str:
        return f"{self.kind}: {self.what}"


def column(values: list[str], name: str = "amount", **options: Any) -> str:
    """Return a log with one purchase a day by customers a, b, c, … and these values."""
    days = [f"2023-01-{day:02d}" for day in range(1, len(values) + 1)]
    lines = [f"{'abcdefghij'[i]}\t{days[i]}\t{value}" for i, value in enumerate(values)]
    return "\n".join([f"customer\tdate\t{name}", *lines, ""])


def amounts(*numbers: float) -> tuple[tuple[str, str, float], ...]:
    """Return what comes of `column` with these amounts."""
    return tuple(
        ("abcdefghij"[i], f"2023-01-{i + 1:02d}", number) for i, number in enumerate(numbers)
    )


def dated(*values: str) -> str:
    """Return a log with one purchase for each of these dates."""
    lines = [f"{'abcdefghij'[i]}\t{value}\t5" for i, value in enumerate(values)]
    return "\n".join(["customer\tdate\tamount", *lines, ""])


def days(*dates: str) -> tuple[tuple[str, str, float], ...]:
    """Return what comes of `dated` with these days."""
    return tuple(("abcdefghij"[i], day, 5.0) for i, day in enumerate(dates))


def by(customers: list[str], *more: str) -> str:
    """Return a log with one purchase of 5 by each of these customers."""
    lines = [f"{value}\t2023-01-{i + 1:02d}\t5" for i, value in enumerate(customers)]
    return "\n".join(["customer\tdate\tamount", *lines, *more, ""])


def of(*ids: str, start: int = 1) -> tuple[tuple[str, str, float], ...]:
    """Return what comes of `by` where these ids, from the ``start``-th row on, are kept."""
    return tuple(sorted((each, f"2023-01-{start + i:02d}", 5.0) for i, each in enumerate(ids)))


PLAIN = "customer,date,amount\na,2023-01-01,1\nb,2023-01-02,2\n"
MANY = "".join(f"c{i},2023-{i % 12 + 1:02d}-{i % 28 + 1:02d},5\n" for i in range(200))


def many(prefix: str) -> tuple[tuple[str, str, float], ...]:
    """Return what comes of the rows of `MANY`."""
    return tuple(
        (f"{prefix}{i}", f"2023-{i % 12 + 1:02d}-{i % 28 + 1:02d}", 5.0) for i in range(200)
    )


NUMBERS = [
    Case(
        "Numbers", "a decimal comma", "12,50", column(["12,50", "8,00", "100"]),
        rows=amounts(12.5, 8, 100),
    ),
    Case(
        "Numbers", "commas between thousands", "1,234.50",
        column(["1,234.50", "99.00", "12,000"]), rows=amounts(1234.5, 99, 12000),
    ),
    Case(
        "Numbers", "points between thousands", "1.234,50",
        column(["1.234,50", "99,00", "12.000"]), rows=amounts(1234.5, 99, 12000),
    ),
    Case(
        "Numbers", "spaces between thousands", "1 234,50",
        column(["1 234,50", "99,00", "12\u202f000"]), rows=amounts(1234.5, 99, 12000),
    ),
    Case(
        "Numbers", "apostrophes between thousands", "1'234.50",
        column(["1'234.50", "99.00", "12’000"]), rows=amounts(1234.5, 99, 12000),
    ),
    Case(
        "Numbers", "lakhs and crores", "12,34,567.50",
        column(["12,34,567.50", "99.00"]), rows=amounts(1234567.5, 99),
    ),
    Case(
        "Numbers", "three digits after the only mark, in every value", "12,000",
        column(["12,000", "1,500"]), refused="'1,500'.*--decimal-mark",
        settled_by=("--decimal-mark .", {"decimal_mark": "."}), rows=amounts(12000, 1500),
    ),
    Case(
        "Numbers", "three digits after the only point, in every value", "12.000",
        column(["12.000", "1.500"]), refused="'(12.000|1.500)'.*--decimal-mark",
        settled_by=("--decimal-mark .", {"decimal_mark": "."}), rows=amounts(12, 1.5),
    ),
    Case(
        "Numbers", "the same, but another column shows the decimal mark", "1.000 at 12.50",
        "customer,date,quantity,price\na,2023-01-01,1.000,12.50\nb,2023-01-02,2.000,3.10\n",
        rows=amounts(12.5, 6.2),
    ),
    Case(
        "Numbers", "both decimal marks", "12,50 and 1,234.50",
        column(["12,50", "1,234.50"]), refused="'1,234.50' and '12,50'.*--decimal-mark",
        settled_by=("--decimal-mark .", {"decimal_mark": "."}),
        rows=(("b", "2023-01-02", 1234.5),), rejected={"unreadable amount": 1},
    ),
    Case(
        "Numbers", "a currency before or after, in some rows or all", "$12.50, 8 USD",
        column(["$12.50", "8 USD", "7.00"]), rows=amounts(12.5, 8, 7),
    ),
    Case(
        "Numbers", "a currency with a decimal comma", "R$ 1.234,50",
        column(["R$ 1.234,50", "R$ 8,00"]), rows=amounts(1234.5, 8),
    ),
    Case(
        "Numbers", "a column of currencies with several", "Currency: EUR and JPY",
        "customer,date,amount,Currency\na,2023-01-01,1,EUR\nb,2023-01-02,200,JPY\n",
        refused="several currencies: EUR, JPY.*--amount",
        settled_by=("--amount amount", {"amount": "amount"}), rows=amounts(1, 200),
    ),
    Case(
        "Numbers", "amounts without cents", "45.-",
        column(["45.-", "12.50", "45.--"]), rows=amounts(45, 12.5, 45),
    ),
    Case(
        "Numbers", "one value that shows the decimal mark, against many", "1.250 and one 12.5",
        "customer,date,amount\n" + MANY.replace(",5\n", ",1.250\n") + "a,2023-01-01,12.5\n",
        refused="'12.5', but may separate thousands.*'1.250'.*--decimal-mark",
        settled_by=("--decimal-mark .", {"decimal_mark": "."}),
        rows=(*((who, day, 1.25) for who, day, _ in many("c")), ("a", "2023-01-01", 12.5)),
    ),
    Case(
        "Numbers", "two currencies", "$12.50 and £7",
        column(["$12.50", "$8.00", "£7"]), refused=r"several currencies.*'\$12.50' and '£7'",
    ),
    Case(
        "Numbers", "negative amounts in parentheses, or with the sign behind", "(12.50), 5-, −4",
        column(["12.50", "(12.50)", "5-", "−4", "$-3.00", "($1.00)"]),
        rows=(("a", "2023-01-01", 12.5),), rejected={"not positive amount": 5},
    ),
    Case(
        "Numbers", "an exponent", "1.5E+03",
        column(["1.5E+03", "2e1", "3.25"]), rows=amounts(1500, 20, 3.25),
    ),
    Case(
        "Numbers", "words that programs write for null", "NA, \\N, #N/A, -",
        column(["NA", "\\N", "#N/A", "-", "4", "(null)"]),
        rows=(("e", "2023-01-05", 4.0),), rejected={"no amount": 5},
        options={"allow_rejected": True},
    ),
    Case(
        "Numbers", "no finite number", "inf, 1e400, 12 kg, 50%",
        column(["inf", "1e400", "12 kg", "50%", "4", "3", "2", "1"]),
        rows=amounts(0, 0, 0, 0, 4, 3, 2, 1)[4:], rejected={"unreadable amount": 4},
        options={"allow_rejected": True},
    ),
]  # fmt: skip

DATES = [
    Case(
        "Dates", "ISO 8601, also with time and zone", "2023-01-31T10:00:00.000Z",
        dated("2023-01-31", "2023-02-01T23:30:00.000Z", "2023-02-03 10:00:00 -0500"),
        rows=days("2023-01-31", "2023-02-01", "2023-02-03"),
    ),
    Case(
        "Dates", "year first, in several ways", "2023/01/31, 20230131",
        dated("2023/01/31", "2023.02.01", "20230203", "20230204101500"),
        rows=days("2023-01-31", "2023-02-01", "2023-02-03", "2023-02-04"),
    ),
    Case(
        "Dates", "day first, shown by some value", "31/01/2023",
        dated("31/01/2023", "01/02/2023"), rows=days("2023-01-31", "2023-02-01"),
    ),
    Case(
        "Dates", "month first, shown by some value", "1/31/2023 8:05 PM",
        dated("1/31/2023 8:05 PM", "2/1/2023 9:00 AM"), rows=days("2023-01-31", "2023-02-01"),
    ),
    Case(
        "Dates", "day first or month first, no value shows which", "01/02/2023",
        dated("01/02/2023", "03/04/2023"), refused="%d/%m/%Y and as %m/%d/%Y.*--date-format",
        settled_by=("--date-format %d/%m/%Y", {"date_format": "%d/%m/%Y"}),
        rows=days("2023-02-01", "2023-04-03"),
    ),
    Case(
        "Dates", "both day first and month first", "31/01/2023 and 01/31/2023",
        dated("31/01/2023", "02/28/2023"),
        refused="'31/01/2023' is %d/%m/%Y, '02/28/2023' is %m/%d/%Y",
        settled_by=(
            "--date-format %d/%m/%Y --date-format %m/%d/%Y",
            {"date_format": ["%d/%m/%Y", "%m/%d/%Y"]},
        ),
        rows=days("2023-01-31", "2023-02-28"),
    ),
    Case(
        "Dates", "several formats", "2023-01-31 and 31/01/2023",
        dated("2023-01-31", "28/02/2023", "2023-02-03"),
        refused="'2023-01-31' is %Y-%m-%d, '28/02/2023' is %d/%m/%Y",
        settled_by=(
            "--date-format %Y-%m-%d --date-format %d/%m/%Y",
            {"date_format": ["%Y-%m-%d", "%d/%m/%Y"]},
        ),
        rows=days("2023-01-31", "2023-02-28", "2023-02-03"),
    ),
    Case(
        "Dates", "points: day first, unless a value shows the contrary", "01.02.2023",
        dated("01.02.2023", "03.04.2023"), rows=days("2023-02-01", "2023-04-03"),
    ),
    Case(
        "Dates", "years of two digits", "31.12.22",
        dated("31.12.22", "03.01.23"), rows=days("2022-12-31", "2023-01-03"),
    ),
    Case(
        "Dates", "years of two digits that may be days", "03.01.04",
        dated("03.01.04", "05.02.06"), refused="%d.%m.%y and as %m?y?.*--date-format",
        settled_by=("--date-format %d.%m.%y", {"date_format": "%d.%m.%y"}),
        rows=days("2004-01-03", "2006-02-05"),
    ),
    Case(
        "Dates", "months by name, in English and other languages", "3 Jan 2023, 12. März 2023",
        dated("3 Jan 2023", "12. März 2023", "15-août-2023", "Tue Jan 31 2023 10:00:00"),
        rows=days("2023-01-03", "2023-03-12", "2023-08-15", "2023-01-31"),
    ),
    Case(
        "Dates", "days as spreadsheets count them", "44957",
        dated("44957", "44958.5"), rows=days("2023-01-31", "2023-02-01"),
    ),
    Case(
        "Dates", "the same before 1990, where it could be anything", "30000",
        dated("30000", "30001"), refused="'30000'.*--date-format",
        settled_by=("--date-format excel", {"date_format": "excel"}),
        rows=days("1982-02-18", "1982-02-19"),
    ),
    Case(
        "Dates", "Unix time in seconds, milli-, micro- or nanoseconds", "1675123200000",
        dated("1675123200000", "1675209600000"), rows=days("2023-01-31", "2023-02-01"),
    ),
    Case(
        "Dates", "Unix time in seconds", "1675123200",
        dated("1675123200", "1675209600.25"), rows=days("2023-01-31", "2023-02-01"),
    ),
    Case(
        "Dates", "days that do not exist", "2023-02-30",
        dated("2023-02-30", *(f"2023-02-{day:02d}" for day in range(10, 19))),
        rows=days(*[""] + [f"2023-02-{day:02d}" for day in range(10, 19)])[1:],
        rejected={"unreadable date": 1}, options={"allow_rejected": True},
    ),
    Case(
        "Dates", "no date at all", "soon", dated("soon", "later"),
        refused="no date can be read, for example 'later'",
    ),
]  # fmt: skip

CUSTOMERS = [
    Case(
        "Customers", "words that programs write for null", "NULL, \\N, #N/A, (null)",
        by(["NULL", "\\N", "#N/A", "(null)", "undefined", "nan", "-", "", "7"]),
        rows=of("7", start=9), rejected={"no customer": 8},
    ),
    Case(
        "Customers", "people's words for no customer", "guest, 0",
        by(["guest", "7", "0"]), rows=of("guest", "7", "0"),
    ),
    Case(
        "Customers", "the same, named", "--no-customer guest --no-customer 0",
        by(["guest", "7", "0"]), options={"no_customer": ["guest", "0"]},
        rows=of("7", start=2), rejected={"no customer": 2},
    ),
    Case(
        "Customers", "long ids and leading zeros, kept exactly", "00123, 98765432109876543210",
        by(["00123", "123", "98765432109876543210", "98765432109876543211", "9007199254740993"]),
        rows=of("00123", "123", "98765432109876543210", "98765432109876543211", "9007199254740993"),
    ),
    Case(
        "Customers", "ids that a spreadsheet has shortened", "9.00720E+15",
        by(["9.00720E+15", "7"]), refused="'9.00720E[+]15'.*store them as text",
    ),
    Case(
        "Customers", "whole numbers that a program stored as floats", "13085.0",
        by(["13085.0", "13086"]), rows=of("13085", "13086"),
    ),
    Case(
        "Customers", "ids with separators, quotes and line breaks", '"new line"',
        'customer,date,amount\n"new\nline",2023-01-01,5\n"a,b",2023-01-02,5\n',
        rows=of("new\nline", "a,b"),
    ),
    Case(
        "Customers", "a row of totals below", "Total",
        by(["7", "8"], "\t\t10", "Total\t\t10"), rows=of("7", "8"),
        rejected={"no customer": 1, "totals row": 1},
    ),
]  # fmt: skip

COLUMNS = [
    Case(
        "Columns", "names in German, French, Spanish, Italian, Portuguese or Dutch",
        "Kunde;Datum;Betrag",
        "Kunde;Datum;Betrag\nA1;31.01.2023;12,50\nB2;01.02.2023;100\n",
        rows=(("A1", "2023-01-31", 12.5), ("B2", "2023-02-01", 100.0)),
    ),
    Case(
        "Columns", "an amount in other words", "Total Purchase Amount",
        "Customer ID,Purchase Date,Total Purchase Amount,Quantity,Product Price\n"
        "a,2023-01-01,12.5,2,6.25\n",
        rows=amounts(12.5),
    ),
    Case(
        "Columns", "a repeated name", "date, date",
        "customer_id,date,date,amount\na,2023-01-03,2023-01-01,12.50\n",
        refused=r"'date \(1\)' or 'date \(2\)'.*repeats the name 'date'.*--date",
        settled_by=("--date 'date (2)'", {"date": "date (2)"}), rows=amounts(12.5),
    ),
    Case(
        "Columns", "an id of the order in the customer's column", "customer_unique_id",
        "order_id,customer_id,customer_unique_id,order_date,payment_value\n"
        "o1,a,u1,2023-01-01,1\no2,b,u1,2023-01-02,2\no3,c,u2,2023-01-03,3\n",
        rows=amounts(1, 2, 3),
        warns="its own 'customer_id'.*'customer_unique_id' repeats",
    ),
    Case(
        "Columns", "a marketplace's export, with lines of items below each order", "Email, Total",
        "Name,Email,Paid at,Created at,Total,Lineitem quantity,Lineitem price\n"
        "#1,a,2023-01-01 10:00:00 -0500,2023-01-01 10:00:00 -0500,30.00,1,10.00\n"
        "#1,a,,2023-01-01 10:00:00 -0500,,2,10.00\n"
        "#2,b,2023-01-02 10:00:00 -0500,2023-01-02 10:00:00 -0500,10.00,1,10.00\n",
        rows=amounts(30, 10), rejected={"no amount": 1},
    ),
    Case(
        "Columns", "no amounts", "customer, date",
        "customer,date\na,2023-01-01\n", rows=(("a", "2023-01-01", None),),
    ),
]  # fmt: skip

INVOICES = [
    Case(
        "Invoices", "C before a number, where plain numbers are the rule", "C1003",
        "customer,date,amount,invoice\n"
        "a,2023-01-01,1,1000\nb,2023-01-02,2,1001\nc,2023-01-03,3,1002\na,2023-01-04,1,C1003\n",
        rows=amounts(1, 2, 3), rejected={"cancelled": 1},
    ),
    Case(
        "Invoices", "a letter before nearly all numbers", "C1000, …, and one 1003",
        "customer,date,amount,invoice\n"
        "a,2023-01-01,1,C1000\nb,2023-01-02,2,C1001\nc,2023-01-03,3,C1002\nd,2023-01-04,4,1003\n",
        rows=amounts(1, 2, 3, 4),
    ),
    Case(
        "Invoices", "another letter before nearly all numbers", "W1000, …, and one 1003",
        "customer,date,amount,invoice\n"
        "a,2023-01-01,1,W1000\nb,2023-01-02,2,W1001\nc,2023-01-03,3,W1002\nd,2023-01-04,4,1003\n",
        rows=amounts(1, 2, 3, 4),
    ),
    Case(
        "Invoices", "a quantity below zero", "-2",
        "customer,date,quantity,price\na,2023-01-01,1,5\nb,2023-01-02,-2,5\n",
        rows=amounts(5), rejected={"not a sale": 1},
    ),
]  # fmt: skip

FILES = [
    Case(
        "Files", "semicolons, tabs or bars between columns", "a;2023-01-01;1",
        PLAIN.replace(",", ";"), rows=amounts(1, 2),
    ),
    Case("Files", "bars", "a|2023-01-01|1", PLAIN.replace(",", "|"), rows=amounts(1, 2)),
    Case(
        "Files", "a line for spreadsheets above the header", "sep=;",
        "sep=;\n" + PLAIN.replace(",", ";"), rows=amounts(1, 2), rejected={"above the header": 1},
    ),
    Case(
        "Files", "comments or titles above the header", "# export of 2023-12-01",
        "# export of shop 2023-12-01\n# by: reporting\n\n" + PLAIN, rows=amounts(1, 2),
        rejected={"above the header": 2},
    ),
    Case(
        "Files", "UTF-8 with a byte order mark", "EF BB BF", PLAIN.encode("utf-8-sig"),
        rows=amounts(1, 2),
    ),
    Case("Files", "UTF-16, as Excel saves Unicode text", "FF FE", PLAIN.encode("utf-16"),
         rows=amounts(1, 2)),
    Case(
        "Files", "Windows-1252", "O’Brien €",
        PLAIN.replace("a,", "O’Brien €,").encode("cp1252"),
        rows=(("O’Brien €", "2023-01-01", 1.0), ("b", "2023-01-02", 2.0)),
    ),
    Case(
        "Files", "one stray byte in UTF-8: only its line suffers", "FF",
        ("customer,date,amount\nZoë,2023-01-01,1\n" + MANY).encode()
        + b"bad\xff,2023-01-01,1\n",
        rows=(("Zoë", "2023-01-01", 1.0), *many("c")),
        rejected={"unreadable bytes": 1},
    ),
    Case(
        "Files", "quotes within quotes, doubled or with a backslash", 'the ""x"", the \\"y\\"',
        'customer,date,amount\n"the ""x""",2023-01-01,1\n"the \\"y\\"",2023-01-02,2\n',
        rows=(('the "x"', "2023-01-01", 1.0), ('the "y"', "2023-01-02", 2.0)),
    ),
    Case(
        "Files", "a line with too many or too few columns", "a,2023-01-01",
        PLAIN + MANY.replace("c", "a") + "a,2023-01-01\n",
        rows=amounts(1, 2)
        + many("a"),
        rejected={"malformed line": 1},
    ),
    Case("Files", "no header", "a,2023-01-01,1", PLAIN.split("\n", 1)[1], refused="header"),
]  # fmt: skip

DOUBTS = [
    Case(
        "Doubtful logs", "one row long after all others", "2099-12-31",
        "customer,date,amount\n" + MANY + "x,2099-12-31,5\n",
        rows=many("c"),
        rejected={"after today": 1}, warns="2099-12-31.*--end",
    ),
    Case(
        "Doubtful logs", "the same, believed", "--end 2099-12-31",
        "customer,date,amount\n" + MANY + "x,2099-12-31,5\n", options={"end": "2099-12-31"},
        rows=(*many("c"), ("x", "2099-12-31", 5.0)),
    ),
    Case(
        "Doubtful logs", "a third of the rows cannot be read", "free",
        "customer,date,amount\n" + MANY + MANY.replace(",5\n", ",free\n")[: len(MANY) // 2],
        refused="cannot be read.*'free'.*--allow-rejected",
    ),
    Case(
        "Doubtful logs", "an id that stands for nobody has many rows", "guest",
        "customer,date,amount\n" + MANY + "guest,2023-01-01,5\n" * 20,
        rows=many("c")
        + (("guest", "2023-01-01", 5.0),) * 20,
        warns="'guest'.*--no-customer",
    ),
    Case(
        "Doubtful logs", "one row makes up most of the money", "1e9",
        "customer,date,amount\n" + MANY + "x,2023-01-01,1e9\n",
        rows=(*many("c"), ("x", "2023-01-01", 1e9)),
        warns="1,000,000,000.*of all money",
    ),
]  # fmt: skip

CASES = (*FILES, *NUMBERS, *DATES, *CUSTOMERS, *COLUMNS, *INVOICES, *DOUBTS)


def as_markdown(cases: tuple[Case, ...] = CASES) -> str:
    """Return the documentation: one table for each kind."""
    parts = [_HEAD]
    for kind in dict.fromkeys(case.kind for case in cases):
        parts += [f"## {kind}\n", "| in the file | for example | what comes |\n| --- | --- | --- |"]
        parts += [
            f"| {case.what} | {_code(case.values)} | {_outcome(case)} |"
            for case in cases
            if case.kind == kind
        ]
        parts.append("")
    return "\n".join(parts)


_HEAD = """\
# What is read, and what is refused

Every row of these tables is a test; `python -m tests.data.cases` writes them. A notation belongs to
a whole column: a column is read when one notation fits it and some value proves it. What stays
ambiguous is refused with an example and the option that settles it. Nothing is dropped in silence:
rows in = rows kept + rows rejected, and the table that `fit`, `predict`, `segments` and `backtest`
print says which column plays which role, how its text was read, and shows an example of each reason
for rejection.
"""


def _code(values: str) -> str:
    return f"`{values}`".replace("|", "\\|")


def _outcome(case: Case) -> str:
    lost = ", ".join(f"{count} × {reason}" for reason, count in case.rejected.items())
    if case.refused:
        settled = case.settled_by[0]
        return f"refused; `{settled}` settles it" if settled else "refused"
    if case.warns:
        return "a warning, and " + (f"rejected: {lost}" if lost else "read")
    if lost:
        return f"read; rejected: {lost}"
    return "read"


def read(case: Case, folder: Path, **options: Any) -> Any:
    """Write the log of a case into a folder and read it."""
    from bayes_clv.data.reading import read_transactions

    path = folder / f"log{case.suffix}"
    path.write_bytes(case.log if isinstance(case.log, bytes) else case.log.encode())
    return read_transactions(path, **(dict(case.options) | options))


def purchases_of(log: Any) -> tuple[tuple[Any, str, float | None], ...]:
    """Return customer, day and amount of each purchase, sorted."""
    rows = log.table.select("customer_id", "date", "amount").to_pyarrow().to_pylist()
    found = ((row["customer_id"], row["date"].isoformat(), row["amount"]) for row in rows)
    return tuple(sorted(found, key=str))


if __name__ == "__main__":
    DOCS.write_text(as_markdown())

"""Calendar days from date columns of any type, in portable Ibis expressions.

Text is matched by regular expression, checked against the calendar and assembled from year, month
and day. The engines' own parsers are not used: they stop at the first value that they cannot read,
and each has its own format language.

No time zone is converted: the day is the one in the data.
"""

import calendar
import datetime as dt
import re
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np

from bayes_clv.errors import InputError

ISO = "%Y-%m-%d"
# Where several formats read equally many values, the first one of these is used.
FORMATS = (
    ISO,
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%Y%m%d",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d.%m.%Y",
    "%d %b %Y",
    "%d-%b-%Y",
    "%b %d, %Y",
)
# Day first and month first: where both read equally many rows, the caller must choose.
TWINS = (("%d/%m/%Y", "%m/%d/%Y"), ("%d-%m-%Y", "%m-%d-%Y"))

_TIME = (
    r"([T\s]\s*\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?\s*([AaPp][Mm])?\s*(Z|UTC|[+-]\d{2}(:?\d{2})?)?)?"
)
_DIRECTIVES = {
    "Y": r"(\d{4})",
    "y": r"(\d{2})",
    "m": r"(\d{1,2})",
    "d": r"(\d{1,2})",
    "b": r"([A-Za-z]{3,9})\.?",
    "B": r"([A-Za-z]{3,9})\.?",
    "H": r"\d{1,2}",
    "I": r"\d{1,2}",
    "M": r"\d{2}",
    "S": r"\d{2}",
    "f": r"\d{1,9}",
    "p": r"[AaPp][Mm]",
    "z": r"(?:Z|[+-]\d{2}:?\d{2})",
    "Z": r"[A-Za-z]+",
}
# Every day from the year 1000 on: 31-day months, 30-day months, February, its 29th in leap years.
_CALENDAR = (
    r"^([1-9]\d{3}-(0?[13578]|1[02])-(0?[1-9]|[12]\d|3[01])"
    r"|[1-9]\d{3}-(0?[469]|11)-(0?[1-9]|[12]\d|30)"
    r"|[1-9]\d{3}-0?2-(0?[1-9]|1\d|2[0-8])"
    r"|([1-9]\d(0[48]|[2468][048]|[13579][26])|([2468][048]|[13579][26])00)-0?2-29)$"
)
_YEAR, _MONTH, _DAY = "Yy", "mbB", "d"


@dataclass(frozen=True)
class DateFormat:
    """A strptime format as a regular expression whose first three groups are year, month, day.

    Parameters
    ----------
    text
        The format, e.g. ``%d/%m/%Y``.
    pattern
        Regular expression in the dialect that RE2, Java and PostgreSQL share.
    parts
        The directives of the groups, in order, e.g. ``dmY``.
    """

    text: str
    pattern: str
    parts: str

    @classmethod
    def compile(cls, text: str) -> "DateFormat":
        """Compile a strptime format; a time of day may follow the date even if the format has none.

        Raises
        ------
        InputError
            A directive is not known, or year, month and day are not each given once.
        """
        tokens = re.findall(r"%.|\s+|[^%\s]|%$", text)
        directives = "".join(token[1:] for token in tokens if token.startswith("%"))
        parts = "".join(d for d in directives if d in _YEAR + _MONTH + _DAY)
        complete = all(sum(p in which for p in parts) == 1 for which in (_YEAR, _MONTH, _DAY))
        if not complete or any(d not in _DIRECTIVES for d in directives) or "%" in tokens:
            known = " ".join(f"%{directive}" for directive in _DIRECTIVES)
            raise InputError(
                f"date_format (--date-format) must hold year, month and day once each, in the "
                f"directives {known}; got {text!r}"
            )
        regex = "".join(_token(token, tokens, i) for i, token in enumerate(tokens))
        time = "" if set(directives) & set("HI") else _TIME
        return cls(text, rf"^\s*{regex}{time}\s*$", parts)


def with_days(raw: ir.Table, date_format: str | None) -> ir.Table:
    """Add the column day: the date of each row as written, null where missing or unreadable.

    Parameters
    ----------
    raw
        At least a column named date.
    date_format
        strptime format of text; None to detect it.

    Raises
    ------
    InputError
        The column's type cannot hold dates, its text could be day first or month first, or no
        value can be read.
    """
    dtype = raw.date.type()
    if dtype.is_date():
        return raw.mutate(day=raw.date)
    if dtype.is_timestamp():
        return raw.mutate(day=raw.date.date())
    # A log has far fewer dates than rows, so each distinct text is parsed once.
    spellings = raw.group_by("date").aggregate(rows=raw.count())
    spellings = spellings.mutate(text=_as_text(spellings.date))
    spellings = spellings.filter(spellings.text.re_search(r"\S"))
    chosen = DateFormat.compile(date_format) if date_format else _best_format(spellings)
    days = spellings.select(written=spellings.date, day=_parse(spellings.text, chosen))
    return raw.left_join(days, raw.date == days.written).drop("written")


def _as_text(column: ir.Value) -> ir.StringValue:
    """Return text as it is, and integers such as 19970101 as text."""
    dtype = column.type()
    if dtype.is_string():
        return column
    if dtype.is_integer():
        return column.cast("string")
    if dtype.is_floating():  # integers that became floats because some are missing
        whole = column.between(0, 99_999_999) & (column == column.floor())
        return ibis.ifelse(whole, column, ibis.null(dtype)).cast("int64").cast("string")
    raise InputError(
        f"the date column must hold dates, timestamps, text or integers such as 19970101; "
        f"its type is {dtype}; name another with date= (--date)"
    )


def as_date(value: dt.date | str, argument: str) -> dt.date:
    """Read one date given by a caller: a date, a datetime or datetime64 (its day), or ISO text.

    Raises
    ------
    InputError
        The value is none of these.
    """
    try:
        day = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(day, np.datetime64):
            day = day.astype("datetime64[D]").item()
        return dt.date(day.year, day.month, day.day)
    except (ValueError, TypeError, AttributeError):
        raise InputError(f"{argument} must be a date such as 2010-12-31; got {value!r}") from None


def _token(token: str, tokens: list[str], i: int) -> str:
    if token.isspace():
        return r"\s+"
    if not token.startswith("%"):
        return re.escape(token)
    # Without separators, as in %Y%m%d, day and month must have two digits.
    joined = any(t.startswith("%") for t in tokens[max(i - 1, 0) : i] + tokens[i + 1 : i + 2])
    return r"(\d{2})" if token in ("%m", "%d") and joined else _DIRECTIVES[token[1]]


def _best_format(spellings: ir.Table) -> DateFormat:
    """Choose the format that reads most rows, ISO if it reads them all."""
    formats = {name: DateFormat.compile(name) for name in FORMATS}
    readable = _parse(spellings.text, formats[ISO]).notnull().fill_null(False)
    if not _one_row(spellings.aggregate(unread=(~readable).any()))["unread"]:
        return formats[ISO]
    days = {name: _parse(spellings.text, formats[name]) for name in FORMATS}
    none = ibis.literal(0, "int64")
    counts = _one_row(
        spellings.aggregate(
            **{
                name: ibis.ifelse(day.notnull(), spellings.rows, none).sum()
                for name, day in days.items()
            }
        )
    )
    best = max(FORMATS, key=counts.__getitem__)
    if not counts[best]:
        example = _one_row(spellings.aggregate(text=spellings.text.min()))["text"]
        raise InputError(
            f"no date can be read, for example {example!r}; "
            "give their format with date_format= (--date-format), e.g. '%d/%m/%y'"
        )
    for one, other in TWINS:
        if best in (one, other) and counts[one] == counts[other]:
            differ = (days[one] != days[other]).any()
            if _one_row(spellings.aggregate(differ=differ))["differ"]:
                raise InputError(
                    f"the dates can be read as {one} and as {other}; "
                    "say which with date_format= (--date-format)"
                )
    return formats[best]


def _one_row(table: ir.Table) -> dict[str, Any]:
    (row,) = table.to_pyarrow().to_pylist()
    return dict(row)


def _parse(text: ir.StringValue, date_format: DateFormat) -> ir.DateValue:
    """Rewrite each value in ISO form, and cast the values that are valid dates; null otherwise."""
    year, month, day = (
        _digits(
            text.re_extract(date_format.pattern, position + 1).nullif(""),
            date_format.parts[position],
        )
        for position in (
            next(i for i, part in enumerate(date_format.parts) if part in which)
            for which in (_YEAR, _MONTH, _DAY)
        )
    )
    iso = year.concat("-", month, "-", day)
    exists = iso.re_search(_CALENDAR).fill_null(False)
    return ibis.ifelse(exists, iso, ibis.null("string")).cast("date")


def _digits(text: ir.StringValue, directive: str) -> ir.StringValue:
    """Return a year in four digits, a month or a day in one or two."""
    if directive in "bB":
        name = text.substr(0, 3).lower()
        months = [(calendar.month_abbr[m].lower(), str(m)) for m in range(1, 13)]
        return name.cases(*months, else_=ibis.null("string"))
    if directive == "y":  # as POSIX reads them: 69 is 1969, 68 is 2068
        return ibis.ifelse(text >= "69", "19", "20").concat(text)
    return text

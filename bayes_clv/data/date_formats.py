"""Formats of dates in text, and the day that a text names, in portable Ibis expressions.

Text is matched by regular expression, checked against the calendar and assembled from year, month
and day. The engines' own parsers are not used: they stop at the first value that they cannot read,
and each has its own format language.
"""

import calendar
import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from bayes_clv.data.locales import month_names
from bayes_clv.errors import InputError

# A time of day and a zone may follow every date.
_TIME = (
    r"(,?[T\s]\s*\d{1,2}[:.]\d{2}([:.]\d{2}([.,:]\d+)?)?\s*([AaPp]\.?\s?[Mm]\.?|Uhr)?"
    r"\s*(Z|[A-Z]{2,5}|(UTC|GMT)?[+-]\d{1,2}(:?\d{2})?)?(\s*[(\[][^)\]]*[)\]])?)?"
)
_WEEKDAY = r"(?:[^\s0-9,/-]{2,14},?\s+)?"
_NAME = r"([^\s0-9.,/:_-]{3,14})\.?"
_DIRECTIVES = {
    "Y": r"(\d{4})",
    "y": r"(\d{2})",
    "m": r"(\d{1,2})",
    "d": r"(\d{1,2})",
    "b": _NAME,
    "B": _NAME,
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
_EPOCH = dt.date(1970, 1, 1)
# Days before the epoch of Excel's day 0, and units of time per day.
_EXCEL_ZERO = (_EPOCH - dt.date(1899, 12, 30)).days
_PER_DAY = {
    "excel": 1,
    "unix": 86_400,
    "unix-ms": 86_400_000,
    "unix-us": 86_400_000_000,
    "unix-ns": 86_400_000_000_000,
}
# What people may mean if they name the format; and what is unmistakable if they do not: no other
# date is a number of 5, 9–10, 12–13, 15–16 or 18–19 digits, and shops that kept a log before 1990
# do not write their dates so.
_POSSIBLE = (dt.date(1900, 3, 1), dt.date(2200, 1, 1))
_UNMISTAKABLE = (dt.date(1990, 1, 1), dt.date(2100, 1, 1))


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
                f"date_format (--date-format) must be {', '.join(_PER_DAY)}, or hold year, month "
                f"and day once each, in the directives {known}; got {text!r}"
            )
        regex = "".join(_token(token, tokens, i) for i, token in enumerate(tokens))
        time = "" if set(directives) & set("HI") else _TIME
        weekday = _WEEKDAY if set(parts) & set("bB") else ""
        return cls(text, rf"^\s*{weekday}{regex}{time}\s*$", parts)

    def day(self, text: ir.StringValue, months: Mapping[str, int]) -> ir.DateValue:
        """Return the date; null where the text has another format or the day does not exist.

        ``months``: name in lower case -> number, for the names that occur (`months_in`).
        """
        fields = {
            part: text.re_extract(self.pattern, position + 1).nullif("")
            for position, part in enumerate(self.parts)
        }
        year, month, day = (
            next(_digits(field, part, months) for part, field in fields.items() if part in which)
            for which in (_YEAR, _MONTH, _DAY)
        )
        iso = year.concat("-", month, "-", day)
        exists = iso.re_search(_CALENDAR).fill_null(False)
        return ibis.ifelse(exists, iso, ibis.null("string")).cast("date")


@dataclass(frozen=True)
class SerialFormat:
    """Days or seconds since a first day, as a number in text.

    Parameters
    ----------
    text
        ``excel`` (days since 1899-12-30), ``unix`` (seconds since 1970-01-01, UTC), ``unix-ms``,
        ``unix-us`` or ``unix-ns``.
    first, last
        Days outside these are not read.
    """

    text: str
    first: dt.date
    last: dt.date

    pattern = r"^\s*([0-9]{5,19})([.,][0-9]*)?\s*$"

    def day(self, text: ir.StringValue, months: Mapping[str, int]) -> ir.DateValue:
        """Return the date; null where the text is no such number or out of range."""
        number = text.re_extract(self.pattern, 1).nullif("").cast("int64")
        zero = _EXCEL_ZERO if self.text == "excel" else 0
        days = number // _PER_DAY[self.text] - zero
        first, last = ((limit - _EPOCH).days for limit in (self.first, self.last))
        days = ibis.ifelse(days.between(first, last), days, ibis.null("int64"))
        # The sum is a timestamp in some engines, whatever Ibis believes.
        later = ibis.literal(_EPOCH) + days.cast("int32").as_interval("D")
        return later.cast("timestamp").cast("date")


SERIALS = tuple(SerialFormat(name, *_UNMISTAKABLE) for name in _PER_DAY)


def named_format(text: str) -> DateFormat | SerialFormat:
    """Return the format that a caller names.

    Raises
    ------
    InputError
        It is neither a strptime format of a date nor the name of a `SerialFormat`.
    """
    if text in _PER_DAY:
        return SerialFormat(text, *_POSSIBLE)
    return DateFormat.compile(text)


def months_in(texts: Sequence[str]) -> dict[str, int]:
    """Return name in lower case -> number, for the names of months in ``texts``.

    Abbreviations of English names count, too: "sept" is September.
    """
    words = {word for text in texts for word in re.findall(r"[^\s0-9.,/:_-]{3,14}", text.lower())}
    english = {name.lower(): number for number, name in enumerate(calendar.month_name) if number}
    found = {
        word: number for word in words for name, number in english.items() if name.startswith(word)
    }
    if words - set(found):  # costs a tenth of a second
        found |= {word: month_names()[word] for word in words if word in month_names()}
    return found


def _token(token: str, tokens: list[str], i: int) -> str:
    if token.isspace():
        return r"\s+"
    if not token.startswith("%"):
        return re.escape(token)
    # Without separators, as in %Y%m%d, day and month must have two digits.
    joined = any(t.startswith("%") for t in tokens[max(i - 1, 0) : i] + tokens[i + 1 : i + 2])
    return r"(\d{2})" if token in ("%m", "%d") and joined else _DIRECTIVES[token[1]]


def _digits(text: ir.StringValue, directive: str, months: Mapping[str, int]) -> ir.StringValue:
    """Return a year in four digits, a month or a day in one or two."""
    if directive in "bB":
        cases = [(name, str(number)) for name, number in months.items()]
        none = ibis.null("string")
        return text.lower().cases(*cases, else_=none) if cases else none
    if directive == "y":  # as POSIX reads them: 69 is 1969, 68 is 2068
        return ibis.ifelse(text >= "69", "19", "20").concat(text)
    return text

"""Calendar days from date columns of any type, in portable Ibis expressions.

A format belongs to a whole column. Formats that begin with the year or name the month are
unmistakable, and may occur side by side. Of those that are alike in shape, day first and month
first, one is chosen only if some value proves it and none proves the other.

No time zone is converted: the day is the one in the data.
"""

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np

from bayes_clv.data.date_formats import (
    SERIALS,
    DateFormat,
    SerialFormat,
    months_in,
    named_format,
)
from bayes_clv.errors import InputError

ISO = "%Y-%m-%d"
# Formats that no other reads differently.
UNMISTAKABLE = (
    ISO,
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%Y%m%d",
    "%Y%m%d%H",
    "%Y%m%d%H%M",
    "%Y%m%d%H%M%S",
    "%Y-%b-%d",
    "%d %b %Y",
    "%d-%b-%Y",
    "%d/%b/%Y",
    "%d. %b %Y",
    "%d. %m. %Y",
    "%d de %b de %Y",
    "%Y年%m月%d日",
    "%d%b%Y",
    "%b %d, %Y",
    "%b %d %Y",
    "%d %b %y",
    "%d-%b-%y",
    "%d/%b/%y",
    "%d. %b %y",
    "%b %d, %y",
)
# Formats of one shape. Of each group at most one is used, and only if the values decide which;
# but with points the day comes first everywhere, so no value has to prove it.
TWINS = (
    ("%d/%m/%Y", "%m/%d/%Y"),
    ("%d-%m-%Y", "%m-%d-%Y"),
    ("%d.%m.%Y", "%m.%d.%Y"),
    ("%d/%m/%y", "%m/%d/%y", "%y/%m/%d"),
    ("%d-%m-%y", "%m-%d-%y", "%y-%m-%d"),
    ("%d.%m.%y", "%m.%d.%y", "%y.%m.%d"),
)
_UNUSUAL = ("%m.%d.%Y", "%m.%d.%y")
# Above this share of the rows, a second format is no slip of single rows.
MAX_OTHER = 0.01
_MOST_SHAPES = 20_000
Format = DateFormat | SerialFormat


@dataclass(frozen=True)
class Reading:
    """Formats that are used together: the first that reads a value counts."""

    formats: tuple[Format, ...]

    @property
    def text(self) -> str:
        """The formats, for people."""
        return ", ".join(each.text for each in self.formats)

    def day(self, text: ir.StringValue, months: Mapping[str, int]) -> ir.DateValue:
        """Return the date; null where no format reads the text."""
        return ibis.coalesce(*(each.day(text, months) for each in self.formats))


def with_days(raw: ir.Table, date_formats: Sequence[str] = ()) -> tuple[ir.Table, str]:
    """Add the column day: the date of each row as written, null where missing or unreadable.

    Parameters
    ----------
    raw
        At least a column named date.
    date_formats
        Formats of text, in the order in which they are tried; none to detect them.

    Returns
    -------
    ibis.Table, str
        The table, and how the dates were read, for people.

    Raises
    ------
    InputError
        The column's type cannot hold dates, its text has several formats or could be day first or
        month first, or no value can be read.
    """
    dtype = raw.date.type()
    if dtype.is_date():
        return raw.mutate(day=raw.date), "stored as dates"
    if dtype.is_timestamp():
        return raw.mutate(day=raw.date.date()), "stored as times"
    # A log has far fewer dates than rows, so each distinct text is parsed once.
    spellings = raw.group_by("date").aggregate(rows=raw.count())
    spellings = spellings.mutate(text=_as_text(spellings.date))
    spellings = spellings.filter(spellings.text.re_search(r"\S"))
    if not date_formats and _reads_all(spellings):
        reading, months = Reading((DateFormat.compile(ISO),)), {}
    else:
        shapes = _shapes(spellings)
        months = months_in(shapes)
        reading = (
            Reading(tuple(map(named_format, date_formats)))
            if date_formats
            else _choose(spellings, shapes, months)
        )
    days = spellings.select(written=spellings.date, day=reading.day(spellings.text, months))
    return raw.left_join(days, raw.date == days.written).drop("written"), reading.text


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


def _as_text(column: ir.Value) -> ir.StringValue:
    """Return text as it is, and numbers such as 19970101 or 40210.35 as text."""
    dtype = column.type()
    if dtype.is_string():
        return column
    if dtype.is_integer():
        return column.cast("string")
    if dtype.is_floating() or dtype.is_decimal():  # also integers of which some are missing
        column = column.cast("float64")
        # An engine may compute the floor as an integer, and stop where it does not fit.
        column = ibis.ifelse(column.between(0, 1e18), column, ibis.null("float64"))
        whole = column.floor().cast("int64").cast("string")
        return ibis.ifelse(column == column.floor(), whole, whole.concat(".5"))
    raise InputError(
        f"the date column must hold dates, timestamps, text or integers such as 19970101; "
        f"its type is {dtype}; name another with date= (--date)"
    )


def _reads_all(spellings: ir.Table) -> bool:
    """Whether every value is ISO."""
    readable = DateFormat.compile(ISO).day(spellings.text, {}).notnull().fill_null(False)
    return not _one_row(spellings.aggregate(unread=(~readable).any()))["unread"]


def _shapes(spellings: ir.Table) -> list[str]:
    """Return the distinct texts with every digit replaced by 9."""
    distinct = spellings.select(shape=spellings.text.translate("012345678", "9" * 9)).distinct()
    rows = distinct.limit(_MOST_SHAPES).to_pyarrow().to_pylist()
    return [str(row["shape"]) for row in rows]


def _candidates(shapes: Sequence[str]) -> list[Reading]:
    """Return the readings whose patterns fit some shape, the preferred ones first."""

    def fits(each: Format) -> bool:
        return any(re.search(each.pattern, shape) for shape in shapes)

    unmistakable = tuple(each for each in map(DateFormat.compile, UNMISTAKABLE) if fits(each))
    twins = (DateFormat.compile(text) for group in TWINS for text in group)
    single: tuple[Format, ...] = (*twins, *SERIALS)
    others = [Reading((each,)) for each in single if fits(each)]
    return [Reading(unmistakable), *others] if unmistakable else others


def _choose(spellings: ir.Table, shapes: Sequence[str], months: Mapping[str, int]) -> Reading:
    """Choose the formats that the values prove."""
    days = {each: each.day(spellings.text, months) for each in _candidates(shapes)}
    rows, late = _rows_read(spellings, days)
    if not any(rows.values()):
        example = _one_row(spellings.aggregate(text=spellings.text.min()))["text"]
        raise InputError(
            f"no date can be read, for example {example!r}; give their format with date_format= "
            "(--date-format), e.g. '%d/%m/%y', excel or unix"
        )
    # A year of two digits may be taken for a day; then some dates are yet to come.
    some_past = any(rows[each] == max(rows.values()) and not late[each] for each in rows)
    possible = [each for each in rows if rows[each] and not (some_past and late[each])]
    best = max(possible, key=rows.__getitem__)
    rivals = [each for each in possible if each is not best]
    for other in sorted(rivals, key=lambda each: not _are_twins(best, each)):
        _check_rival(spellings, best, other, days, rows)
    return best


def _are_twins(one: Reading, other: Reading) -> bool:
    return any({one.text, other.text} <= set(group) for group in TWINS)


def _rows_read(
    spellings: ir.Table, days: Mapping[Reading, ir.DateValue]
) -> tuple[dict[Reading, int], dict[Reading, bool]]:
    """Return for every reading its rows, and whether years of two digits are yet to come."""
    if not days:
        return {}, {}
    tomorrow = ibis.literal(dt.date.today() + dt.timedelta(days=1))
    numbers = {
        f"rows{i}": spellings.rows.sum(where=day.notnull()) for i, day in enumerate(days.values())
    }
    numbers |= {f"late{i}": (day > tomorrow).any() for i, day in enumerate(days.values())}
    found = _one_row(spellings.aggregate(**numbers))
    rows = {each: int(found[f"rows{i}"] or 0) for i, each in enumerate(days)}
    late = {each: "%y" in each.text and bool(found[f"late{i}"]) for i, each in enumerate(days)}
    return rows, late


def _check_rival(
    spellings: ir.Table,
    best: Reading,
    other: Reading,
    days: Mapping[Reading, ir.DateValue],
    rows: Mapping[Reading, int],
) -> None:
    """Raise InputError if the values prove another reading, too, or do not decide."""
    ours, theirs = days[best], days[other]
    text = spellings.text
    found = _one_row(
        spellings.aggregate(
            only=spellings.rows.sum(where=theirs.notnull() & ours.isnull()),
            their_example=text.min(where=theirs.notnull() & ours.isnull()),
            our_example=text.min(where=ours.notnull() & theirs.isnull()),
            either=text.min(where=ours != theirs),
        )
    )
    only, either = int(found["only"] or 0), found["either"]
    are_twins = _are_twins(best, other)
    if only and (are_twins or only > MAX_OTHER * (rows[best] + only)):
        raise InputError(
            f"the dates are written in several formats: {found['our_example']!r} is {best.text}, "
            f"{found['their_example']!r} is {other.text}; name each with date_format= "
            "(--date-format), which may be given more than once: the first that reads a date counts"
        )
    undecided = are_twins and rows[best] == rows[other] and either is not None
    if undecided and other.text not in _UNUSUAL:
        raise InputError(
            f"the dates can be read as {best.text} and as {other.text}, for example {either!r}; "
            "say which with date_format= (--date-format)"
        )


def _one_row(table: ir.Table) -> dict[str, Any]:
    (row,) = table.to_pyarrow().to_pylist()
    return dict(row)

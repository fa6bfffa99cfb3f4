"""Ids of customers, exact: no two are merged, and none changes its digits; names of segments."""

from dataclasses import dataclass

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from bayes_clv.errors import InputError

# Up to this number float64 represents all integers exactly.
_LARGEST_WHOLE_FLOAT = 2**53
_LARGEST_FLOAT = 1e300
_INT64_DIGITS = 18
NO_SEGMENT = "missing"
_FIRST_ROWS = 1_000
# What stands for the customer in a row of totals: a word, perhaps with a number or a year.
TOTAL = (
    r"(?i)^\s*((grand|sub|net|gross)?[ -]?totale?s?|total[e]? (general|generale|général|geral)"
    r"|totaal|eindtotaal|totaux|suma|somme|sum|(gesamt|end|zwischen)?summe|insgesamt)"
    r"[ :]*[0-9]{0,6}\s*:?\s*$"
)
# Part of every such word, and of an id in scientific notation: fewer rows are searched for both.
_UNUSUAL = "(?i)tot|sum|som|insg|[0-9]e[+][0-9]"
_MOST_TOTALS = 1_000
# As spreadsheets show long numbers: the digits are lost. With its sign, it is no other id.
_SCIENTIFIC = r"^\s*[0-9]([.,][0-9]+)?[eE][+][0-9]{2,3}\s*$"


@dataclass(frozen=True)
class IdFacts:
    """What the ids of a log are.

    Parameters
    ----------
    are_digits
        They are text of digits alone, or missing.
    totals
        Ids of one row that are a word for a total.
    """

    are_digits: bool = False
    totals: tuple[str, ...] = ()


def look_at_ids(raw: ir.Table) -> IdFacts:
    """Check that the ids of the column customer are exact.

    Raises
    ------
    InputError
        A float is no whole number of which it knows every digit; or a text is an id as spreadsheets
        show long numbers, e.g. 9.00720E+15.
    """
    column, dtype = raw.customer, raw.customer.type()
    if dtype.is_floating() or (dtype.is_decimal() and dtype.scale != 0):
        number = column.cast("float64")
        most = _exact_up_to(dtype)
        # An engine may compute the floor as an integer, and stop where it does not fit.
        small = ibis.ifelse(number.between(-most, most), number, ibis.null("float64"))
        whole = (small == small.floor()).fill_null(False)
        found = raw.aggregate(odd=number.max(where=_is_finite(number) & ~whole))
        (odd,) = found.to_pyarrow()["odd"].to_pylist()
        _check(odd)
        return IdFacts()
    if not dtype.is_string():
        return IdFacts()
    if not _has_others(raw.limit(_FIRST_ROWS)) and not _has_others(raw):
        return IdFacts(are_digits=True)
    some = raw.filter(column.re_search(_UNUSUAL))
    each = some.group_by("customer").aggregate(rows=some.count())
    odd, total = each.customer.re_search(_SCIENTIFIC), each.customer.re_search(TOTAL)
    each = each.filter(odd | (total & (each.rows == 1))).mutate(odd=odd)
    found = each.order_by("customer").limit(_MOST_TOTALS).to_pyarrow().to_pylist()
    _check(next((row["customer"] for row in found if row["odd"]), None))
    return IdFacts(totals=tuple(row["customer"] for row in found))


def _check(odd: object) -> None:
    if odd is not None:
        raise InputError(
            f"customer ids must be text or exact whole numbers; one is {odd!r}; "
            "store them as text, or name another column with customer= (--customer)"
        )


def as_ids(column: ir.Value, *, untyped: bool, are_digits: bool = False) -> ir.Value:
    """Return ids as integers or as text without white space around it; null where missing.

    Whole numbers that were stored as floats, because some are missing, become integers again; in a
    text file (``untyped``) also 13085.0. ``are_digits``: see `IdFacts`.
    """
    dtype = column.type()
    if dtype.is_integer() or are_digits:
        return column
    if dtype.is_decimal() and dtype.scale == 0:
        fits = dtype.precision is not None and dtype.precision <= _INT64_DIGITS
        return column.cast("int64" if fits else "string")
    if dtype.is_floating() or dtype.is_decimal():
        number = column.cast("float64")
        return ibis.ifelse(_is_finite(number), number, ibis.null("float64")).cast("int64")
    return _as_text(column, untyped)


def as_segments(column: ir.Value, *, untyped: bool) -> ir.StringValue:
    """Return the user's own segments as text, the same for 1, 1.0 and, in a text file, "1.0"."""
    dtype = column.type()
    if dtype.is_floating() or dtype.is_decimal():
        number = column.cast("float64")
        number = ibis.ifelse(_is_finite(number), number, ibis.null("float64"))
        most = _LARGEST_WHOLE_FLOAT
        small = ibis.ifelse(number.between(-most, most), number, ibis.null("float64"))
        whole = (small == small.floor()).fill_null(False)
        as_whole = ibis.ifelse(whole, small, ibis.null("float64")).cast("int64").cast("string")
        return as_whole.fill_null(number.cast("string")).fill_null(NO_SEGMENT)
    return _as_text(column, untyped).nullif("").fill_null(NO_SEGMENT)


def _as_text(column: ir.Value, untyped: bool) -> ir.StringValue:
    """Return text without white space around it; in a text file also without a final .0."""
    text = column.cast("string")
    # One search is several times cheaper than to strip and replace.
    if not untyped:
        return ibis.ifelse(text.re_search(r"^\s|\s$"), text.strip(), text)
    whole = text.strip().re_replace(r"^([0-9]+)[.]0+$", r"\1")
    return ibis.ifelse(text.re_search(r"^\s|\s$|^[0-9]+[.]0+$"), whole, text)


def _exact_up_to(dtype: dt.DataType) -> int:
    """Return the number up to which floats of a type represent all integers exactly."""
    return {"float16": 2**11, "float32": 2**24}.get(str(dtype), _LARGEST_WHOLE_FLOAT)


def _has_others(raw: ir.Table) -> bool:
    """Whether an id is not made of digits alone."""
    return bool((~raw.customer.re_search("^[0-9]+$")).any().to_pyarrow().as_py())


def _is_finite(number: ir.FloatingValue) -> ir.BooleanValue:
    # On every engine NaN lies in no such range, or above it.
    return number.between(-_LARGEST_FLOAT, _LARGEST_FLOAT)

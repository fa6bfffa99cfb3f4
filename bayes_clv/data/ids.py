"""Ids of customers, exact: no two are merged, and none changes its digits; names of segments."""

import ibis
import ibis.expr.types as ir

from bayes_clv.errors import InputError

# Up to this number float64 represents all integers exactly.
_LARGEST_WHOLE_FLOAT = 2**53
_LARGEST_FLOAT = 1e300
_INT64_DIGITS = 18
NO_SEGMENT = "missing"
_FIRST_ROWS = 1_000
_TOTAL = (
    *("total", "grand total", "subtotal", "sub-total", "total general", "total général", "totals"),
    *("sum", "summe", "gesamt", "gesamtsumme", "endsumme", "insgesamt", "somme", "totaux", "suma"),
    *("totale", "totale generale", "totaal", "eindtotaal", "total geral"),
)
# What stands for the customer in a row of totals, as people write it.
TOTALS = tuple(
    spelling + colon
    for word in _TOTAL
    for spelling in dict.fromkeys((word, word.upper(), word.capitalize(), word.title()))
    for colon in ("", ":")
)
# As spreadsheets show long numbers: the digits are lost. With its sign, it is no other id.
_SCIENTIFIC = r"^\s*[0-9]([.,][0-9]+)?[eE][+][0-9]{2,3}\s*$"


def check_ids(raw: ir.Table, *, untyped: bool) -> bool:
    """Check that the ids of the column customer are exact; return whether all are plain digits.

    Parameters
    ----------
    raw
        Has the column customer, of any type.
    untyped
        The log is a text file.

    Raises
    ------
    InputError
        A float is no whole number that float64 represents exactly; or a text file holds an id as
        spreadsheets show long numbers, e.g. 9.00720E+15.
    """
    column, dtype = raw.customer, raw.customer.type()
    if dtype.is_floating() or (dtype.is_decimal() and dtype.scale != 0):
        number = column.cast("float64")
        whole = (number == number.floor()) & (number.abs() <= _LARGEST_WHOLE_FLOAT)
        found = raw.aggregate(odd=number.max(where=_is_finite(number) & ~whole))
    elif dtype.is_string():
        if not _has_others(raw.limit(_FIRST_ROWS)) and not _has_others(raw):
            return True
        # Few ids have a plus: they are found faster than by the expression alone.
        some = raw.filter(column.contains("+"))
        scientific = some.customer.re_search(_SCIENTIFIC) if untyped else ibis.literal(False)
        found = some.aggregate(odd=some.customer.min(where=scientific))
    else:
        return False
    (row,) = found.to_pyarrow().to_pylist()
    if row["odd"] is not None:
        raise InputError(
            f"customer ids must be text or whole numbers below 2**53; one is {row['odd']!r}; "
            "store them as text, or name another column with customer= (--customer)"
        )
    return False


def as_ids(column: ir.Value, *, untyped: bool, are_digits: bool = False) -> ir.Value:
    """Return ids as integers or as text without white space around it; null where missing.

    Whole numbers that were stored as floats, because some are missing, become integers again; in a
    text file (``untyped``) also 13085.0. ``are_digits``: as `check_ids` returned.
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
        whole = (number == number.floor()) & (number.abs() <= _LARGEST_WHOLE_FLOAT)
        as_whole = ibis.ifelse(whole, number, ibis.null("float64")).cast("int64").cast("string")
        return as_whole.fill_null(number.cast("string")).fill_null(NO_SEGMENT)
    return _as_text(column, untyped).nullif("").fill_null(NO_SEGMENT)


def _as_text(column: ir.Value, untyped: bool) -> ir.StringValue:
    text = column.cast("string")
    # A search is several times cheaper than to strip.
    text = ibis.ifelse(text.re_search(r"^\s|\s$"), text.strip(), text)
    return text.re_replace(r"^([0-9]+)[.]0+$", r"\1") if untyped else text


def _has_others(raw: ir.Table) -> bool:
    """Whether an id is not made of digits alone."""
    return bool((~raw.customer.re_search("^[0-9]+$")).any().to_pyarrow().as_py())


def _is_finite(number: ir.FloatingValue) -> ir.BooleanValue:
    # On every engine NaN lies in no such range, or above it.
    return number.between(-_LARGEST_FLOAT, _LARGEST_FLOAT)

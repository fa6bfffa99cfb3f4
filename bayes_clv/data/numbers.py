"""How the numbers of a text column are written, and their values.

A notation belongs to a whole column. It is decided on the *shapes* of the values, of which even a
large column has few: every digit becomes 9. A value such as ``1,234`` fits both decimal marks;
``12,50`` and ``1,234.50`` fit one each. So a column is read when one mark fits its values and some
value, there or in another column of numbers, proves it. It is refused when values prove both marks,
when none proves the one that matters, and when its amounts are in two currencies.

The decision is a pure function of shapes. The values are then computed by portable Ibis expressions
in the engine that holds the log.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal, NamedTuple, cast

import ibis
import ibis.expr.types as ir

from bayes_clv.data.locales import currency_spellings
from bayes_clv.errors import InputError

Mark = Literal[".", ","]
# Amounts, quantities and prices beyond this are no money: nothing costs as much in any currency.
# All that is computed of smaller ones stays finite in every engine: the exact decimals that spend
# is added up in end at 10^26, squares of floats (variances, correlations) at 10^308.
LARGEST = 1e18
# More shapes than any column of numbers has; rarer ones are left unread.
_MOST_SHAPES = 5_000
_FIRST_ROWS = 1_000
# Of numbers with three decimals, whose last zeros are left out, one in ten shows fewer. So where
# there are more numbers with three digits after the mark for each that proves it, the proof is a
# slip, or the numbers are thousands.
_MOST_UNCLEAR = 50
# What separates groups of digits, beside the mark that is not the decimal mark: the spaces and
# apostrophes of CLDR's locales.
_SPACES, _APOSTROPHES, _MINUSES = " \u00a0\u2007\u2009\u202f", "'’", "-−"
_BODY = "[0-9].*[0-9]|[0-9]"
_EXPONENT = "([eE][+-]?[0-9]{1,2})?"
_FRACTION = rf"^[0-9]{{1,40}}{_EXPONENT}$"
_PLAIN = rf"^\s*[+-]?([0-9]{{1,40}}([.][0-9]{{0,40}})?|[.][0-9]{{1,40}}){_EXPONENT}\s*$"
# Plain numbers whose point must be a decimal point, because no group of three digits follows it or
# no first group precedes it; and those whose point could separate thousands.
_PROOF = r"^\s*[+-]?([0-9]+[.]([0-9]{0,2}|[0-9]{4,})|(0[0-9]*|[0-9]{4,})?[.][0-9]+)([eE].*)?\s*$"
_EITHER = r"^\s*[+-]?[1-9][0-9]{0,2}[.][0-9]{3}\s*$"


class Shape(NamedTuple):
    """Values that are alike but for their digits.

    Parameters
    ----------
    text
        Such a value with every digit replaced by 9, but for a first digit of 0.
    rows
        Number of rows with such a value.
    example
        One of the values.
    """

    text: str
    rows: int
    example: str


class Affixes(NamedTuple):
    """What stands before the first digit and after the last one, and what it means.

    Parameters
    ----------
    before, after
        The text.
    negative
        It holds a minus, or parentheses.
    leading, trailing
        The decimal mark that it holds, or "".
    currency
        The spelling of the currency that it holds, or "".
    """

    before: str
    after: str
    negative: bool
    leading: str
    trailing: str
    currency: str


@dataclass(frozen=True)
class NumberNotation:
    """How the numbers of a column are written.

    Parameters
    ----------
    decimal
        The decimal mark.
    affixes
        What may stand around the digits. Empty for plain numbers: digits, a decimal point, a
        leading sign, an exponent, as programs write them.
    example
        A value that shows the notation; "" for plain numbers.
    """

    decimal: Mark = "."
    affixes: tuple[Affixes, ...] = ()
    example: str = ""

    @property
    def text(self) -> str:
        """The notation, for people."""
        return f"numbers like {self.example}" if self.example else "plain numbers"

    def value(self, text: ir.StringValue) -> ir.FloatingValue:
        """Return float64; null where the text is not a finite number in this notation."""
        if self.affixes:
            readable, digits = self._rewritten(text)
        else:
            readable, digits = text.re_search(_PLAIN), text
        return within(ibis.ifelse(readable, digits, ibis.null("string")).cast("float64"))

    def _rewritten(self, text: ir.StringValue) -> tuple[ir.BooleanValue, ir.StringValue]:
        """Return whether the text is readable, and the number as a program would write it."""
        around, body = text.re_replace(_BODY, "9"), text.re_extract(f"({_BODY})", 1)

        def has(chosen: list[Affixes]) -> ir.BooleanValue:
            if not chosen:
                return ibis.literal(False)
            return around.isin([f"{each.before}9{each.after}" for each in chosen])

        fractions = [each for each in self.affixes if each.leading]
        others = [each for each in self.affixes if not each.leading]
        readable = (has(others) & body.re_search(_number(self.decimal))) | (
            has(fractions) & body.re_search(_FRACTION)
        )
        digits = body.re_replace(f"[{_other(self.decimal)}{_SPACES}{_APOSTROPHES}]", "")
        if self.decimal == ",":
            digits = digits.replace(",", ".")
        sign = ibis.ifelse(has([each for each in self.affixes if each.negative]), "-", "")
        return readable, sign.concat(ibis.ifelse(has(fractions), ".", ""), digits)


def within(number: ir.FloatingValue) -> ir.FloatingValue:
    """Return null for numbers that are not finite or beyond `LARGEST`."""
    return ibis.ifelse(number.between(-LARGEST, LARGEST), number, ibis.null("float64"))


def number_notations(
    table: ir.Table, roles: Sequence[str], missing: str, decimal: Mark | None = None
) -> dict[str, NumberNotation]:
    """Decide how the text columns among ``roles`` are written.

    Parameters
    ----------
    table
        Columns are named by their roles; those that are not text are left out of the result.
    missing
        Regular expression of texts that stand for no value.
    decimal
        The decimal mark, where the caller knows it.

    Raises
    ------
    InputError
        See `decide`.
    """
    texts = [role for role in roles if role in table.columns and table[role].type().is_string()]
    if not texts or (decimal != "," and _are_plain(table, texts, missing)):
        return {role: NumberNotation() for role in texts}
    return decide({role: _shapes(table[role], missing) for role in texts}, decimal)


def decide(
    columns: Mapping[str, Sequence[Shape]], decimal: Mark | None = None
) -> dict[str, NumberNotation]:
    """Decide the notation of each column from the shapes of its values.

    Parameters
    ----------
    columns
        Role -> shapes; missing values are left out.
    decimal
        The decimal mark, where the caller knows it.

    Raises
    ------
    InputError
        Values of a column prove both decimal marks; or fit both, and no column proves one; or are
        in two currencies.

    Examples
    --------
    >>> shapes = [Shape("9,99", 7, "8,50"), Shape("9.999,99", 1, "1.234,50")]
    >>> decide({"amount": shapes})["amount"].decimal
    ','
    """
    values = {role: [*filter(None, map(_take_apart, found))] for role, found in columns.items()}
    marks = {role: decimal or _proven(role, found) for role, found in values.items()}
    proven = {mark for mark in marks.values() if mark}
    shared = min(proven) if len(proven) == 1 else None
    return {role: _notation(role, found, marks[role] or shared) for role, found in values.items()}


class _Value(NamedTuple):
    """A shape that may be a number: what stands around it, and its digits and marks."""

    affixes: Affixes
    body: str
    shape: Shape

    def fits(self, mark: Mark) -> bool:
        """Whether it can be read with this decimal mark."""
        if not {self.affixes.leading, self.affixes.trailing} <= {"", mark}:
            return False
        pattern = _FRACTION if self.affixes.leading else _number(mark)
        return re.search(pattern, self.body) is not None

    @property
    def is_ambiguous(self) -> bool:
        """Whether it is another number with the other decimal mark."""
        return self.fits(".") and self.fits(",") and bool(set(self.body) & {".", ","})


def _proven(role: str, values: Sequence[_Value]) -> Mark | None:
    """Return the decimal mark that some value proves, or None."""
    by_point = [value.shape.example for value in values if value.fits(".") > value.fits(",")]
    by_comma = [value.shape.example for value in values if value.fits(",") > value.fits(".")]
    if by_point and by_comma:
        raise InputError(
            f"the {role} column is written with two decimal marks, for example {by_point[0]!r} and "
            f"{by_comma[0]!r}; say which one counts with decimal_mark= (--decimal-mark): rows with "
            "the other are then rejected"
        )
    mark: Mark | None = "." if by_point else "," if by_comma else None
    if mark:
        _check_proof(role, values, mark)
    return mark


def _check_proof(role: str, values: Sequence[_Value], mark: Mark) -> None:
    """Raise InputError if a few values prove a decimal mark that is thousands in many others."""
    other = _other(mark)
    proofs = [v for v in values if v.fits(mark) and not v.fits(other) and mark in v.shape.text]
    unclear = [v for v in values if v.is_ambiguous and mark in v.body]
    if sum(v.shape.rows for v in unclear) > _MOST_UNCLEAR * sum(v.shape.rows for v in proofs) > 0:
        raise InputError(
            f"{mark!r} in the {role} column is the decimal mark of {proofs[0].shape.example!r}, "
            f"but may separate thousands in many others, for example {unclear[0].shape.example!r}; "
            "say which mark is the decimal one with decimal_mark= (--decimal-mark . or "
            "--decimal-mark ,)"
        )


def _notation(role: str, values: Sequence[_Value], mark: Mark | None) -> NumberNotation:
    ambiguous = [value.shape.example for value in values if value.is_ambiguous]
    if mark is None and ambiguous:
        marks = "".join(sorted({*ambiguous[0]} & {".", ","}))
        raise InputError(
            f"{marks!r} in the {role} column may separate thousands or be the decimal mark, for "
            f"example in {ambiguous[0]!r}; say which mark is the decimal one with decimal_mark= "
            "(--decimal-mark . or --decimal-mark ,)"
        )
    decimal = mark or "."
    fitting = [value for value in values if value.fits(decimal)]
    _check_currency(role, fitting)
    if all(re.search(_PLAIN, value.shape.text) for value in fitting) and decimal == ".":
        return NumberNotation()
    telling = max(fitting, key=lambda value: len(re.sub("[0-9]", "", value.shape.text)))
    affixes = dict.fromkeys(value.affixes for value in fitting)
    return NumberNotation(decimal, tuple(affixes), telling.shape.example.strip())


def _check_currency(role: str, values: Sequence[_Value]) -> None:
    """Raise InputError if the column holds two currencies; "$" and "USD" may be one."""
    examples = {v.affixes.currency: v.shape.example for v in values if v.affixes.currency}
    meant = [currency_spellings()[spelling] for spelling in examples]
    if meant and not reduce(frozenset.intersection, meant):
        shown = " and ".join(repr(example) for example in [*examples.values()][:3])
        raise InputError(
            f"the {role} column holds amounts in several currencies, for example {shown}; convert "
            "them into one first, or name another column"
        )


def _take_apart(shape: Shape) -> _Value | None:
    """Return None if the shape is no number with a sign and a currency around it."""
    found = re.search(_BODY, shape.text)
    if found is None:
        return None
    affixes = _affixes(shape.text[: found.start()], shape.text[found.end() :])
    return None if affixes is None else _Value(affixes, found.group(), shape)


def _affixes(before: str, after: str) -> Affixes | None:
    for mark in ".,":  # 45.- and 45,-- are 45 without cents
        if re.match(rf"[{mark}]\s*[-−–—]{{1,2}}(?![-−–—])", after):
            after_sign = re.sub(r"[-−–—]+", "", after, count=1)
            found = _affixes(before, after_sign)
            return found and found._replace(after=after)
    first, leading = _currency(before, at_end=True)
    second, trailing = _currency(after, at_end=False)
    around = before + after
    signs = sum(around.count(sign) for sign in f"+{_MINUSES}(")
    if first is None or second is None or (first and second) or signs > 1:
        return None
    if (before.count("("), after.count(")")) not in [(0, 0), (1, 1)] or ")" in before:
        return None
    negative = any(sign in around for sign in f"{_MINUSES}(")
    return Affixes(before, after, negative, leading, trailing, first or second)


def _currency(affix: str, *, at_end: bool) -> tuple[str | None, str]:
    """Return the spelling of a currency, "" for none, None if it is not known; and a mark."""
    words = " ".join(re.sub(rf"[()+−{_SPACES}\t-]", " ", affix).split()).lower()
    if not words or words in currency_spellings():
        return words, ""
    mark = words[-1] if at_end else words[0]
    rest = (words[:-1] if at_end else words[1:]).strip()
    if mark in ".," and (not rest or rest in currency_spellings()):
        return rest, mark
    return None, ""


def _number(mark: Mark) -> str:
    """Return the regular expression of a number with this decimal mark and perhaps groups.

    It is in the dialect that RE2, Java and PostgreSQL share.
    """
    separators = (f"[{_other(mark)}]", f"[{_APOSTROPHES}]", f"[{_SPACES}]")
    groups = [f"[1-9][0-9]{{0,2}}({separator}[0-9]{{3}}){{1,12}}" for separator in separators]
    if mark == ".":  # as in India: 12,34,567.50
        groups.append("[1-9][0-9]?(,[0-9]{2}){1,12},[0-9]{3}")
    return f"^({'|'.join(groups)}|[0-9]{{1,40}})([{mark}][0-9]{{0,40}})?{_EXPONENT}$"


def _other(mark: Mark) -> Mark:
    return "." if mark == "," else ","


def _are_plain(table: ir.Table, roles: Sequence[str], missing: str) -> bool:
    """Whether all numbers are plain, and a point in them can only be the decimal mark."""
    return all(_is_plain(table[role].name("text").as_table(), missing) for role in roles)


def _is_plain(table: ir.Table, missing: str) -> bool:
    """One search of the column where, as mostly, its first rows prove the decimal point."""
    others = table.filter(~table.text.re_search(_PLAIN))
    others = others.filter(~others.text.re_search(missing))
    if others.limit(1).count().to_pyarrow().as_py():
        return False
    return _is_proven(table.limit(_FIRST_ROWS), least=1) or _is_proven(table)


def _is_proven(table: ir.Table, least: int = 0) -> bool:
    """Whether enough plain numbers prove the decimal point for those whose point is unclear."""
    counts = table.aggregate(
        proofs=table.text.re_search(_PROOF).sum().fill_null(0),
        unclear=table.text.re_search(_EITHER).sum().fill_null(0),
    )
    (found,) = counts.to_pyarrow().to_pylist()
    proofs = found["proofs"]
    return bool(proofs >= least and found["unclear"] <= _MOST_UNCLEAR * proofs)


def _shapes(column: ir.StringColumn, missing: str) -> list[Shape]:
    """Return the most frequent shapes of a column."""
    table = column.name("text").as_table()
    table = table.filter(table.text.notnull() & ~table.text.re_search(missing))
    shaped = table.select(
        "text",
        shape=table.text.translate("012345678", "9" * 9),
        zero=table.text.re_search("^[^0-9]*0"),
    )
    groups = shaped.group_by("shape", "zero").aggregate(
        rows=shaped.count(), example=shaped.text.min()
    )
    groups = groups.order_by(ibis.desc("rows"), "shape", "zero").limit(_MOST_SHAPES)
    return [
        Shape(
            row["shape"].replace("9", "0", 1) if row["zero"] else row["shape"],
            row["rows"],
            row["example"],
        )
        for row in cast("list[dict[str, Any]]", groups.to_pyarrow().to_pylist())
    ]

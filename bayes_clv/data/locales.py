"""Words of many languages, from the Unicode CLDR: spellings of currencies, and names of months."""

from collections.abc import Mapping
from functools import cache

# The languages whose words are known: those of the largest markets of retailers.
LANGUAGES = (
    *("en", "de", "de_AT", "de_CH", "fr", "fr_CH", "es", "es_MX", "it", "pt", "pt_BR", "nl"),
    *("da", "sv", "nb", "fi", "is", "et", "lv", "lt", "pl", "cs", "sk", "hu", "sl", "hr", "ro"),
    *("bg", "el", "uk", "ru", "tr", "he", "ar", "hi", "bn", "th", "vi", "id", "ms", "ja", "zh"),
    "ko",
)
# What people write beside what CLDR lists.
_ALSO = {"Rs.": "INR", "R": "ZAR", "Fr.": "CHF", "SFr.": "CHF", "zl": "PLN", "KD": "KWD"}
_ALSO_MONTHS = {"mrz": 3, "maerz": 3, "jän": 1, "aou": 8, "août": 8, "sept": 9, "set": 9, "okt": 10}


@cache
def currency_spellings() -> Mapping[str, frozenset[str]]:
    """Return spelling, in lower case -> codes (ISO 4217) of the currencies that it may mean.

    Examples
    --------
    >>> sorted(currency_spellings()["eur"]), sorted(currency_spellings()["¥"])
    (['EUR'], ['CNY', 'JPY'])
    """
    from babel import Locale
    from babel.numbers import list_currencies

    found = {code.lower(): {code} for code in list_currencies()}
    for language in LANGUAGES:
        for code, symbol in Locale.parse(language).currency_symbols.items():
            bare = symbol.strip("\u200e\u200f").replace("\u202f", " ").lower()
            found.setdefault(bare, set()).add(code)
    for spelling, code in _ALSO.items():
        found.setdefault(spelling.lower(), set()).add(code)
    return {spelling: frozenset(codes) for spelling, codes in found.items() if spelling != "¤"}


@cache
def month_names() -> Mapping[str, int]:
    """Return name or abbreviation of a month, in lower case without a final dot -> its number.

    Names that mean different months in different languages are left out.

    Examples
    --------
    >>> month_names()["märz"], month_names()["dic"], "listopad" in month_names()
    (3, 12, False)
    """
    from babel import Locale

    found: dict[str, set[int]] = {}
    for language in LANGUAGES:
        for names in Locale.parse(language).months.values():
            for number, name in (*names["wide"].items(), *names["abbreviated"].items()):
                found.setdefault(name.lower().rstrip("."), set()).add(number)
    for name, number in _ALSO_MONTHS.items():
        found.setdefault(name, set()).add(number)
    return {name: min(numbers) for name, numbers in found.items() if len(numbers) == 1}

"""A short text and a small HTML table that say what an object is, for people at a prompt.

Names of segments and sources come from users, so they are cut to a length and, in HTML, escaped.
Values of customers are never shown.
"""

from collections.abc import Iterable, Mapping
from html import escape

LONGEST = 60  # characters of a value
_MOST = 4  # names in a list


class Described:
    """Base of classes whose ``_facts`` are shown, in this order, by ``repr`` and in notebooks."""

    __slots__ = ()

    def _facts(self) -> Mapping[str, object]:
        """Return what a person wants to know, by name; every subclass has its own."""
        raise NotImplementedError

    def __repr__(self) -> str:
        facts = "; ".join(f"{name}: {short(value)}" for name, value in self._facts().items())
        return f"{type(self).__name__}({facts})"

    def _repr_html_(self) -> str:
        return html_table(type(self).__name__, self._facts())


def html_table(title: str, facts: Mapping[str, object]) -> str:
    """Return a table of two columns, all its text escaped.

    >>> html_table("Log", {"source": "<b>.csv"})
    '<table><caption>Log</caption><tr><th>source</th><td>&lt;b&gt;.csv</td></tr></table>'
    """
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(short(value))}</td></tr>"
        for name, value in facts.items()
    )
    return f"<table><caption>{escape(title)}</caption>{rows}</table>"


def short(value: object) -> str:
    """Return a value as text of one line: whole numbers with separators, others in four digits.

    >>> short(23570), short(0.0123456), short("two  blanks")
    ('23,570', '0.01235', 'two blanks')
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    words = " ".join(str(value).split())
    return words if len(words) <= LONGEST else f"{words[: LONGEST - 1]}…"


def listed(names: Iterable[object]) -> str:
    """Return how many names there are, and the first of them.

    >>> listed(["web", "shop"]), listed(range(9))
    ('2 (web, shop)', '9 (0, 1, 2, 3, …)')
    """
    words = [short(name)[:20] for name in names]
    more = ", …" if len(words) > _MOST else ""
    return f"{len(words)} ({', '.join(words[:_MOST])}{more})" if words else "none"

"""The page at ``GET /``: segments that are leaving, one customer, and the model's diagnostics.

It is rendered from the objects of the JSON routes and is complete without a script; the script
draws its tables as charts and asks about single customers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from flask import render_template

from api.answers import Comparison, Matrix, SegmentRow
from api.health import newer_file_refused
from api.schemas import HORIZON
from api.segments import comparison
from bayes_clv.posterior.posterior import Posterior

_LEVEL = 0.9
_SHOWN_PAIRS = 12  # segments whose every pair still makes a table that one can read


def page(posterior: Posterior | None) -> str:
    """Render the dashboard of a posterior; without one, say how to get one."""
    if posterior is None:
        return render_template("no_model.html")
    compared = comparison(posterior, _LEVEL) if posterior.has_comparison else None
    return render_template(
        "dashboard.html",
        **_FORMATS,
        posterior=posterior,
        record=posterior.record,
        diagnostics=posterior.diagnostics,
        blind=bool(posterior.dropout.chances(0) == 0),
        leaving=compared and Leaving.of(compared),
        horizon=HORIZON,
        level=_LEVEL,
        newer_file_refused=newer_file_refused(),
    )


def locked() -> str:
    """Render the page that asks for the token; it holds no data."""
    return render_template("locked.html")


@dataclass(frozen=True, slots=True)
class Pairs:
    """A table of probabilities that the row is worse than the column.

    Attributes
    ----------
    question
        The event, in words with ``row`` and ``column`` for the segments.
    names
        Of rows and columns, those that leave first at the top.
    """

    question: str
    names: Sequence[str]
    probability: Matrix


@dataclass(frozen=True, slots=True)
class Leaving:
    """The segments as the page shows them.

    Attributes
    ----------
    rows
        The segments, the least alive first.
    least_alive, least_active
        The segment whose customers are the least probably alive, and the one of which the smallest
        share buys again.
    surely
        The probability that the least alive one churns more than the next; None without a next.
    pairs
        Comparisons of pairs, for at most as many segments as a readable table holds.
    omitted
        Segments that the pairs leave out.
    """

    compared: Comparison
    rows: Sequence[SegmentRow]
    least_alive: SegmentRow
    least_active: SegmentRow
    surely: float | None
    pairs: Sequence[Pairs]
    omitted: int

    @classmethod
    def of(cls, compared: Comparison) -> "Leaving":
        """Put a comparison in order."""
        rows = sorted(compared.segments, key=lambda row: row.prob_alive)
        by_activity = sorted(compared.segments, key=lambda row: row.buys_again)
        surely = compared.churns_more[rows[0].segment][rows[1].segment] if rows[1:] else None
        pairs = (
            Pairs("churns more", _first(rows), compared.churns_more),
            Pairs("buys less", _first(by_activity), compared.buys_less),
        )
        return cls(
            compared,
            rows,
            rows[0],
            by_activity[0],
            surely,
            pairs if len(rows) > 1 else (),
            max(0, len(rows) - _SHOWN_PAIRS),
        )


def _first(rows: Sequence[SegmentRow]) -> list[str]:
    return [row.segment for row in rows[:_SHOWN_PAIRS]]


def _percent(share: float) -> str:
    """Whole percents; 0 % and 100 % are shown only where exact."""
    if 0 < share < 0.01:
        return "<1%"
    if 0.99 < share < 1:
        return ">99%"
    return f"{share:.0%}"


def _number(value: float) -> str:
    """Three digits, and all those before the point."""
    decimals = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{decimals}f}"


def _chance(share: float) -> str:
    """A share of the draws as a probability: 0 and 1 are shown as bounds, not as certainty."""
    return _percent(min(max(share, 1e-9), 1 - 1e-9))


def _money(amount: float) -> str:
    return f"{amount:,.2f}" if 0 < amount < 100 else f"{amount:,.0f}"


_FORMATS: Mapping[str, Callable[[float], str]] = {
    "percent": _percent,
    "chance": _chance,
    "number": _number,
    "money": _money,
}

"""The dashboard at ``GET /``: churn by segment, questions about one customer, the diagnostics.

The HTML is rendered here, from the same objects as the answers of the JSON routes, and holds all
tables without a script. The script draws the tables as charts and asks about single customers.
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
_SHOWN_PAIRS = 12  # segments in a table of pairs; more could not be read


def page(posterior: Posterior | None) -> str:
    """Render the dashboard of a posterior; without one, a page that tells how to fit one."""
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
        ranked=compared and RankedSegments.of(compared),
        horizon=HORIZON,
        level=_LEVEL,
        newer_file_refused=newer_file_refused(),
    )


def locked() -> str:
    """Render the page that asks for the token; it holds no data."""
    return render_template("locked.html")


@dataclass(frozen=True, slots=True)
class Pairs:
    """A table of the probabilities that the row's segment does worse than the column's.

    Attributes
    ----------
    verb
        What the row's segment does, such as "churns more".
    names
        Segments of rows and columns, the worst first.
    """

    verb: str
    names: Sequence[str]
    probability: Matrix


@dataclass(frozen=True, slots=True)
class RankedSegments:
    """The segments in the order of the page.

    Attributes
    ----------
    rows
        The segments in ascending order of mean P(alive).
    least_alive, least_active
        The segment with the lowest mean P(alive), and the one with the lowest share of customers
        who buy again.
    p_churns_more
        Probability that ``least_alive`` churns more than the next segment; None if there is none.
    pairs
        The tables of pairs, with at most ``_SHOWN_PAIRS`` segments.
    omitted
        Number of segments that the tables of pairs leave out.
    """

    compared: Comparison
    rows: Sequence[SegmentRow]
    least_alive: SegmentRow
    least_active: SegmentRow
    p_churns_more: float | None
    pairs: Sequence[Pairs]
    omitted: int

    @classmethod
    def of(cls, compared: Comparison) -> "RankedSegments":
        """Rank the segments of a comparison."""
        rows = sorted(compared.segments, key=lambda row: row.prob_alive)
        by_activity = sorted(compared.segments, key=lambda row: row.buys_again)
        p_churns_more = (
            compared.churns_more[rows[0].segment][rows[1].segment] if len(rows) > 1 else None
        )
        pairs = (
            Pairs("churns more", _first(rows), compared.churns_more),
            Pairs("buys less", _first(by_activity), compared.buys_less),
        )
        return cls(
            compared,
            rows,
            rows[0],
            by_activity[0],
            p_churns_more,
            pairs if len(rows) > 1 else (),
            max(0, len(rows) - _SHOWN_PAIRS),
        )


def _first(rows: Sequence[SegmentRow]) -> list[str]:
    return [row.segment for row in rows[:_SHOWN_PAIRS]]


def _percent(share: float) -> str:
    """Return whole percents; shares strictly between 0 and 1 never read 0% or 100%."""
    if 0 < share < 0.01:
        return "<1%"
    if 0.99 < share < 1:
        return ">99%"
    return f"{share:.0%}"


def _number(value: float) -> str:
    """Return a number with 2 decimals below 10, 1 decimal below 100, and none from there on."""
    decimals = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{decimals}f}"


def _chance(share: float) -> str:
    """Return a share of the draws in percent; 0 and 1 read <1% and >99%: draws are finite."""
    return _percent(min(max(share, 1e-9), 1 - 1e-9))


def _money(amount: float) -> str:
    return f"{amount:,.2f}" if 0 < amount < 100 else f"{amount:,.0f}"


_FORMATS: Mapping[str, Callable[[float], str]] = {
    "percent": _percent,
    "chance": _chance,
    "number": _number,
    "money": _money,
}

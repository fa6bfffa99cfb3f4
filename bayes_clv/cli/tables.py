"""Results as tables for the terminal."""

import datetime as dt
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bayes_clv.posterior.comparison import SegmentComparison
from bayes_clv.posterior.posterior import Posterior

if TYPE_CHECKING:  # imports engines and the sampler, which the service does not need
    from bayes_clv.data.transactions import Transactions


_ROLES = ("customer", "date", "amount", "quantity", "price", "invoice", "stock_code", "segment")


def reading_table(log: "Transactions") -> RenderableType:
    """How a log was read: columns and notations, window of days, ledger, and what may be wrong."""
    report, ledger = log.report, log.ledger
    table = narrow_table(f"How {log.source} was read")
    table.show_header = False
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold", style="dim")
    for role in (role for role in _ROLES if role in report.columns):
        notation = report.notations.get(role, "")
        table.add_row(role.replace("_", " "), Text(report.columns[role]), Text(_read_as(notation)))
    days = f"{log.start} … {log.end}"
    table.add_row("days", days, f"{(log.end - log.start).days + 1:,} days", end_section=True)
    table.add_row("rows read", f"{ledger.rows_in:>12,}", "")
    for reason, count in ledger.rejected:
        example = report.examples.get(reason, "")
        shown = Text(f"e.g. {' '.join(example.split())[:_LONGEST]}" if example else "")
        table.add_row(f"rejected: {reason}", f"{f'−{count:,}':>12}", shown)
    table.add_row("rows kept", f"{ledger.rows_kept:>12,}", "", style="bold")
    remarks = (Text(f"Note: {line}.", style="dim") for line in report.remarks)
    return Group(table, *remarks, warning_lines(report.warnings))


_LONGEST = 60  # characters of an example


def _read_as(notation: str) -> str:
    if not notation or notation.startswith("stored"):
        return notation
    return f"read as {notation}"


def choices(posterior: Posterior) -> RenderableType:
    """What the fit chose for its user, and why, a line for each choice; and who comes back."""
    made = (posterior.record.segments, posterior.record.dropout)
    lines = [Text(it.words) for it in made if it is not None]
    if chance := posterior.chance_to_return:
        lines.append(
            Text(
                f"reactivation: between two landmarks {chance['mean']:.1%} of customers "
                f"({100 * chance['lower']:.1f}–{100 * chance['upper']:.1f}) start afresh, whatever "
                "their silence"
            )
        )
    return Group(*lines)


def verdict(posterior: Posterior) -> RenderableType:
    """The diagnostics, the verdict, and warnings about the data."""
    found = posterior.diagnostics
    table = Table(title="Diagnostics", title_justify="left")
    for column in ("", "worst", "must be"):
        table.add_column(column, justify="left" if not column else "right")
    for line in found.lines():
        table.add_row(*line)
    style = "bold red" if not found.sound else "bold yellow" if found.remarks else "bold green"
    words = f"Verdict: {found.verdict}."
    warnings = warning_lines(posterior.record.warnings)
    return Group(table, Text(words, style=style), warnings, *_spend_lines(posterior))


def warning_lines(warnings: Iterable[str]) -> Group:
    """One line for each warning, e.g. of ``Transactions.report`` or of ``unlike``."""
    return Group(*(Text(f"Warning: {line}.", style="yellow") for line in warnings))


def _spend_lines(posterior: Posterior) -> list[Text]:
    """Mean spend, and the correlation that the spend model assumes to be 0."""
    known = posterior.record.spend
    if known is None or known.spearman is None or known.pearson is None:
        return []
    return [
        Text(
            f"Spend: {known.unit:,.2f} per repeat purchase on average. The model assumes "
            f"that spend is independent of frequency; their correlation is {known.pearson:+.2f} "
            f"(rank correlation {known.spearman:+.2f}).",
            style="dim",
        )
    ]


def segments_table(
    comparison: SegmentComparison, posterior: Posterior, on: dt.date | None = None
) -> RenderableType:
    """The comparison of segments, for readers who know customers but not statistics.

    ``on`` is the date of the comparison; by default the observation end of the fit.
    """
    days, model = f"{comparison.horizon:g} days", posterior.dropout
    table = narrow_table(
        f"Segments on {on or posterior.record.end} ({model.model_name}, dropout {model.value})",
        f"In brackets: {comparison.level:.0%} credible intervals of the segment's mean.",
    )
    table.add_column("segment", no_wrap=True)
    table.add_column("customers", justify="right")
    for heading in ("still alive", f"buys again\nin {days}", f"orders each\nin {days}"):
        table.add_column(heading, justify="right", no_wrap=True)
    for segment, row in comparison.table.sort_values("buys_again", ascending=False).iterrows():
        table.add_row(
            str(segment),
            f"{row['customers']:,.0f}",
            _interval(row, "prob_alive", percent=True),
            _interval(row, "buys_again", percent=True),
            _interval(row, "expected_purchases", percent=False),
        )
    return Group(table, _one_time_note(posterior), *_value_table(comparison), _matrix(comparison))


def _value_table(comparison: SegmentComparison) -> list[Table]:
    """Value and value at risk of the segments, if spend was fitted."""
    terms = comparison.value_terms
    if terms is None:
        return []
    table = narrow_table(
        f"Value of all customers of a segment in the next {terms.horizon:g} days",
        f"In the currency of the log, times a margin of {terms.margin:g}, discounted at "
        f"{terms.annual_discount_rate:.0%} a year. At risk: value if all customers were alive, "
        f"minus their value. In brackets: {comparison.level:.0%} credible intervals.",
    )
    table.add_column("segment", no_wrap=True)
    for heading in ("value", "at risk"):
        table.add_column(heading, justify="right", no_wrap=True)
    for segment, row in comparison.table.sort_values("value_at_risk", ascending=False).iterrows():
        table.add_row(str(segment), _amount(row, "value"), _amount(row, "value_at_risk"))
    return [table]


def _amount(row: Any, name: str) -> str:
    mean, low, high = (row[key] for key in (name, f"{name}_lower", f"{name}_upper"))
    return f"{mean:,.0f} ({low:,.0f}–{high:,.0f})"


def _interval(row: Any, name: str, *, percent: bool) -> str:
    mean, low, high = (row[key] for key in (name, f"{name}_lower", f"{name}_upper"))
    if percent:
        return f"{mean:.0%} ({100 * low:.0f}–{100 * high:.0f})"
    return f"{mean:.2f} ({low:.2f}–{high:.2f})"


def _one_time_note(posterior: Posterior) -> Text:
    if posterior.dropout.chances(0) > 0:
        return Text("")
    return Text(
        "BG/NBD treats every one-time buyer as alive: for one-time buyers use the share that buys "
        "again.\n",
        style="dim",
    )


def _matrix(comparison: SegmentComparison) -> Table:
    """Probabilities for pairs of segments, in the order of the table of segments."""
    order = comparison.table.sort_values("buys_again", ascending=False).index
    matrix = comparison.buys_less.loc[order, order]
    table = narrow_table(
        "Probability (%) that the row has a lower share buying again than the column"
    )
    table.add_column("", no_wrap=True)
    for number in range(1, len(matrix) + 1):
        table.add_column(str(number), justify="right", no_wrap=True)
    for number, (segment, row) in enumerate(matrix.iterrows(), start=1):
        cells = ["·" if other == segment else f"{100 * value:.0f}" for other, value in row.items()]
        table.add_row(f"{number} {segment}", *cells)
    return table


def narrow_table(title: str, caption: str | None = None) -> Table:
    """A table without lines between columns, so that many columns fit into 80 characters."""
    return Table(
        title=title,
        caption=caption,
        title_justify="left",
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )

"""Results as tables for people; the command line prints them."""

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bayes_clv.comparison import SegmentComparison
from bayes_clv.ledger import Ledger
from bayes_clv.posterior import Posterior


def ledger_table(ledger: Ledger) -> Table:
    """Rows in, rejected by reason, kept."""
    table = Table(title="Rows of the log", title_justify="left")
    table.add_column("")
    table.add_column("rows", justify="right")
    table.add_row("read", f"{ledger.rows_in:,}")
    for reason, count in ledger.rejected:
        table.add_row(f"rejected: {reason}", f"−{count:,}")
    table.add_row("kept", f"{ledger.rows_kept:,}", style="bold")
    return table


def verdict(posterior: Posterior) -> RenderableType:
    """The diagnostics and what they say."""
    found = posterior.diagnostics
    table = Table(title="Diagnostics", title_justify="left")
    for column in ("", "worst", "must be"):
        table.add_column(column, justify="left" if not column else "right")
    table.add_row("R-hat", f"{found.r_hat:.4f}", "< 1.01")
    table.add_row("bulk ESS", f"{found.ess_bulk:,.0f}", "> 400")
    table.add_row("tail ESS", f"{found.ess_tail:,.0f}", "> 400")
    table.add_row("divergences", f"{found.divergences}", "0")
    table.add_row("E-BFMI", f"{found.e_bfmi:.2f}", "> 0.3")
    if found.sound:
        return Group(table, Text("Verdict: sound.", style="bold green"))
    words = "Verdict: NOT SOUND, do not use: " + "; ".join(found.complaints) + "."
    return Group(table, Text(words, style="bold red"))


def segments_table(comparison: SegmentComparison, posterior: Posterior) -> RenderableType:
    """Which segments are leaving, for a reader who knows customers and not statistics."""
    days = f"{comparison.horizon:g} days"
    table = Table(
        title=f"Segments on {posterior.record.end} ({posterior.dropout.model_name})",
        caption=f"In brackets: {comparison.level:.0%} credible intervals of the segment's mean.",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("segment")
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
    return Group(table, _one_time_note(posterior), _matrix(comparison))


def _interval(row: Any, name: str, *, percent: bool) -> str:
    mean, low, high = (row[key] for key in (name, f"{name}_lower", f"{name}_upper"))
    if percent:
        return f"{mean:.0%} ({100 * low:.0f}–{100 * high:.0f})"
    return f"{mean:.2f} ({low:.2f}–{high:.2f})"


def _one_time_note(posterior: Posterior) -> Text:
    if posterior.dropout.chances(0) > 0:
        return Text("")
    return Text(
        "BG/NBD takes everybody who bought once for alive: for one-time buyers read the share that "
        "buys again.\n",
        style="dim",
    )


def _matrix(comparison: SegmentComparison) -> Table:
    matrix = comparison.buys_less
    table = Table(
        title="Probability that a smaller share of the row buys again than of the column",
        title_justify="left",
    )
    table.add_column("", no_wrap=True)
    for number in range(1, len(matrix) + 1):
        table.add_column(str(number), justify="right")
    for number, (segment, row) in enumerate(matrix.iterrows(), start=1):
        cells = ["·" if other == segment else f"{value:.0%}" for other, value in row.items()]
        table.add_row(f"{number} {segment}", *cells)
    return table

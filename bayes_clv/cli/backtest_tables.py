"""Results of backtests as tables for the terminal."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bayes_clv.cli.tables import narrow_table

if TYPE_CHECKING:  # imports engines and the sampler, which --help does not need
    from bayes_clv.evaluation.backtest.purchases import Backtest
    from bayes_clv.evaluation.backtest.spend import MoneyBacktest
    from bayes_clv.evaluation.backtest.splits import Split

WIDE = 150  # characters
_MISSED = 3.0  # standard deviations: larger misses of cells are shown
_FEWEST = 20  # customers of a cell that is shown
_MOST_CELLS = 12


def backtest_tables(result: "Backtest", width: int) -> RenderableType:
    """The methods by split, the methods over all splits, and the recommendation.

    In fewer than ``WIDE`` characters a split has two tables, without ``_WIDE_COLUMNS``.
    """
    parts: list[RenderableType] = []
    if result.sampled is not None:
        parts.append(
            Text(
                f"FAST: {result.sampled:,} of {result.n_customers:,} customers, and half the "
                "draws. Run without --fast before you decide.",
                style="bold yellow",
            )
        )
    for split in result.splits:
        parts += _split_tables(split, result.at(split), wide=width >= WIDE)
    parts += [_overall_table(result), *_stacking_table(result)]
    parts += [*_corner_table(result), *_cells_table(result)]
    parts.append(Text(result.recommendation, style="bold"))
    return Group(*parts)


def money_tables(result: "MoneyBacktest") -> RenderableType:
    """Forecast and observed spend."""
    split = result.split
    table = narrow_table(
        f"Origin {split.origin}: spend in the next {split.horizon} days",
        "In brackets: 90% interval of the outcome. MAE: per customer. Gini: of the ranking of "
        "customers by forecast spend, as a share of that of a perfect ranking. Cover: share of "
        "customers whose spend lies inside their interval. (!): not sound.",
    )
    table.add_column("method", no_wrap=True)
    for heading in ("forecast", "observed", "MAE", "Gini", "cover\n50%", "cover\n90%"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in result.table.to_dict(orient="records"):
        table.add_row(
            row["method"] + ("" if row["sound"] else " (!)"),
            f"{row['expected']:,.0f} ({row['lower']:,.0f}–{row['upper']:,.0f})",
            f"{row['actual']:,.0f}",
            f"{row['mae']:,.2f}",
            f"{row['gini']:.3f}",
            f"{row['coverage_50']:.0%}",
            f"{row['coverage_90']:.0%}",
        )
    return Group(table, _decile_table(result))


def _decile_table(result: "MoneyBacktest") -> Table:
    table = narrow_table(
        "Customers in ten groups by forecast spend: mean forecast and mean observed spend"
    )
    table.add_column("group", justify="right")
    grouped = result.deciles.groupby("method", sort=False)
    by_method = {str(name): frame for name, frame in grouped}
    for name in by_method:
        table.add_column(f"{name}\nforecast", justify="right")
        table.add_column("\nobserved", justify="right")
    records = (frame.to_dict(orient="records") for frame in by_method.values())
    for rows in zip(*records, strict=True):
        cells = [f"{row[name]:,.2f}" for row in rows for name in ("expected", "actual")]
        table.add_row(str(rows[0]["decile"]), *cells)
    return table


_FORECAST_COLUMNS: dict[str, Callable[[Any], str]] = {
    "log\nscore": lambda row: f"{row['log_score']:.4f}",
    "gain over\npooled": lambda row: _gain(row),
    "CRPS": lambda row: f"{row['crps']:.4f}",
    "MAE": lambda row: f"{row['mae']:.3f}",
}
_CALIBRATION_COLUMNS: dict[str, Callable[[Any], str]] = {
    "orders\n(90%)": lambda row: (
        f"{row['expected']:,.0f} ({row['expected_lower']:,.0f}–{row['expected_upper']:,.0f})"
    ),
    "calib.\nerror": lambda row: f"{row['calibration_error']:.3f}",
    "cover\n50%": lambda row: f"{row['coverage_50']:.0%}",
    "cover\n90%": lambda row: f"{row['coverage_90']:.0%}",
}
_WIDE_COLUMNS: dict[str, Callable[[Any], str]] = {
    "segment\nerror": lambda row: f"{row['segment_error']:.0%}",
    "RMSE": lambda row: f"{row['rmse']:.3f}",
    "Brier": lambda row: f"{row['brier']:.4f}",
    "AUC": lambda row: f"{row['auc']:.3f}",
}


def _split_tables(split: "Split", rows: pd.DataFrame, *, wide: bool) -> list[Table]:
    first = rows.iloc[0]
    title = (
        f"Origin {split.origin}, forecast for {split.horizon} days: "
        f"{first['customers']:,} customers, {first['active']:.0%} bought again, "
        f"{first['actual']:,} orders"
    )
    if wide:
        return [_of_methods(title, rows, _FORECAST_COLUMNS | _CALIBRATION_COLUMNS | _WIDE_COLUMNS)]
    return [
        _of_methods(title, rows, _FORECAST_COLUMNS),
        _of_methods("", rows, _CALIBRATION_COLUMNS),
    ]


def _of_methods(title: str, rows: pd.DataFrame, columns: dict[str, Callable[[Any], str]]) -> Table:
    table = narrow_table(title)
    table.add_column("method", no_wrap=True)
    for heading in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows.to_dict(orient="records"):
        name = row["method"] + ("" if row["sound"] else " (!)")
        table.add_row(name, *(show(row) for show in columns.values()))
    return table


def _overall_table(result: "Backtest") -> Table:
    table = narrow_table(
        "All splits together",
        "Log score: higher is better; gain over pooled: per customer, ± its standard error. CRPS, "
        "errors, Brier: lower is better. Segment error: sum over RFM segments of |forecast − "
        "observed| orders, as a share of observed orders. Cover: share of outcomes inside the "
        "interval; should be 50% and 90%. (!): not sound. A terminal of 150 characters shows RMSE, "
        "Brier and AUC too; --json prints all.",
    )
    table.add_column("method", no_wrap=True)
    for heading in ("gain over\npooled", "CRPS", "calib.\nerror", "cover\n90%"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, row in result.overall.iterrows():
        table.add_row(
            str(name) + ("" if row["sound"] else " (!)"),
            _gain(row),
            f"{row['crps']:.4f}",
            f"{row['calibration_error']:.3f}",
            f"{row['coverage_90']:.0%}",
            style="bold" if name == result.best.name else "",
        )
    return table


def _gain(row: Any) -> str:
    return "·" if row["gain_se"] == 0 else f"{row['gain']:+.4f} ± {row['gain_se']:.4f}"


def _told(result: "Backtest") -> list[str]:
    """Pooled, the mixture, the method recommended and the best sound one that fit offers."""
    offered = {it.name for it in result.methods if it.options or it.bases}
    sound = result.overall[result.overall["sound"] & result.overall.index.isin(offered)]
    best = sound["gain"].nlargest(2).index
    mixtures = (it.name for it in result.methods if it.bases)
    return list(dict.fromkeys(["pooled", result.best.name, *best, *mixtures]))


def _stacking_table(result: "Backtest") -> list[Table]:
    """The weights of the mixture, a column for each split."""
    if result.stacking.empty:
        return []
    table = narrow_table(
        "Weights (%) of the methods in the mixture",
        "Learnt on an inner split of the past, whose origin is in brackets; equal if the past is "
        "too short for one.",
    )
    table.add_column("method", no_wrap=True)
    by_split = list(result.stacking.groupby(["origin", "horizon"], sort=False))
    for (origin, horizon), rows in by_split:
        inner = rows["inner_origin"].iloc[0]
        table.add_column(f"{origin}\n+ {horizon} days\n({inner or 'none'})", justify="right")
    for name in dict.fromkeys(result.stacking["method"]):
        weights = (rows.set_index("method")["weight"][name] for _, rows in by_split)
        table.add_row(str(name), *(f"{100 * weight:.0f}" for weight in weights))
    return [table]


def _corner_table(result: "Backtest") -> list[Table]:
    """Frequent customers gone silent: who came back."""
    if result.corner.empty:
        return []
    table = narrow_table(
        "Frequent customers gone silent: 8 repeat orders or more, idle for 10 mean gaps or more",
        "Share who bought within the horizon. In brackets: 90% interval of the share; (!): the "
        "observed share lies outside.",
    )
    for heading in ("origin", "days", "customers", "bought", "method", "forecast"):
        left = heading in ("origin", "method")
        table.add_column(heading, justify="left" if left else "right", no_wrap=True)
    told = result.corner[result.corner["method"].isin(_told(result))]
    for (origin, horizon), rows in told.groupby(["origin", "horizon"], sort=False):
        for n, row in enumerate(rows.to_dict(orient="records")):
            of_split = (
                str(origin),
                str(horizon),
                f"{row['customers']:,}",
                f"{row['bought']:,} ({row['observed']:.0%})",
            )
            last = n == len(rows) - 1
            told_once = of_split if n == 0 else ("",) * len(of_split)
            table.add_row(*told_once, row["method"], _share(row), end_section=last)
    return [table]


def _cells_table(result: "Backtest") -> list[RenderableType]:
    """Cells of the RFM grid in which the recommended method missed by most."""
    name = result.best.name
    rows = result.cells[(result.cells["method"] == name) & (result.cells["customers"] >= _FEWEST)]
    missed = rows[rows["z"].abs() > _MISSED]
    words = f"{len(missed)} of {len(rows)} cells of the RFM grid"
    if missed.empty:
        return [Text(f"{words} were missed by more than {_MISSED:g} standard deviations ({name}).")]
    table = narrow_table(
        f"Cells of the RFM grid that {name} missed by most",
        f"{words} with {_FEWEST} customers or more were missed by more than {_MISSED:g} standard "
        f"deviations; at most {_MOST_CELLS} are shown, --json has all. Idle 1: bought last; value "
        "1: worth least.",
    )
    for heading in ("origin", "days", "idle", "value", "customers", "bought", "forecast", "z"):
        left = heading == "origin"
        table.add_column(heading, justify="left" if left else "right", no_wrap=True)
    worst = missed.loc[missed["z"].abs().nlargest(_MOST_CELLS).index]
    for row in worst.to_dict(orient="records"):
        table.add_row(
            str(row["origin"]),
            str(row["horizon"]),
            str(row["idle_row"]),
            str(row["value_column"]),
            f"{row['customers']:,}",
            f"{row['observed']:.0%}",
            _share(row),
            f"{row['z']:+.1f}",
        )
    return [table]


def _share(row: Any) -> str:
    inside = row["lower"] <= row["observed"] <= row["upper"]
    share = f"{row['forecast']:.1%} ({100 * row['lower']:.0f}–{100 * row['upper']:.0f})"
    return share if inside else f"{share} (!)"

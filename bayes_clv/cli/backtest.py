"""``bayes-clv backtest``: which pooling method forecasts best on a log."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from bayes_clv.cli.backtest_tables import backtest_tables, money_tables
from bayes_clv.cli.figures import check_figure, write_figure
from bayes_clv.cli.log_options import Log, Reader, reading
from bayes_clv.cli.options import Force, Json, Seed
from bayes_clv.cli.tables import reading_table
from bayes_clv.cli.terminal import Steps, err, errors, inputs_of, out, print_json
from bayes_clv.errors import InputError

Origins = Annotated[
    list[str] | None,
    typer.Option(help="Fit to the log up to this day; may be given several times."),
]
Horizons = Annotated[
    list[int] | None, typer.Option(help="Forecast horizon in days; may be given several times.")
]
Numbers = Annotated[
    list[int] | None,
    typer.Option(help="Number of kmeans segments; may be given several times. [default: 3, 5, 8]"),
]
Landmarks = Annotated[
    list[int] | None, typer.Option(help="Landmarks; may be given several times. [default: 4]")
]


@reading
def backtest(
    read: Reader,
    transactions: Log,
    origin: Origins = None,
    horizon: Horizons = None,
    n_segments: Numbers = None,
    landmarks: Landmarks = None,
    draws: Annotated[int | None, typer.Option(help="Draws per chain. [default: 1000]")] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Use at most 20,000 customers and half the draws.")
    ] = False,
    seed: Seed = 0,
    plot: Annotated[
        str | None, typer.Option(help="Write the reliability diagram to this file, too.")
    ] = None,
    money: Annotated[
        bool,
        typer.Option("--money", help="Forecast spend instead: one origin, methods pooled and RFM."),
    ] = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Compare pooling methods by their out-of-sample forecasts on your own log.

    Every method is fitted to the log up to each origin, and its forecasts are scored against the
    purchases observed after it.

    Without --origin and --horizon: three origins, and all horizons that fit. With --money: the
    middle of the log as origin, and all days after it as horizon.
    """
    from bayes_clv.evaluation.backtest.methods import default_methods
    from bayes_clv.evaluation.backtest.purchases import backtest as run

    with errors():
        if money:
            unused: dict[str, object] = {"--plot": plot, "--fast": fast, "--force": force}
            unused |= {"--n-segments": n_segments, "--landmarks": landmarks}
            _check_money_options(unused, origin or [], horizon or [])
        inputs = inputs_of(read, transactions)
        if plot is not None:
            check_figure(plot, inputs=inputs, force=force)
        log = read(transactions)
        err.print(reading_table(log))
        if money:
            _backtest_money(log, origin or [], horizon or [], draws, seed, as_json=as_json)
            return
        with Steps("fits") as steps:
            result = run(
                log,
                methods=default_methods(n_segments or (3, 5, 8), landmarks or (4,)),
                splits=_splits(log, origin or [], horizon or []),
                draws=draws,
                seed=seed,
                fast=fast,
                on_step=steps.update,
            )
    if as_json:
        print_json(result.to_dict())
    else:
        out.print(backtest_tables(result, out.width))
    if plot is not None:
        from bayes_clv.plots import plot_reliability

        with errors():
            write_figure(plot_reliability(result), plot, inputs=inputs, force=force)


def _splits(log: Any, origins: list[str], horizons: list[int]) -> Any:
    """Return the splits that were asked for; None for the default ones."""
    from bayes_clv.data.dates import as_date
    from bayes_clv.evaluation.backtest.splits import check_splits

    if not (origins or horizons):
        return None
    halfway = log.start + (log.end - log.start) / 2
    days = [as_date(day, "an origin") for day in origins] or [halfway]
    return check_splits(log, days, horizons)


def _check_money_options(
    unused: Mapping[str, object], origins: list[str], horizons: list[int]
) -> None:
    given = [name for name, value in unused.items() if value]
    if given:
        raise InputError(f"--money does not use {', '.join(given)}: leave it out")
    if len(origins) > 1 or len(horizons) > 1:
        numbers = f"{len(origins)} and {len(horizons)}"
        raise InputError(f"--money takes at most one --origin and one --horizon: got {numbers}")


def _backtest_money(
    log: Any,
    origins: list[str],
    horizons: list[int],
    draws: int | None,
    seed: int,
    *,
    as_json: bool,
) -> None:
    from bayes_clv.data.dates import as_date
    from bayes_clv.evaluation.backtest.spend import backtest_money

    with Steps("fits") as steps:
        result = backtest_money(
            log,
            as_date(origins[0], "an origin") if origins else None,
            horizons[0] if horizons else None,
            draws=1000 if draws is None else draws,
            seed=seed,
            on_step=steps.update,
        )
    if as_json:
        print_json(result.to_dict())
    else:
        out.print(money_tables(result))

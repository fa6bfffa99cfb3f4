"""``bayes-clv segments``: churn compared between segments."""

from typing import Annotated

import typer

from bayes_clv.cli.figures import check_figure, write_figure
from bayes_clv.cli.log_options import Reader, reading
from bayes_clv.cli.options import Force, Json, Level, Model, OwnSegment
from bayes_clv.cli.tables import reading_table, segments_table, warning_lines
from bayes_clv.cli.terminal import err, errors, inputs_of, out, print_json
from bayes_clv.errors import InputError
from bayes_clv.posterior.posterior import COMPARISON_HORIZON, load_posterior


@reading
def segments(
    read: Reader,
    model: Model,
    transactions: Annotated[
        str | None,
        typer.Argument(
            metavar="TRANSACTIONS",
            help="Log of the customers to compare. Default: the customers of the fit.",
        ),
    ] = None,
    horizon: Annotated[
        float, typer.Option(help="Forecast horizon in days; to change it, give TRANSACTIONS.")
    ] = COMPARISON_HORIZON,
    segment: OwnSegment = None,
    level: Level = 0.9,
    plot: Annotated[str | None, typer.Option(help="Write the figure to this file, too.")] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Compare churn between segments."""
    with errors():
        inputs = inputs_of(read, transactions, model)
        if plot is not None:
            check_figure(plot, inputs=inputs, force=force)
        posterior, on = load_posterior(model), None
        if transactions is None:
            if unread := [*read.given, *(["--segment"] if segment else [])]:
                raise InputError(f"TRANSACTIONS must be given to use {', '.join(unread)}")
            comparison = posterior.compare_segments(horizon=horizon, level=level)
        else:
            from bayes_clv.posterior.log_states import compare_log
            from bayes_clv.posterior.unlike import unlike

            log = read(transactions, segment=segment)
            err.print(reading_table(log))
            err.print(warning_lines(unlike(posterior, log)))
            with err.status("comparing the log's customers …"):
                comparison = compare_log(posterior, log, horizon=horizon, level=level)
            on = log.end
        if plot is not None:
            from bayes_clv.plots import plot_segment_comparison

            figure = plot_segment_comparison(comparison)
            write_figure(figure, plot, inputs=inputs, force=force)
    if as_json:
        print_json(comparison.to_dict() | {"dropout": posterior.dropout.value})
    else:
        out.print(segments_table(comparison, posterior, on))
    with errors():
        posterior.diagnostics.require_sound("do not act on these figures")

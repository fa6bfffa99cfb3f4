"""``bayes-clv predict``: the scores of every customer of a log."""

from typing import Annotated

import typer

from bayes_clv.cli.log_options import Log, Reader, reading
from bayes_clv.cli.options import Force, Level, Model, OwnSegment
from bayes_clv.cli.tables import reading_table, warning_lines
from bayes_clv.cli.terminal import Steps, err, errors, inputs_of, out, say, status
from bayes_clv.errors import shown
from bayes_clv.posterior.discounting import ANNUAL_DISCOUNT_RATE, MARGIN, VALUE_HORIZON, ValueTerms
from bayes_clv.posterior.posterior import COMPARISON_HORIZON, load_posterior

ValueHorizon = Annotated[float, typer.Option(help="Horizon of customer lifetime value in days.")]
DiscountRate = Annotated[
    float, typer.Option("--annual-discount-rate", help="Discount rate per year: 0.1 is 10%.")
]
Margin = Annotated[float, typer.Option(help="Margin per unit of spend: 0.3 is 30%.")]


@reading
def predict(
    read: Reader,
    model: Model,
    transactions: Log,
    to: Annotated[
        str, typer.Option("--out", help="Output file, .parquet or .csv; Spark writes a folder.")
    ] = "scores.parquet",
    to_table: Annotated[
        str | None,
        typer.Option("--out-table", help="Table to create instead, in the engine of the log."),
    ] = None,
    horizon: Annotated[float, typer.Option(help="Forecast horizon in days.")] = COMPARISON_HORIZON,
    value_horizon: ValueHorizon = VALUE_HORIZON,
    annual_discount_rate: DiscountRate = ANNUAL_DISCOUNT_RATE,
    margin: Margin = MARGIN,
    value: Annotated[
        bool, typer.Option(help="Compute customer lifetime value too; it takes longest.")
    ] = True,
    level: Level = 0.9,
    seed: Annotated[int, typer.Option(help="Random seed of the simulated outcomes.")] = 0,
    segment: OwnSegment = None,
    force: Force = False,
) -> None:
    """Score every customer of a transaction log: one row each, means with intervals."""
    from bayes_clv.posterior.scores import check_target, create_table, score_log, write_scores
    from bayes_clv.posterior.unlike import unlike

    where = f"the table {to_table}" if to_table else to
    with errors():
        inputs = inputs_of(read, transactions, model)
        if not to_table:
            check_target(to, inputs=inputs, force=force)
        terms = ValueTerms(value_horizon, annual_discount_rate, margin)
        posterior = load_posterior(model)
        log = read(transactions, segment=segment, writable=to_table is not None)
        err.print(reading_table(log))
        err.print(warning_lines(unlike(posterior, log)))
        with Steps("distinct states") as steps:
            scores = score_log(
                posterior,
                log,
                horizon,
                terms,
                value=value,
                level=level,
                seed=seed,
                on_states=lambda done, total: steps.update("scoring", done, total),
            )
        with status(f"writing {where} …"):
            n_customers = (
                create_table(scores, to_table)
                if to_table
                else write_scores(scores, to, inputs=inputs, force=force)
            )
        say(out, f"{n_customers:,} customers written to {shown(where)}")
        posterior.diagnostics.require_sound("the scores were written nevertheless")

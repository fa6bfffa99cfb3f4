"""The command line: parse, call one use case, print. Results on stdout, progress on stderr."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from bayes_clv.cli.log_options import Log, Reader, reading
from bayes_clv.cli.tables import (
    backtest_tables,
    money_tables,
    reading_table,
    segments_table,
    verdict,
)
from bayes_clv.cli.terminal import Steps, check_figure, err, errors, out, print_json, write_figure
from bayes_clv.errors import InputError
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.posterior.discounting import ANNUAL_DISCOUNT_RATE, MARGIN, VALUE_HORIZON, ValueTerms
from bayes_clv.posterior.posterior import COMPARISON_HORIZON, load_posterior

FEATURES = "idle_time,frequency,monetary_value"

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Who is leaving? Hierarchical Bayesian BG/NBD for customers without contracts.",
)


class Format(StrEnum):
    """Values of ``--segments`` other than the name of a column."""

    KMEANS = "kmeans"
    RFM = "rfm"
    NONE = "none"


Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A model file from `fit`.")]
Level = Annotated[float, typer.Option(help="Probability mass of the credible intervals.")]
ValueHorizon = Annotated[float, typer.Option(help="Horizon of customer lifetime value in days.")]
DiscountRate = Annotated[
    float, typer.Option("--annual-discount-rate", help="Discount rate per year: 0.1 is 10%.")
]
Margin = Annotated[float, typer.Option(help="Margin per unit of spend: 0.3 is 30%.")]
Seed = Annotated[int, typer.Option(help="Random seed; the same seed gives the same result.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
@reading
def fit(
    read: Reader,
    transactions: Log,
    to: Annotated[Path, typer.Option("--out", help="Model file to write.")] = Path("model.clv"),
    segments: Annotated[
        str, typer.Option(help="rfm, kmeans, none, or a column of your own segments.")
    ] = Format.RFM.value,
    n_segments: Annotated[int, typer.Option(help="Number of segments for kmeans.")] = 5,
    features: Annotated[
        str, typer.Option(help="Features for kmeans: some of idle_time,frequency,monetary_value.")
    ] = FEATURES,
    landmarks: Annotated[int, typer.Option(help="Number of landmarks (segmentation dates).")] = 4,
    dropout: Annotated[
        Dropout, typer.Option(help="When customers may leave: BG/NBD or MBG/NBD.")
    ] = Dropout.AFTER_REPEAT,
    spend: Annotated[bool, typer.Option(help="Fit spend too, if the log has amounts.")] = True,
    draws: Annotated[int, typer.Option(help="Posterior draws per chain.")] = 1000,
    tune: Annotated[int, typer.Option(help="Tuning steps per chain.")] = 200,
    chains: Annotated[int, typer.Option(help="Number of chains.")] = 4,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Fit the model to a transaction log and write a model file.

    Exit code 3, and no model file is replaced, if the posterior fails its diagnostics.
    """
    from bayes_clv.inference.estimator import HierarchicalBetaGeo

    own_column = None if segments in set(Format) else segments
    with errors():
        log = read(transactions, segment=own_column)
        if not as_json:
            out.print(reading_table(log))
        segmenter = _segmenter(segments, n_segments, features, seed)
        estimator = HierarchicalBetaGeo(segmenter, landmarks, dropout=dropout, spend=spend)
        posterior = estimator.fit(
            log, draws=draws, tune=tune, chains=chains, seed=seed, progress=True
        )
        target = to if posterior.diagnostics.sound else to.with_suffix(f".unsound{to.suffix}")
        posterior.save(target)
    if as_json:
        print_json(posterior.facts() | {"model": str(target)})
    else:
        out.print(verdict(posterior))
        out.print(segments_table(posterior.compare_segments(), posterior))
        out.print(f"Model written to {target}", highlight=False, soft_wrap=True)
    with errors():
        posterior.diagnostics.require_sound(f"the draws are in {target} for inspection")


@app.command()
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
    segment: Annotated[str | None, typer.Option(help="Column of your own segments.")] = None,
) -> None:
    """Score every customer of a transaction log: one row each, means with intervals."""
    from bayes_clv.posterior.scores import check_target, create_table, score_log, write_scores

    where = f"the table {to_table}" if to_table else to
    with errors():
        if not to_table:
            check_target(to)
        terms = ValueTerms(value_horizon, annual_discount_rate, margin)
        posterior = load_posterior(model)
        log = read(transactions, segment=segment, writable=to_table is not None)
        if not to_table:
            check_target(to, log)
        err.print(reading_table(log))
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
        with err.status(f"writing {where} …"):
            n_customers = int(scores.count().execute())
            create_table(scores, to_table) if to_table else write_scores(scores, to)
        out.print(f"{n_customers:,} customers written to {where}", highlight=False, soft_wrap=True)
        posterior.diagnostics.require_sound("the scores were written nevertheless")


@app.command()
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
    segment: Annotated[str | None, typer.Option(help="Column of your own segments.")] = None,
    level: Level = 0.9,
    plot: Annotated[Path | None, typer.Option(help="Write the figure to this file, too.")] = None,
    as_json: Json = False,
) -> None:
    """Compare churn between segments."""
    with errors():
        posterior, on = load_posterior(model), None
        if transactions is None:
            if unread := [*read.given, *(["segment"] if segment else [])]:
                raise InputError(f"TRANSACTIONS must be given to use {', '.join(unread)}")
            comparison = posterior.compare_segments(horizon=horizon, level=level)
        else:
            from bayes_clv.posterior.log_states import compare_log

            log = read(transactions, segment=segment)
            err.print(reading_table(log))
            with err.status("comparing the log's customers …"):
                comparison = compare_log(posterior, log, horizon=horizon, level=level)
            on = log.end
        if plot is not None:
            from bayes_clv.plots import plot_segment_comparison

            write_figure(plot_segment_comparison(comparison), plot)
    if as_json:
        print_json(comparison.to_dict() | {"dropout": posterior.dropout.value})
    else:
        out.print(segments_table(comparison, posterior, on))
    with errors():
        posterior.diagnostics.require_sound("do not act on these figures")


@app.command()
def diagnose(model: Model, as_json: Json = False) -> None:
    """Show the diagnostics: can the posterior of a model be trusted?"""
    with errors():
        posterior = load_posterior(model)
    if as_json:
        print_json(posterior.facts())
    else:
        out.print(verdict(posterior))
    with errors():
        posterior.diagnostics.require_sound("fit again with more --tune and --draws")


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


@app.command()
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
        Path | None, typer.Option(help="Write the reliability diagram to this file, too.")
    ] = None,
    money: Annotated[
        bool,
        typer.Option("--money", help="Forecast spend instead: one origin, methods pooled and RFM."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare pooling methods by their out-of-sample forecasts on your own log.

    Every method is fitted to the log up to each origin, and its forecasts are scored against the
    purchases observed after it.

    Without --origin and --horizon: three origins, and all horizons that fit. With --money: the
    middle of the log as origin, and all days after it as horizon.
    """
    from bayes_clv.data.dates import as_date
    from bayes_clv.evaluation.backtest.methods import default_methods
    from bayes_clv.evaluation.backtest.purchases import backtest as run
    from bayes_clv.evaluation.backtest.splits import check_splits

    with errors():
        if plot is not None:
            check_figure(plot)
        log = read(transactions)
        err.print(reading_table(log))
        if money:
            _backtest_money(log, origin or [], horizon or [], draws, seed, as_json=as_json)
            return
        splits = None
        if origin or horizon:
            halfway = log.start + (log.end - log.start) / 2
            days = [as_date(day, "an origin") for day in origin or []] or [halfway]
            splits = check_splits(log, days, horizon or [])
        with Steps("fits") as steps:
            result = run(
                log,
                methods=default_methods(n_segments or (3, 5, 8), landmarks or (4,)),
                splits=splits,
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
            write_figure(plot_reliability(result), plot)


@app.command()
def serve(
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", help="A model file from `fit`.", envvar="BAYES_CLV_MODEL"),
    ],
    port: Annotated[int, typer.Option(help="Port.", min=1, max=65535, envvar="PORT")] = 8080,
    host: Annotated[
        str, typer.Option(help="Address to listen on.", envvar="BAYES_CLV_HOST")
    ] = "127.0.0.1",
    workers: Annotated[
        int, typer.Option(help="Number of processes.", min=1, max=32, envvar="WEB_CONCURRENCY")
    ] = 2,
    behind_proxy: Annotated[
        bool,
        typer.Option(
            "--behind-proxy",
            help="Wait for clients in threads: a proxy in front buffers requests and answers.",
        ),
    ] = False,
    allow_public: Annotated[
        bool,
        typer.Option(
            "--allow-public",
            help="Listen beyond this machine without a token in BAYES_CLV_TOKEN.",
            envvar="BAYES_CLV_ALLOW_PUBLIC",
        ),
    ] = False,
    allow_unsound: Annotated[
        bool, typer.Option("--allow-unsound", help="Serve a model that failed its diagnostics.")
    ] = False,
) -> None:
    """Serve predictions over HTTP until SIGTERM; GET /docs documents the routes.

    A replaced model file is checked and loaded within two seconds, or on SIGHUP. If BAYES_CLV_TOKEN
    is set, requests must send it; for an address beyond this machine it must be set.
    """
    from api.server import serve as run

    with errors():
        run(
            model,
            host=host,
            port=port,
            workers=workers,
            behind_proxy=behind_proxy,
            allow_public=allow_public,
            allow_unsound=allow_unsound,
        )


def main() -> None:
    """Run the command line."""
    app()


def _segmenter(segments: str, n_segments: int, features: str, seed: int) -> Any:
    from bayes_clv.segments.estimators import KMeansSegmenter, RFMSegmenter

    chosen = tuple(name.strip() for name in features.split(",") if name.strip())
    choices: dict[str, Callable[[], Any]] = {
        Format.KMEANS: lambda: KMeansSegmenter(n_segments, features=chosen, random_state=seed),
        Format.RFM: RFMSegmenter,
        Format.NONE: lambda: None,
    }
    return choices.get(segments, lambda: "column")()


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

    if len(origins) > 1 or len(horizons) > 1:
        given = f"{len(origins)} and {len(horizons)}"
        raise InputError(f"--money takes at most one --origin and one --horizon: got {given}")
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

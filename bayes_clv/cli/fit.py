"""``bayes-clv fit``: from a log to a model file."""

import os
from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Any

import typer

from bayes_clv.cli.log_options import Log, Reader, reading
from bayes_clv.cli.options import Force, Json, Seed
from bayes_clv.cli.tables import choices, reading_table, segments_table, verdict
from bayes_clv.cli.terminal import Steps, errors, inputs_of, out, print_json, say
from bayes_clv.errors import shown
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.posterior.choices import AUTO
from bayes_clv.posterior.posterior import Posterior

FEATURES = "idle_time,frequency,monetary_value"
_LONGEST_NAME = 255  # bytes; the limit of all common file systems


class Format(StrEnum):
    """Values of ``--segments`` other than the name of a column."""

    KMEANS = "kmeans"
    RFM = "rfm"
    NONE = "none"
    AUTO = AUTO


class Leaving(StrEnum):
    """Values of ``--dropout``."""

    AUTO = AUTO
    AFTER_REPEAT = Dropout.AFTER_REPEAT.value
    AFTER_ANY = Dropout.AFTER_ANY.value


Segments = Annotated[
    str,
    typer.Option(
        help="rfm, kmeans, none, auto (what forecasts the last third of the log best), or a "
        "column of your own segments."
    ),
]
DropoutRule = Annotated[
    Leaving,
    typer.Option(
        help="When customers may leave: after a repeat purchase (BG/NBD), after any (MBG/NBD), "
        "or what the log speaks for."
    ),
]


Soft = Annotated[
    bool,
    typer.Option(
        "--soft/--hard",
        help="Whether customers near the border of a segment also belong to its neighbours.",
    ),
]
Reactivation = Annotated[
    bool | None,
    typer.Option(
        help="Whether customers may come back after any silence.  [default: if segments are soft]"
    ),
]
SoftFit = Annotated[
    bool | None,
    typer.Option(
        "--soft-fit/--hard-fit",
        help="Whether the fit, too, counts a customer for several segments.  "
        "[default: with reactivation]",
    ),
]


@reading
def fit(
    read: Reader,
    transactions: Log,
    to: Annotated[str, typer.Option("--out", help="Model file to write.")] = "model.clv",
    segments: Segments = Format.RFM.value,
    n_segments: Annotated[int, typer.Option(help="Number of segments for kmeans.")] = 5,
    features: Annotated[
        str, typer.Option(help="Features for kmeans: some of idle_time,frequency,monetary_value.")
    ] = FEATURES,
    landmarks: Annotated[int, typer.Option(help="Number of landmarks (segmentation dates).")] = 4,
    dropout: DropoutRule = Leaving.AUTO,
    soft: Soft = True,
    reactivation: Reactivation = None,
    soft_fit: SoftFit = None,
    spend: Annotated[bool, typer.Option(help="Fit spend too, if the log has amounts.")] = True,
    draws: Annotated[int, typer.Option(help="Posterior draws per chain.")] = 1000,
    tune: Annotated[int, typer.Option(help="Tuning steps per chain.")] = 200,
    chains: Annotated[int, typer.Option(help="Number of chains.")] = 4,
    seed: Seed = 0,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Fit the model to a transaction log and write a model file.

    Exit code 3, and no model file is replaced, if the posterior fails its diagnostics.
    """
    from bayes_clv.data.targets import check_targets
    from bayes_clv.posterior.artifact import MODEL

    own_column = None if segments in set(Format) else segments
    with errors():
        unsound = _name_if_unsound(to)
        inputs = inputs_of(read, transactions)
        check_targets([to, unsound], MODEL, inputs=inputs, force=force, make_folder=True)
        from bayes_clv.inference.estimator import HierarchicalBetaGeo
        from bayes_clv.inference.options import settled_dropout

        log = read(transactions, segment=own_column)
        if not as_json:
            out.print(reading_table(log))
        segmenters = _segmenters(n_segments, features, seed, soft=soft)
        leaving = settled_dropout(dropout.value)
        auto = segments == Format.AUTO
        how: dict[str, Any] = {
            "dropout": leaving,
            "reactivation": reactivation,
            "soft_fit": soft_fit,
        }
        choice = _best(log, segmenters, landmarks, how, seed) if auto else None
        segmenter = segmenters.get(choice.chosen if choice else segments, "column")
        estimator = HierarchicalBetaGeo(segmenter, landmarks, spend=spend, **how)
        posterior = estimator.fit(
            log, draws=draws, tune=tune, chains=chains, seed=seed, progress=True
        )
        posterior = replace(posterior, record=replace(posterior.record, segments=choice))
        target = to if posterior.diagnostics.sound else unsound
        version = posterior.save(target, force=force)
    if as_json:
        print_json(posterior.facts() | {"version": version, "model": target})
    else:
        _tell(posterior, target)
    with errors():
        posterior.diagnostics.require_sound(f"the draws are in {shown(target)} for inspection")


def _tell(posterior: Posterior, target: str) -> None:
    out.print(choices(posterior))
    out.print(verdict(posterior))
    out.print(segments_table(posterior.compare_segments(), posterior))
    say(out, f"Model written to {shown(target)}")


def _name_if_unsound(target: str) -> str:
    """Return the name for a posterior that fails its diagnostics: model.clv → model.unsound.clv."""
    folder, name = os.path.split(target)
    stem, suffix = os.path.splitext(name)
    if len(os.fsencode(suffix)) > _LONGEST_NAME // 2:
        stem, suffix = name, ""
    while len(os.fsencode(f"{stem}.unsound{suffix}")) > _LONGEST_NAME:
        stem = stem[:-1]
    return os.path.join(folder, f"{stem}.unsound{suffix}")


def _segmenters(n_segments: int, features: str, seed: int, *, soft: bool) -> dict[str, Any]:
    from bayes_clv.segments.estimators import KMeansSegmenter, RFMSegmenter

    chosen = tuple(name.strip() for name in features.split(",") if name.strip())
    segmenters: dict[str, Any] = {
        Format.NONE: None,
        Format.RFM: RFMSegmenter(),
        Format.KMEANS: KMeansSegmenter(n_segments, features=chosen, random_state=seed),
    }
    for segmenter in segmenters.values() if not soft else ():
        if segmenter is not None:
            segmenter.set_params(bandwidth=None)
    return segmenters


def _best(
    log: Any, segmenters: dict[str, Any], landmarks: int, how: dict[str, Any], seed: int
) -> Any:
    """Return the choice among the segmentations by their forecasts, with a progress bar."""
    from bayes_clv.evaluation.choice import choose_segments

    with Steps("fits") as steps:
        return choose_segments(
            log,
            segmenters,
            fallback=Format.RFM.value,
            landmarks=landmarks,
            seed=seed,
            on_step=steps.update,
            **how,
        )

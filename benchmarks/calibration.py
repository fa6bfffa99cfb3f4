"""Is the whole path calibrated? ``make sbc``, or ``python -m benchmarks.calibration``.

Datasets are simulated with parameters from the priors, and fitted:
`bayes_clv.evaluation.sbc.study`. The results are written to ``docs/calibration.md``, with figures
beside it; never edit these by hand.
"""

import os
import sys
from argparse import ArgumentParser, Namespace
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from bayes_clv.evaluation.sbc.design import Design
from bayes_clv.evaluation.sbc.replicates import Fit
from bayes_clv.evaluation.sbc.results import Calibration
from bayes_clv.evaluation.sbc.study import calibrate
from bayes_clv.inference.fitting import RUNGS, fit_table
from bayes_clv.models.bgnbd import Dropout
from bayes_clv.plots.sbc import plot_calibration
from bayes_clv.posterior.diagnostics import MAX_DIVERGENT
from benchmarks.harness import ROOT
from benchmarks.report import Column, Report, machine

PREFACE = """# Calibration

Is a 90 % interval right nine times out of ten? Many times over, parameters are drawn from the
priors, customers are simulated with these parameters, and the model is fitted to what a shop would
know of them: priors → simulator → landmark table → sampler → answers. If every step is right, the
true value is equally likely to have any rank among the posterior draws. The cumulative distribution
of the ranks then stays within a simultaneous band for 99 of 100 quantities
(Talts et al. 2018, arXiv:1804.06788; Säilynoja, Bürkner & Vehtari 2022, Statistics and Computing
32, 32). No dataset is left out because of what its customers do, and no fit because of its
diagnostics."""

RANKS = {
    "quantity": Column("quantity"),
    "mean_rank": Column("mean rank (½)", ".3f"),
    "p_value": Column("p", ".3f"),
    "band": Column("99 % band"),
}
COVERAGE = {
    "measure": Column("of each customer's"),
    "level": Column("level", ".0%"),
    "coverage": Column("covered", ".1%"),
    "standard_error": Column("standard error", ".1%"),
}
NOTES = [
    "P(alive), P(purchase) and expected purchases: share of customers whose interval contains the "
    "true value, computed from the parameters that they were simulated with. Intervals without "
    "width are left out, such as that of P(alive) of BG/NBD's one-time buyers, which is 1. "
    "Purchases: share of customers whose number of purchases lies within the interval of the "
    "outcome, ties broken at random. Customers of one dataset share their parameters, so standard "
    "errors are between datasets."
]
BY_DIVERGENCES = {
    "divergences": Column("divergences"),
    "datasets": Column("datasets", "d"),
    "measure": Column("of each customer's"),
    "coverage": Column("covered", ".1%"),
    "standard_error": Column("standard error", ".1%"),
}
DIVERGENCES = """## Divergences

If draws of a fit diverge, it is sampled again with smaller steps, and then mostly none diverge. If
a few divergences are left with the smallest steps, at most 1 in 1,000 draws, the verdict is "sound,
with a remark". Do the intervals of such fits cover less? To find out, each dataset was sampled only
once, with the largest steps, so that there are many fits with divergences. Fits with any other
complaint are left out."""
FILES = {Dropout.AFTER_REPEAT: "calibration.png", Dropout.AFTER_ANY: "calibration-mbg.png"}


def parser() -> ArgumentParser:
    parser = ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--replicates", type=int, default=200, help="datasets for each model (200)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (0)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (cores)")
    parser.add_argument(
        "--dropout",
        type=Dropout,
        nargs="+",
        choices=list(Dropout),
        default=list(Dropout),
        help="when customers may leave (both)",
    )
    parser.add_argument(
        "--reactivation",
        action="store_true",
        help="segmented models with reactivation only, written to reactivation.md",
    )
    parser.add_argument("--to", type=Path, default=ROOT / "docs", help="folder to write to (docs)")
    return parser


def main(arguments: list[str] | None = None) -> None:
    given = parser().parse_args(arguments)
    segmented = [Design.segmented(it, reactivation=given.reactivation) for it in given.dropout]
    designs = segmented
    if not given.reactivation:
        designs = [it for one in segmented for it in (Design.pooled(one.dropout), one)]
    studies = run(designs, given)
    once = run(
        segmented,
        given,
        fit=partial(fit_table, rungs=RUNGS[:1]),
        words="sampled once",
    )
    given.to.mkdir(parents=True, exist_ok=True)
    for dropout in given.dropout:
        figure = plot_calibration([it for it in studies if it.design.dropout is dropout])
        figure.savefig(given.to / named(FILES[dropout], given), dpi=100)
    (given.to / named("calibration.md", given)).write_text(page(studies, once, given))
    for study in studies:
        print(f"{study.design.name}: {study.verdict}")
    if any(study.beyond_chance or study.failed for study in studies):
        sys.exit(1)


def named(file: str, given: Namespace) -> str:
    """Return the name of a file of this study: those with reactivation have their own."""
    return file.replace("calibration", "reactivation") if given.reactivation else file


def run(
    designs: list[Design], given: Namespace, *, fit: Fit = fit_table, words: str = ""
) -> list[Calibration]:
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    with bar:
        tasks = [
            bar.add_task(f"{design.name} {words}", total=given.replicates) for design in designs
        ]
        return [
            calibrate(
                design,
                given.replicates,
                seed=given.seed + k,  # studies are independent of each other
                jobs=given.jobs,
                fit=fit,
                on_replicate=lambda task=task: bar.advance(task),
            )
            for k, (design, task) in enumerate(zip(designs, tasks, strict=True))
        ]


def page(studies: list[Calibration], once: list[Calibration], given: Namespace) -> str:
    """Return the text of `docs/calibration.md`."""
    made = machine()
    versions = ", ".join(f"{name} {number}" for name, number in made["versions"].items())
    options = f"--replicates {given.replicates} --seed {given.seed}"
    if set(given.dropout) < set(Dropout):
        options += " --dropout " + " ".join(given.dropout)
    if given.reactivation:
        options += " --reactivation"
    command = f"make sbc ARGS='{options}'"
    origin = f"`{command}`, {made['date']}: {made['machine']}; {versions}."
    parts = [PREFACE, origin]
    for dropout in given.dropout:
        parts.append(f"![Rank histograms, ECDFs and coverage]({named(FILES[dropout], given)})")
        parts += [section(it) for it in studies if it.design.dropout is dropout]
    parts.append(DIVERGENCES)
    parts += [divergences(it) for it in once]
    return "\n\n".join(parts) + "\n"


def divergences(study: Calibration) -> str:
    """Coverage in datasets whose fits had no divergences, a few, or more."""
    made = study.design.sampler.chains * study.design.sampler.draws
    few = int(MAX_DIVERGENT * made)
    fits = study.fits
    others = fits["complaints"].map(lambda words: any("diverg" not in it for it in words))
    groups = {
        "none": (fits["divergences"] == 0) & ~others,
        f"up to {few} of {made:,}": fits["divergences"].between(1, few) & ~others,
        "more": (fits["divergences"] > few) & ~others,
    }
    rows = []
    for measure in study.coverage.columns.get_level_values("measure").unique():
        for name, chosen in groups.items():
            covered = study.coverage.loc[chosen, (measure, 0.9)]
            row = {"divergences": name, "datasets": len(covered), "measure": measure}
            if len(covered) > 1:
                row |= {"coverage": covered.mean(), "standard_error": covered.sem()}
            rows.append(row)
    notes = [
        f"Seed {study.seed}: {study.n_replicates:,} datasets, {int(others.sum())} of them left out."
    ]
    return Report(
        f"{study.design.name}: 90 % intervals of datasets that were sampled once",
        BY_DIVERGENCES,
        rows,
        notes,
    ).in_markdown()


def section(study: Calibration) -> str:
    design = study.design
    ranks = study.table.rename_axis("quantity").reset_index()
    ranks["band"] = ["OUTSIDE" if outside else "inside" for outside in ranks["outside"]]
    covered = study.coverage_table.reset_index()
    fits, sampler = study.fits, design.sampler
    facts = (
        f"Seed {study.seed}: {study.n_replicates:,} simulated datasets of {design.n_customers} "
        f"customers, with {fits['n_repeats'].min():,} to {fits['n_repeats'].max():,} repeat "
        f"purchases (median {fits['n_repeats'].median():,.0f}); ranks among {design.n_draws} of "
        f"{sampler.chains * sampler.draws:,} draws. Fits that failed their diagnostics "
        f"(included): {study.unsound}; smallest bulk ESS of any variable: "
        f"{fits['ess_bulk'].min():,.0f}, median {fits['ess_bulk'].median():,.0f}. A fit took "
        f"{fits['seconds'].median():.1f} s (median; longest {fits['seconds'].max():.1f} s)."
    )
    failed = [
        f"Dataset {it.number}, with {it.n_repeats:,} repeat purchases, could not be fitted: "
        f"{it.reason}."
        for it in study.failed
    ]
    tables = (
        Report("Ranks", RANKS, ranks.to_dict("records")),
        Report(
            f"Intervals; purchases within {design.horizon:g} days",
            COVERAGE,
            covered.to_dict("records"),
            NOTES,
        ),
    )
    return "\n\n".join(
        [
            f"## {design.name}",
            f"**{study.verdict}**",
            facts,
            *failed,
            *(it.in_markdown() for it in tables),
        ]
    )


if __name__ == "__main__":
    main()

"""Arguments and options that several commands share."""

from typing import Annotated

import typer

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A model file from `fit`.")]
Level = Annotated[float, typer.Option(help="Probability mass of the credible intervals.")]
OwnSegment = Annotated[str | None, typer.Option(help="Column of your own segments.")]
Seed = Annotated[int, typer.Option(help="Random seed; the same seed gives the same result.")]
Force = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Replace an existing output file even if it is of another kind; a file that is read "
        "is never replaced.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

"""The command line: each command parses, calls one use case, prints.

Results go to stdout, progress to stderr.
"""

import sys

import typer

from bayes_clv.cli.backtest import backtest
from bayes_clv.cli.fit import fit
from bayes_clv.cli.model import diagnose, serve
from bayes_clv.cli.predict import predict
from bayes_clv.cli.segments import segments

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Who is leaving? Hierarchical Bayesian BG/NBD for customers without contracts.",
)
for command in (fit, predict, segments, diagnose, backtest, serve):
    app.command()(command)


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding does not have must not stop a command.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    app()

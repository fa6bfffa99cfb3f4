"""``bayes-clv diagnose`` and ``bayes-clv serve``: a model file on its own."""

from pathlib import Path
from typing import Annotated

import typer

from bayes_clv.cli.options import Json, Model
from bayes_clv.cli.tables import verdict
from bayes_clv.cli.terminal import errors, out, print_json
from bayes_clv.posterior.posterior import load_posterior


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

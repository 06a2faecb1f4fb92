"""The verb app: the same in a browser."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def app_command(
    host: Annotated[
        str, typer.Option(help="Address to listen at; others than your own machine may then reach it.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at; 0 takes any that is free.", min=0, max=65535)] = 8710,
    browser: Annotated[bool, typer.Option("--open/--no-open", help="Open it in the browser.")] = True,
) -> None:
    """The same in a browser: evidence, patient, trial, analysis."""
    from importlib.util import find_spec

    from causalgia.documents import InputError

    if find_spec("shiny") is None:
        raise InputError("causalgia app", "no shiny", "the extra app", "Run pip install 'causalgia[app]'.")
    from causalgia.app.server import serve

    def ready(address: str) -> None:
        typer.echo("Running until Ctrl+C at", err=True)
        typer.echo(address)
        sys.stdout.flush()

    serve(host, port, open_browser=browser, ready=ready)

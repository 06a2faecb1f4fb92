"""The application: four pages in one, its assets all local; and the server that runs it."""

from __future__ import annotations

import socket
import threading
import webbrowser
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from htmltools import Tag, tags
from shiny import App, Inputs, Outputs, Session, reactive, render, ui
from starlette.requests import Request

from causalgia import __version__
from causalgia.app.pages.analyse import analyse_server, analyse_ui
from causalgia.app.pages.evidence import evidence_server, evidence_ui, known
from causalgia.app.pages.patient import patient_server, patient_ui
from causalgia.app.pages.trial import trial_server, trial_ui
from causalgia.app.parts import again_block, chosen
from causalgia.app.processes import Workers
from causalgia.documents.errors import InputError

HERE = Path(__file__).parent
PAGES: dict[str, tuple[str, Callable[..., Any]]] = {
    "evidence": ("Evidence", evidence_ui),
    "patient": ("Patient", patient_ui),
    "trial": ("Trial", trial_ui),
    "analyse": ("Analyse", analyse_ui),
}
MOST_BYTES, MOST_OF_SESSION = 32 * 2**20, 256 * 2**20
LOCAL = ("127.0.0.1", "localhost", "[::1]")
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self' ws: wss:; frame-ancestors 'none'"
)
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def application(workers: Workers) -> App:
    """The app; what it computes runs in `workers`."""

    def pages(request: Request) -> Tag:
        return _page(dict(request.query_params))

    def server(input: Inputs, output: Outputs, session: Session) -> None:
        with reactive.isolate():
            search = session.clientdata.url_search()
        query = dict(parse_qsl(search.removeprefix("?")))
        again = {
            "evidence": evidence_server("evidence", query),
            "patient": patient_server("patient", query, workers),
            "trial": trial_server("trial", query, workers),
            "analyse": analyse_server("analyse", query, workers),
        }

        @render.ui
        def again_here() -> Any:
            return again_block(again[input.page()](), input.page())

    return App(pages, server)


def _page(query: Mapping[str, str]) -> Tag:
    """All pages under one head, the one that the link names in front."""
    panels = (ui.nav_panel(title, make(name, query), value=name) for name, (title, make) in PAGES.items())
    return ui.page_fluid(
        ui.head_content(tags.link(rel="icon", href="data:,")),
        ui.include_css(HERE / "style.css", method="inline"),
        ui.include_js(HERE / "app.js", method="inline"),
        tags.a("Skip to the page", href="#main", class_="skip"),
        tags.header(tags.h1("Causalgia"), tags.p("Research software, not a medical device.", class_="device")),
        tags.main(
            ui.navset_underline(*panels, id="page", selected=chosen(query, "page", PAGES, "evidence")), id="main"
        ),
        tags.footer(
            tags.h2("This page again"), ui.output_ui("again_here"), tags.p(f"Causalgia {__version__}", class_="note")
        ),
        title="Causalgia",
        lang="en-GB",
    )


def guarded(app: App, *, local: bool) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """The app behind three rules: uploads are bounded, pages of other sites may not talk to it, it asks nobody outside.

    A `local` one answers only to names of its own machine, so that no name of another site can be made to mean it.
    """
    taken: dict[str, int] = {}

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope.get("headers", [])}
        if scope["type"] in ("http", "websocket") and _foreign(headers, local):
            await _refuse(scope, send, 403, "This server answers its own pages only.")
            return
        if scope["type"] == "http" and scope["method"] == "POST":
            size, session = headers.get("content-length", ""), scope["path"].partition("/upload/")[0]
            if not size.isdigit() or int(size) > MOST_BYTES:
                await _refuse(scope, send, 413, f"A file may have {MOST_BYTES // 2**20} MB at most.")
                return
            taken[session] = taken.get(session, 0) + int(size)
            if taken[session] > MOST_OF_SESSION:
                await _refuse(scope, send, 413, "This page has taken too much: reload it.")
                return

        async def answer(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                more = [(b"content-security-policy", POLICY.encode()), (b"x-content-type-options", b"nosniff")]
                message["headers"] = [*message.get("headers", []), *more]
            await send(message)

        await app(scope, receive, answer)

    return guard


def _foreign(headers: Mapping[str, str], local: bool) -> bool:
    """Whether a browser asks for a page of another site, or by a name that is not this machine's."""
    host, origin = headers.get("host", ""), headers.get("origin")
    if local and host.rpartition(":")[0] not in LOCAL:
        return True
    return origin is not None and origin.partition("://")[2] != host


async def _refuse(scope: Scope, send: Send, status: int, text: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


def serve(host: str, port: int, *, open_browser: bool, ready: Callable[[str], None]) -> None:
    """Runs the app until it is interrupted; `ready` is told its address. Port 0 takes any that is free.

    Raises InputError where the address cannot be had.
    """
    import uvicorn

    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        found = f"an address that cannot be used ({getattr(error, 'strerror', None) or error})"
        raise InputError(f"{host}:{port}", found, "one that is free", "Choose another --port or --host.") from None
    name = f"[{host}]" if ":" in host else host
    address = f"http://{name}:{listening.getsockname()[1]}"
    with Workers() as workers:
        options = uvicorn.Config(
            guarded(application(workers), local=name in LOCAL), log_level="warning", ws_max_size=2**20, lifespan="on"
        )
        threading.Thread(target=known, daemon=True).start()
        ready(address)
        if open_browser:
            webbrowser.open(address)
        uvicorn.Server(options).run(sockets=[listening])

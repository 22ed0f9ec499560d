"""Answers with the console's files to whatever is no route of ours.

The routes come first, so nothing here can stand before one. The files are the same for everybody and hold nothing of
this server, so they need no key; what the page shows, it asks for by the session of its user. A path that names no file
is a page of the console, which reads it in the browser: it gets the index. Files that are not there are 404, so that an
old page which asks for a file of an earlier build notices.
"""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.web.files import ASSETS, ENCODINGS, INDEX, WebFile, WebFiles

HEADERS = {
    # The theme's variables come by a constructed style sheet, which style-src does not ask about (decision 30).
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
FOR_EVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"
NOT_BUILT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Gamekeeper</title>
<h1>The web console is not built</h1>
<p>Type <code>make web</code> in the folder of Gamekeeper, and load this page again. It needs the npm registry once.</p>
<p>Everything else works: see <code>gamekeeper --help</code>, and the <a href="/docs">REST API</a>.</p>
</html>
"""


def install_web_page(app: FastAPI, files: WebFiles) -> None:
    """Last of all: what is below a route of ours stays 404."""
    app.state.web = files
    ours = {str(route.path).split("/")[1] for route in iter_route_contexts(app.routes)}
    app.router.default = WebPage(files, ours, app.router.default)


class WebPage:
    def __init__(self, files: WebFiles, ours: Iterable[str], not_found: ASGIApp) -> None:
        self._files = files
        self._ours = frozenset(ours)
        self._not_found = not_found

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_read = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        path = scope["path"]
        is_a_path = path.startswith("/")  # the target of a request may be "*"
        if not is_read or not is_a_path or path.split("/")[1].lower() in self._ours:
            await self._not_found(scope, receive, send)
            return
        file = self._files.find(path)
        if file is None and _names_a_file(path):
            await self._not_found(scope, receive, send)
            return
        file = file or self._files.find(INDEX)
        response = _not_built() if file is None else _answer(file, Headers(scope=scope))
        if scope["method"] == "HEAD":
            response.body = b""  # the length stays that of a GET
        await response(scope, receive, send)


def _names_a_file(path: str) -> bool:
    """Files stand in the folder of assets or at the root, with a dot; ids within the console's paths may have one."""
    return path.startswith(ASSETS) or ("." in path and path.count("/") == 1)


def _answer(file: WebFile, headers: Headers) -> Response:
    encoding = next((known for known in ENCODINGS if known in file.forms and _takes(headers, known)), "")
    tag = f'"{file.tag}-{encoding}"' if encoding else f'"{file.tag}"'
    given = HEADERS | {
        "ETag": tag,
        "Vary": "Accept-Encoding",
        "Cache-Control": FOR_EVER if file.never_changes else ASK_AGAIN,
    }
    if tag in (one.strip().removeprefix("W/") for one in headers.get("if-none-match", "").split(",")):
        return Response(status_code=304, headers=given)
    if encoding:
        given["Content-Encoding"] = encoding
    return Response(file.forms[encoding], headers=given, media_type=file.media_type)


def _takes(headers: Headers, encoding: str) -> bool:
    for offer in headers.get("accept-encoding", "").split(","):
        name, _, weight = offer.replace(" ", "").partition(";q=")
        if name.lower() == encoding:
            return weight.rstrip("0.") != "" or weight == ""
    return False


def _not_built() -> Response:
    return HTMLResponse(NOT_BUILT, status_code=503, headers=HEADERS | {"Cache-Control": "no-store"})

"""The page by which a browser hears that a sign-in failed: it came from another site, and no page of ours waits for the
answer."""

from __future__ import annotations

from html import escape

from fastapi import Request
from fastapi.responses import HTMLResponse

from api.problems import STATUS_BY_KIND, retry_after
from gamekeeper.errors import GamekeeperError

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Not signed in</title>
<style>body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem }}
:root {{ color-scheme: light dark }}</style>
<h1>Not signed in</h1>
<p>{detail}.</p>
<p>{hint}.</p>
<p><small>{code}</small></p>
</html>
"""


def is_for_people(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def failure_page(error: GamekeeperError) -> HTMLResponse:
    detail, hint = error.message[:1].upper() + error.message[1:], (error.hint or "begin the sign-in again")
    page = _PAGE.format(detail=escape(detail), hint=escape(hint[:1].upper() + hint[1:]), code=escape(error.code))
    return HTMLResponse(page, STATUS_BY_KIND[error.kind], _HEADERS | retry_after(error))

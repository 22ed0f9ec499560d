"""Sessions of browsers: a cookie, which the browser sends by itself, and what proves that our own page asked for it.

A page of somebody else can have a browser send a request with the cookie, but it can neither read the answer nor set a
header of ours. So what writes needs the CSRF token of the session in a header, and no request with an ``Origin`` of
elsewhere gets in by a cookie. A WebSocket, for which no page can set a header, has to come with our own origin.
"""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import Scope

from gamekeeper.errors import ForbiddenError, InvalidError
from gamekeeper.keys import csrf_token, is_session_token
from gamekeeper.stack.own_server import is_loopback_url

COOKIE = "__Host-gk_session"  # the prefix: no other host, no path and no plain HTTP can set one
PLAIN_COOKIE = "gk_session"  # of plain HTTP on loopback, where browsers take no secure cookie
CEREMONY_COOKIE, PLAIN_CEREMONY_COOKIE = (
    "__Host-gk_ceremony",
    "gk_ceremony",
)  # tells one browser's sign-ins from others'
CSRF_HEADER = "X-CSRF-Token"
UI_PAGE = "gamekeeper.ui_page"  # of a request that changes nothing, by a page that an operator named
READS = ("GET", "HEAD", "OPTIONS")
_PORTS = {"http": 80, "https": 443}


def token_of_cookie(scope: Scope) -> str:
    """The session's token that a request brings in its cookie; empty for none.

    Raises ForbiddenError for a request that another site's page had the browser send."""
    headers = Headers(scope=scope)
    token = _cookie(headers, _is_on_loopback(headers))
    if token and not scope.get(UI_PAGE):
        check_origin(scope)
        if scope["type"] == "http" and scope["method"] not in READS:
            _check_csrf(headers, token)
    return token


def cookie_before(scope: Scope) -> str:
    """The same, for a sign-in, which proves nothing by it."""
    headers = Headers(scope=scope)
    return _cookie(headers, _is_on_loopback(headers))


def check_origin(scope: Scope) -> None:
    """Raises ForbiddenError for the page of another site, and for a WebSocket that tells of none."""
    headers = Headers(scope=scope)
    origin = headers.get("origin")
    if origin is None and scope["type"] != "websocket":
        return
    if origin is None or not _is_own(origin, headers.get("host", "")):
        raise ForbiddenError(
            f"a page of {(origin or 'an unknown origin')[:100]} may not use the session of this site's cookie",
            hint="programs send Authorization: Bearer KEY, and no cookie",
            code="origin",
        )


def set_cookie(response: Response, scope: Scope, token: str, seconds: int, *, is_secure: bool | None = None) -> None:
    """``is_secure`` is what is known of the connection otherwise. Raises InvalidError for plain HTTP from elsewhere,
    where everybody on the way could read it."""
    is_secure = _is_secure(scope) if is_secure is None else is_secure
    if not is_secure and not _is_on_loopback(Headers(scope=scope)):
        raise InvalidError(
            "a browser's session needs HTTPS", hint="programs sign in with keeps: token", code="plain_http"
        )
    _set(response, COOKIE if is_secure else PLAIN_COOKIE, token, seconds, is_secure=is_secure)


def ceremony_of_cookie(scope: Scope) -> str:
    """The secret by which a browser is known that signs in by a passkey; empty for none."""
    headers = Headers(scope=scope)
    cookies = _cookies(headers)
    return cookies.get(CEREMONY_COOKIE) or (cookies.get(PLAIN_CEREMONY_COOKIE, "") if _is_on_loopback(headers) else "")


def set_ceremony_cookie(response: Response, scope: Scope, secret: str, seconds: int) -> None:
    """Raises InvalidError for plain HTTP from elsewhere, where browsers use no passkey."""
    is_secure = _is_secure(scope)
    if not is_secure and not _is_on_loopback(Headers(scope=scope)):
        raise InvalidError("passkeys need HTTPS", hint="see docs/certificates.md", code="plain_http")
    name = CEREMONY_COOKIE if is_secure else PLAIN_CEREMONY_COOKIE
    _set(response, name, secret, seconds, is_secure=is_secure)


def _set(response: Response, name: str, value: str, seconds: int, *, is_secure: bool) -> None:
    response.set_cookie(name, value, max_age=seconds, path="/", secure=is_secure, httponly=True, samesite="strict")


def remove_cookie(response: Response, scope: Scope) -> None:
    headers = Headers(scope=scope)
    for name in (COOKIE, PLAIN_COOKIE):
        if name in _cookies(headers):
            response.delete_cookie(name, path="/", secure=name == COOKIE, httponly=True, samesite="strict")


def _is_secure(scope: Scope) -> bool:
    """Also behind a proxy with TLS: the page's own origin tells of it."""
    return scope["scheme"] in ("https", "wss") or Headers(scope=scope).get("origin", "").startswith("https://")


def _cookie(headers: Headers, is_on_loopback: bool) -> str:
    """A cookie of the plain name counts on loopback alone: on a real host, a neighbour's host could have set it."""
    cookies = _cookies(headers)
    token = cookies.get(COOKIE) or (cookies.get(PLAIN_COOKIE, "") if is_on_loopback else "")
    return token if is_session_token(token) else ""


def _cookies(headers: Headers) -> dict[str, str]:
    return cookie_parser(headers.get("cookie", ""))


def _check_csrf(headers: Headers, token: str) -> None:
    if not hmac.compare_digest(headers.get(CSRF_HEADER, "").encode(), csrf_token(token).encode()):
        raise ForbiddenError(
            f"what writes by a cookie needs the header {CSRF_HEADER}, with the csrf_token of this session",
            hint="the answers to the sign-in and to GET /api/v1/whoami have it",
            code="csrf",
        )


def _is_on_loopback(headers: Headers) -> bool:
    return is_loopback_url(f"http://{headers.get('host', '')}")


def _is_own(origin: str, host: str) -> bool:
    """True for the origin of the host that was asked. An opaque one ("null") is nobody's."""
    try:
        page = urlsplit(origin)
        asked = urlsplit(f"{page.scheme}://{host}")
        usual = _PORTS.get(page.scheme)
        return bool(page.hostname) and (page.hostname, page.port or usual) == (asked.hostname, asked.port or usual)
    except ValueError:
        return False

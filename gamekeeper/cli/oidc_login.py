"""The sign-in by a provider, for ``gamekeeper login --oidc``: a browser does it, and brings a code back to this program
by a redirect to loopback (RFC 8252). A browser on another machine ends at an address that it can't open: it is pasted
here instead."""

from __future__ import annotations

import os
import queue
import select
import sys
import time
import webbrowser
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import IO, Any
from urllib.parse import parse_qs, urlencode, urlsplit

from gamekeeper.cli.context import Context
from gamekeeper.cli.output import say, warn
from gamekeeper.cli.safe_text import safe
from gamekeeper.errors import InvalidError, UnauthenticatedError
from gamekeeper.pkce import challenge_of, new_verifier

WAIT_SECONDS = 600.0
_LOOK_SECONDS = 0.2
_LONGEST = 4096
_DONE = b"<!doctype html><title>gamekeeper</title><p>You can close this page, and go back to the terminal.</p>"

Found = Mapping[str, str]


def browser_sign_in(obj: Context) -> dict[str, Any]:
    """The session, as the server answers it. Raises InvalidError where the server has no provider, or nobody came back,
    and UnauthenticatedError for somebody whom the server does not let in."""
    verifier = new_verifier()
    challenge = challenge_of(verifier)
    with _Listener(challenge) as listener:
        query = urlencode({"port": listener.server_port, "challenge": challenge})
        _show(f"{_begin_url(obj)}?{query}")
        found = listener.wait(WAIT_SECONDS)
    if "code" not in found:
        raise UnauthenticatedError(safe(found.get("error", "the browser brought no code"))[:500])
    body = {"code": found["code"], "verifier": verifier}
    signed_in: dict[str, Any] = obj.call_anonymously("POST", "/sign-in/oidc", json=body)
    return signed_in


def _begin_url(obj: Context) -> str:
    for way in obj.call_anonymously("GET", "/sign-in")["ways"]:
        if way["kind"] == "oidc" and urlsplit(way["url"]).scheme in ("http", "https"):
            return str(way["url"])
    raise InvalidError("this server has no sign-in by a provider", hint="sign in by a password: gamekeeper login")


def _show(url: str) -> None:
    """Opens a browser where there is a screen; one on another machine may do as well."""
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform == "darwin":
        webbrowser.open(url)
    say(f"sign in with a browser: {url}")
    if sys.stdin.isatty():
        warn("where the browser is on another machine, paste here the address at which it ends")


class _Listener(ThreadingHTTPServer):
    """Takes the redirect of the browser. What comes with another challenge is of somebody else."""

    daemon_threads = True

    def __init__(self, challenge: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._challenge = challenge
        self._found: queue.Queue[Found] = queue.Queue()

    def take(self, address: str) -> bool:
        """False for an address that is not that of this sign-in."""
        try:
            found = {key: values[-1] for key, values in parse_qs(urlsplit(address[:_LONGEST]).query).items()}
        except ValueError:
            return False
        if found.get("challenge") != self._challenge:
            return False
        self._found.put(found)
        return True

    def wait(self, seconds: float) -> Found:
        """Raises InvalidError where nobody comes, and where the person at the terminal breaks off."""
        until = time.monotonic() + seconds
        while True:
            with suppress(queue.Empty):
                return self._found.get_nowait()
            if time.monotonic() >= until:
                raise InvalidError("nobody came back from the provider in time", hint="begin the sign-in again")
            for ready in _ready(self):
                self.handle_request() if ready is self else self._read(ready)

    def _read(self, terminal: IO[str]) -> None:
        line = terminal.readline()
        if not line:
            raise InvalidError("the sign-in was broken off")
        if line.strip() and not self.take(line.strip()):
            warn("this is not the address at which the browser ends")


class _Handler(BaseHTTPRequestHandler):
    timeout = 5
    server: _Listener

    def do_GET(self) -> None:
        is_taken = self.server.take(self.path)
        self.send_response(200 if is_taken else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(_DONE if is_taken else b"")

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the address holds the code."""


def _ready(listener: _Listener) -> list[Any]:
    """The listener, the terminal, or both: what has something to read, within a moment."""
    terminal = [sys.stdin] if sys.stdin.isatty() else []
    return select.select([listener, *terminal], [], [], _LOOK_SECONDS)[0]

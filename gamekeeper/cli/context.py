"""The context of every command: the address of the server, the key that opens it, and the calls to it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

from gamekeeper.cli.trust import PinnedTransport, check_pin, pinned_context, unreachable
from gamekeeper.errors import GamekeeperError, InvalidError, UnavailableError
from gamekeeper.stack.layout import StateDir


class ApiError(GamekeeperError):
    """A problem that the server answered with."""

    kind = "invalid"

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(str(body.get("detail", status)), hint=str(body.get("hint", "")))
        self.status = status
        self.problems: list[dict[str, Any]] = body.get("problems", [])


@dataclass(frozen=True)
class Context:
    server: str
    api_key: str
    state_dir: Path
    pin: str = ""

    @property
    def state(self) -> StateDir:
        return StateDir(self.state_dir)

    def url(self) -> str:
        """Raises UnavailableError when no server is named and no stack was ever started here."""
        url = self.server or self.state.load().rest_url
        if not url:
            raise UnavailableError("there is no server", hint="start one with `gamekeeper up`, or give --server URL")
        return url.rstrip("/")

    @property
    def is_pinned(self) -> bool:
        return bool(self.server and self.pin)

    def trust(self) -> ssl.SSLContext | bool:
        """Checks the certificate of the own stack by its CA, of a pinned server by the pin, and of others by the
        system's CAs or SSL_CERT_FILE. Raises InvalidError and UnavailableError."""
        if self.is_pinned:
            return self._pinned
        return True if self.server else self.state.trust(self.state.load())

    @cached_property
    def _pinned(self) -> ssl.SSLContext:
        check_pin(self.url(), self.pin)
        return pinned_context(self.url(), self.pin)

    def key(self) -> str:
        if self.api_key:
            return self.api_key
        try:
            return self.state.key_file.read_text().strip()
        except OSError as error:
            raise InvalidError(
                f"there is no API key: {self.state.key_file} can't be read",
                hint="give one with --api-key or GAMEKEEPER_API_KEY",
            ) from error

    @contextmanager
    def client(self, timeout: float | None = 30) -> Iterator[httpx.Client]:
        """An HTTP client; a server that can't be reached becomes UnavailableError that names it."""
        url = self.url()
        headers = {"Authorization": f"Bearer {self.key()}"}
        trust = self.trust()
        transport = PinnedTransport(trust) if self.is_pinned and isinstance(trust, ssl.SSLContext) else None
        try:
            with httpx.Client(
                base_url=f"{url}/api/v1", headers=headers, timeout=timeout, verify=trust, transport=transport
            ) as client:
                yield client
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise InvalidError(f"{url} is not a URL: {error}", hint="write it as http://HOST:PORT") from error
        except httpx.TransportError as error:
            raise unreachable(url, error, self.pin) from error

    def call(self, method: str, path: str, **options: Any) -> Any:
        """The answer's JSON. Raises ApiError for a problem."""
        with self.client() as client:
            return checked(client.request(method, path, **options))

    def list_all(self, path: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        """Every page of a list. Raises ApiError for a problem."""
        items: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = self.call("GET", path, params=parameters | ({"cursor": cursor} if cursor else {}))
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return items

    def script(self, path: str) -> str:
        """A text outside the versioned API, as ``/join.sh``. Raises ApiError for a problem."""
        with self.client() as client:
            answer = client.get(f"{self.url()}{path}")
            if answer.is_error:
                checked(answer)
            return answer.text

    def text(self, path: str, parameters: dict[str, Any]) -> str:
        """The answer as text. Raises ApiError for a problem."""
        with self.client() as client:
            answer = client.get(path, params=parameters)
            if answer.is_error:
                checked(answer)
            return answer.text


def checked(answer: httpx.Response) -> Any:
    if answer.status_code == 503:
        raise UnavailableError(_problem(answer).message)
    if answer.is_error:
        raise _problem(answer)
    return answer.json() if answer.content else None


def _problem(answer: httpx.Response) -> ApiError:
    try:
        body = answer.json()
    except ValueError:
        body = {"detail": f"HTTP {answer.status_code}"}
    return ApiError(answer.status_code, body if isinstance(body, dict) else {})

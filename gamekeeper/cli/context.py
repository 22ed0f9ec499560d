"""The context of every command: the address of the server, the key that opens it, and the calls to it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gamekeeper.cli import saved_contexts
from gamekeeper.cli.output import warn
from gamekeeper.errors import GamekeeperError, InvalidError, UnauthenticatedError, UnavailableError
from gamekeeper.stack.own_server import default_state_dir, host_of, is_loopback_url, is_own_url, key_file, own_url

# The heavy imports are below, where they are needed: they are most of the time that a command takes.
if TYPE_CHECKING:
    import ssl

    import httpx

    from gamekeeper.stack.layout import StateDir


class ApiError(GamekeeperError):
    """A problem that the server answered with."""

    kind = "invalid"

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        code = str(body.get("code", ""))
        super().__init__(str(body.get("detail", status)), hint=str(body.get("hint", "")), code=code)
        self.status = status
        self.problems: list[dict[str, Any]] = body.get("problems", [])


@dataclass(frozen=True)
class Context:
    server: str
    api_key: str
    given_state_dir: Path | None
    pin: str = ""
    name: str = ""  # of the saved context whose session is the key

    @property
    def state_dir(self) -> Path:
        return self.given_state_dir or default_state_dir()

    @property
    def state(self) -> StateDir:
        from gamekeeper.stack.layout import StateDir

        return StateDir(self.state_dir)

    def url(self) -> str:
        """Raises UnavailableError when no server is named and no stack was ever started here."""
        url = self.server or own_url(self.state_dir)
        if not url:
            raise UnavailableError("there is no server", hint="start one with `gamekeeper up`, or give --server URL")
        return url.rstrip("/")

    @property
    def is_pinned(self) -> bool:
        return bool(self.server and self.pin)

    def trust(self) -> ssl.SSLContext | bool:
        """Checks the certificate of the own stack by its CA, whether it is named or not, of a pinned server by the pin,
        and of others by the system's CAs or SSL_CERT_FILE. Raises InvalidError and UnavailableError."""
        if self.is_pinned:
            return self._pinned
        if not self.url().startswith("https:"):
            return False  # no TLS, so nothing is to be checked, and the system's CAs need not be read
        return self.state.trust(self.state.load()) if self._is_stack else True

    @cached_property
    def _pinned(self) -> ssl.SSLContext:
        from gamekeeper.cli.trust import check_pin, pinned_context

        check_pin(self.url(), self.pin)
        return pinned_context(self.url(), self.pin)

    @property
    def is_own(self) -> bool:
        """True for the stack of this machine: its key goes nowhere else, and no proxy is on the way to it."""
        return self._is_stack or is_loopback_url(self.url())

    @cached_property
    def _is_stack(self) -> bool:
        """True where the server is the stack of the state directory."""
        if not self.server:
            return True
        with suppress(InvalidError):  # a damaged record is no matter of another server
            return is_own_url(self.url(), self.state_dir)
        return False

    def key(self) -> str:
        """Raises UnauthenticatedError where none was given for another machine, or none can be read here, and for one
        that no header can carry."""
        key = self._given_key().strip()
        if not (key.isascii() and key.isprintable()):
            raise UnauthenticatedError(
                "the API key holds letters that no key has", hint="it is a line as gk_ID_SECRET; copy it once more"
            )
        return key

    def _given_key(self) -> str:
        if self.api_key:
            return self.api_key
        if host_of(self.url()) and not self.is_own:
            raise UnauthenticatedError(
                f"there is no API key for {self.url()}: that of this machine's own stack is not sent to others",
                hint="give the key of that server with --api-key or GAMEKEEPER_API_KEY",
            )
        try:
            return key_file(self.state_dir).read_text(errors="replace")
        except OSError as error:
            raise UnauthenticatedError(
                f"there is no API key: {key_file(self.state_dir)} can't be read",
                hint="give one with --api-key or GAMEKEEPER_API_KEY",
            ) from error

    @contextmanager
    def client(self, timeout: float | None = 30, *, is_anonymous: bool = False) -> Iterator[httpx.Client]:
        """An HTTP client; a server that can't be reached becomes UnavailableError that names it."""
        _leave_out_httpx_command()
        import httpx

        from gamekeeper.cli.asked_again import AskingClient

        url = self.url()
        headers = {} if is_anonymous else {"Authorization": f"Bearer {self.key()}"}
        trust = self.trust()
        transport = self._pinned_transport() if self.is_pinned else None
        try:
            with AskingClient(
                base_url=f"{url}/api/v1",
                headers=headers,
                timeout=timeout,
                verify=trust,
                transport=transport,
                trust_env=not self.is_own,
            ) as client:
                yield client
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise InvalidError(f"{url} is not a URL: {error}", hint="write it as http://HOST:PORT") from error
        except httpx.TransportError as error:
            from gamekeeper.cli.trust import unreachable

            raise unreachable(url, error, self.pin) from error

    def _pinned_transport(self) -> httpx.HTTPTransport:
        from gamekeeper.cli.trust import PinnedTransport

        return PinnedTransport(self._pinned)

    def call(self, method: str, path: str, **options: Any) -> Any:
        """The answer's JSON. Raises ApiError for a problem."""
        with self.client() as client:
            return checked(client.request(method, path, **options))

    def call_anonymously(self, method: str, path: str, **options: Any) -> Any:
        """The same without a key."""
        with self.client(is_anonymous=True) as client:
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


def in_saved_context(given: Context, name: str) -> Context:
    """The context with a session that was saved: the named one, or the current one where it is of the same stack. What
    can't be read is told, and does not stop a command that needs none of it.

    Raises NotFoundError for a name that is none, and InvalidError for one beside a server or a key."""
    if name and (given.server or given.api_key):
        raise InvalidError("--context stands for a server and its session", hint="leave out --server and --api-key")
    try:
        saved = saved_contexts.load()
    except InvalidError as error:
        if name:
            raise
        warn(str(error))
        return given
    found = saved.get(name) if name else saved.contexts.get(saved.current)
    if found is None:
        return given
    folder = given.given_state_dir
    if folder is not None and str(folder.expanduser().absolute()) != found.state_dir:
        return given
    state_dir = Path(found.state_dir) if found.state_dir else given.given_state_dir
    return Context(found.server, found.token, state_dir, found.pin or given.pin, name or saved.current)


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


def _leave_out_httpx_command() -> None:
    """httpx imports its own command with all that draws on terminals, where that is installed, and works without."""
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]

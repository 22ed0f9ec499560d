"""The agent's two calls of REST, by the standard library: a client library would cost every node its memory.

The control plane proves who it is before it is told a secret: by a root whose pin stands in the token, or by the roots
that the node has already. On loopback there is nobody between the two, and REST is plain HTTP.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from agent_worker.node_link.servers import ServerAddress
from gamekeeper.certificates.pem import SERVER_NAME, certificates_in, pinned_root, trusting_one_of
from gamekeeper.errors import GamekeeperError, InvalidError, UnauthenticatedError, UnavailableError

CALL_SECONDS = 30.0
ASK_AGAIN_SECONDS = 5.0
NAME_TAKEN = "name_taken"
MAX_ANSWER = 256 * 1024
_LINK_PORT = 7381
_OF_ANOTHER_TIME = {
    9: "that is not good yet",
    10: "that is good no longer",
}  # X509_V_ERR_CERT_NOT_YET_VALID and _HAS_EXPIRED


def get_roots(server: ServerAddress, pin: str) -> str:
    """The root with this pin, which that server says is its own; without a pin, all its roots.

    Blocks. Raises UnauthenticatedError where no root has the pin, UnavailableError where nobody answers.
    """
    _, text = _ask(server, _connection(server, _trusting_anybody), "GET", "/api/v1/roots")
    if not pin:
        return text
    root = pinned_root(text, pin)
    if root is None:
        raise UnauthenticatedError(
            f"{server} is not the control plane that made this token: no root of it has the pin {pin}",
            hint="check --server, and that nobody is in between",
        )
    return root


def post_join(
    server: ServerAddress, roots: str, body: dict[str, Any], node_key: str = "", shown: Sequence[str] = ()
) -> dict[str, Any]:
    """The answer to a join. It is said to a server alone whose certificate one of ``roots`` signed, or, where an
    operator gave REST a certificate of a public CA, to the host that that certificate names or that shows one of
    ``shown``.

    Blocks. Raises UnauthenticatedError for a join that is refused, JoinWaitsError for one that has to be approved,
    UnavailableError where nobody answers.
    """
    headers = {"Content-Type": "application/json"}
    if node_key:
        headers["Authorization"] = f"Bearer {node_key}"
    content = json.dumps(body)
    try:
        own = _connection(server, lambda: _trusting(roots))
        status, text = _ask(server, own, "POST", "/api/v1/join", content, headers)
    except WrongCertificateError as error:
        given = partial(trusting_one_of, shown) if shown else ssl.create_default_context
        try:
            public = _connection(server, given, name=server.host)
            status, text = _ask(server, public, "POST", "/api/v1/join", content, headers)
        except WrongCertificateError:
            raise error from None
    if status == http.HTTPStatus.OK:
        return _decoded(server, text)
    if status == http.HTTPStatus.ACCEPTED:
        raise JoinWaitsError(server, _decoded(server, text))
    problem = _detail(text)
    if status in (
        http.HTTPStatus.UNAUTHORIZED,
        http.HTTPStatus.PRECONDITION_FAILED,
        http.HTTPStatus.UNPROCESSABLE_ENTITY,
    ):
        raise UnauthenticatedError(f"{server} refused the join: {problem}")
    raise UnavailableError(f"{server} answers {status}: {problem}")


class JoinWaitsError(GamekeeperError):
    """An operator has to approve this machine; the same call tells whether one did."""

    kind = "unavailable"

    def __init__(self, server: ServerAddress, told: dict[str, Any]) -> None:
        self.join_id, self.node_id = str(told.get("join", "")), str(told.get("node_id", ""))
        self.ask_again_seconds = float(told.get("ask_again_seconds", ASK_AGAIN_SECONDS))
        approve = f"gamekeeper joins approve {self.join_id}"
        if told.get("reason") == NAME_TAKEN:
            why = f'there is a node "{self.node_id}" already'
            hint = f"{approve} --replace where this machine is that node, reinstalled; or {approve} --node ANOTHER"
        else:
            why, hint = f'it is to be node "{self.node_id}"', approve
        super().__init__(f"this machine, {self.join_id}, waits for an approval on {server.host}: {why}", hint=hint)


class WrongCertificateError(UnauthenticatedError):
    """The server's certificate is of another CA."""


class _NamedConnection(http.client.HTTPSConnection):
    """HTTPS to a server by another name than that of the address."""

    def __init__(self, server: ServerAddress, context: ssl.SSLContext, name: str) -> None:
        super().__init__(server.host, server.rest_port, timeout=CALL_SECONDS)
        self._tls, self._name = context, name

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._name)


def _connection(
    server: ServerAddress, context: Callable[[], ssl.SSLContext], name: str = SERVER_NAME
) -> http.client.HTTPConnection:
    if server.is_plain:
        return http.client.HTTPConnection(server.host, server.rest_port, timeout=CALL_SECONDS)
    return _NamedConnection(server, context(), name)


def _trusting(roots: str) -> ssl.SSLContext:
    found = certificates_in(roots)
    if not found:
        raise UnauthenticatedError("no root is known to check the server with", hint="make a new token")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata="".join(found))
    return context


def _trusting_anybody() -> ssl.SSLContext:
    """For a question without a secret, whose answer is held against a pin."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _ask(
    server: ServerAddress,
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: str | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, str]:
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read(MAX_ANSWER).decode(errors="replace")
    except ssl.SSLCertVerificationError as error:
        raise _mistrust(server, error) from error
    except (OSError, http.client.HTTPException) as error:
        raise UnavailableError(f"{server} does not answer as REST: {error}", hint=_hint(server)) from error
    finally:
        connection.close()


def _mistrust(server: ServerAddress, error: ssl.SSLCertVerificationError) -> UnauthenticatedError:
    """Dates are held against this machine's clock, which is far more often wrong than a server's certificate is old."""
    if error.verify_code in _OF_ANOTHER_TIME:
        now = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
        return UnauthenticatedError(
            f"{server} shows a certificate {_OF_ANOTHER_TIME[error.verify_code]} by this machine's clock ({now} UTC)",
            hint="set this machine's clock, and that of the server",
        )
    return WrongCertificateError(
        f"{server} shows a certificate of another CA: {error.verify_message}",
        hint="check --server, and that nobody is in between",
    )


def _hint(server: ServerAddress) -> str:
    if server.rest_port == _LINK_PORT:
        return f"give HOST or HOST:PORT of REST, not of the node link ({_LINK_PORT})"
    return f"is it up? If it serves HTTPS on loopback too, give https://{server}" if server.is_plain else "is it up?"


def _decoded(server: ServerAddress, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise InvalidError(f"{server} answers with something that is no JSON") from error
    if not isinstance(found, dict):
        raise InvalidError(f"{server} answers with something that is no join")
    return found


def _detail(text: str) -> str:
    try:
        problem = json.loads(text)
        return "; ".join(part for part in (str(problem.get("detail", "")), str(problem.get("hint", ""))) if part)
    except (ValueError, AttributeError):
        return text[:200]

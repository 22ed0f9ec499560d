"""The trust of a command in a server: in the own stack, by a pin, or by the CAs of this machine.

A pin is enough for a machine that knows nothing else: it names the root of the control plane's CA, which that server
hands out itself. Nothing secret is said before the server has proven that it belongs to that root.
"""

from __future__ import annotations

import ssl
from typing import Any

import httpx

from gamekeeper.certificates.pem import SERVER_NAME, pinned_root
from gamekeeper.errors import GamekeeperError, InvalidError, UnavailableError

ASK_SECONDS = 30.0
_NO_PIN = (
    "if it is your own, have `gamekeeper ca show` print the pin there, and give it with --pin or GAMEKEEPER_PIN "
    "(SSL_CERT_FILE with its roots.pem does as well)"
)


class PinnedTransport(httpx.HTTPTransport):
    """Checks the server by the name that stands in every certificate of the CA, so that its address may be any."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(verify=context)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions = {**request.extensions, "sni_hostname": SERVER_NAME}
        return super().handle_request(request)


def pinned_context(url: str, pin: str) -> ssl.SSLContext:
    """Trusts the root with this pin. Raises InvalidError for a pin that is of no root there, UnavailableError where
    nobody answers."""
    try:
        answer = httpx.get(f"{url}/api/v1/roots", verify=_anybody(), timeout=ASK_SECONDS)
        root = pinned_root(answer.text, pin)
    except httpx.TransportError as error:
        raise unreachable(url, error, pin) from error
    if root is None:
        raise InvalidError(
            f"{url} is not the control plane of this pin: no root of it has it",
            hint="check the address, that nobody is in between, and what `gamekeeper ca show` prints there now",
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=root)
    return context


def check_pin(url: str, pin: str) -> None:
    """Raises InvalidError for a pin that can't be one, or for a URL without TLS."""
    if not url.startswith("https://"):
        raise InvalidError(f"a pin is for HTTPS, and {url} is not", hint="write it as https://HOST:PORT")
    if len(pin) != 43 or not pin.replace("-", "").replace("_", "").isalnum():
        raise InvalidError("this is no pin: it has 43 letters, digits, - and _", hint="see `gamekeeper ca show` there")


def unreachable(url: str, error: Exception, pin: str = "") -> GamekeeperError:
    """The words for a server that was not reached, or not believed."""
    refusal = _refusal(error)
    if refusal is None and "WRONG_VERSION_NUMBER" in str(error):
        plain = url.replace("https:", "http:", 1)
        return UnavailableError(f"{url} answers, and without TLS", hint=f"where it serves without: --server {plain}")
    if refusal is None:
        return UnavailableError(f"{url} does not answer: {error}", hint="is it up? gamekeeper status")
    hint = "a certificate of a public CA needs no pin: leave it out" if pin else _NO_PIN
    if "expired" in refusal:
        hint = "look at `gamekeeper status` there, and at this machine's clock"
    return UnavailableError(f"{url} shows a certificate that can't be verified: {refusal}", hint=hint)


def _refusal(error: BaseException | None) -> str | None:
    """The reason for which a certificate was refused, from wherever in the chain of causes it stands."""
    seen: Any = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return seen.verify_message or str(seen)
        seen = seen.__cause__ or seen.__context__
    return None


def _anybody() -> ssl.SSLContext:
    """For a question without a secret, whose answer is held against a pin."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context

"""Says in plain words why a connection to Temporal was not made.

The SDK's core knows one kind of error, whose text shows the insides of its libraries. Here each text that has a cause
becomes an error with the setting that cures it: InvalidError and UnauthenticatedError where trying on is of no use, and
UnavailableError where it may be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from temporalio.service import TLSConfig

from gamekeeper.errors import GamekeeperError, InvalidError, UnauthenticatedError, UnavailableError

_CERTIFICATE = re.compile(r"InvalidCertificate\((\w+)")
_NAME = re.compile(r'"?(?:DnsName|IpAddress)\((?:\\?")?([^")\\]+)')
_STATUS = re.compile(r'Status \{ code: (\w+), message: "((?:[^"\\]|\\.)*)"')
_REASON = re.compile(r'message: "([^"]*)"|error: "([^"]*)"')
_CERTIFICATES = {
    "UnknownIssuer": ("of another CA", "give that CA with TEMPORAL_TLS_SERVER_CA_CERT_PATH"),
    "Expired": ("that has run out", "renew it there; or is the clock of this machine right?"),
    "ExpiredContext": ("that has run out", "renew it there; or is the clock of this machine right?"),
    "NotValidYet": ("that is not valid yet", "is the clock of this machine right?"),
    "NotValidYetContext": ("that is not valid yet", "is the clock of this machine right?"),
}
_CLOSED = ("connection closed", "transport error", "stream closed", "broken pipe", "connection reset")
_NOT_REACHED = ("tcp connect error", "dns error")
CLOSED = "closed"  # as by a server that stops; one that goes on doing so wants another kind of connection
_REFUSED = ("Unauthenticated", "PermissionDenied")


def explained(error: Exception, target: str, config: Mapping[str, Any]) -> GamekeeperError:
    """The error of a connection to ``target`` as ours. ``config`` is what the connection was made with."""
    text, temporal = str(error), f"Temporal at {target}"
    if isinstance(error, ValueError | OSError):
        return InvalidError(f"{temporal} can't be called: {error}", hint="check --temporal and TEMPORAL_*")
    if found := _CERTIFICATE.search(text):
        return _of_certificate(temporal, found[1], text)
    if "InvalidContentType" in text or "InvalidMessage" in text:
        hint = "unset TEMPORAL_TLS and TEMPORAL_API_KEY, or set TEMPORAL_TLS=false; or is it another port?"
        return InvalidError(f"{temporal} speaks no TLS", hint=hint)
    if "InvalidUri" in text:
        return InvalidError(f"{temporal} can't be called: a name is no name", hint="check TEMPORAL_TLS_SERVER_NAME")
    status = _STATUS.search(text)
    if status and status[1] in _REFUSED:
        return _of_key(temporal, _plain(status[2]), config)
    if _is_closed(text):
        return UnavailableError(f"{temporal} closes the connection", hint=_why_closed(config), code=CLOSED)
    return UnavailableError(
        f"{temporal} does not answer{_reason(text)}", hint="start it, or check --temporal and TEMPORAL_*"
    )


def explained_of_gateway(error: Exception, target: str) -> UnavailableError:
    """The error of a node's connection to its gateway as ours. A node asks again, for the other side may be mended."""
    text, gateway = str(error), f"Temporal's gateway at {target}"
    if found := _CERTIFICATE.search(text):
        return UnavailableError(
            f"{gateway} shows a certificate that this node does not take ({found[1]})",
            hint="is it the control plane that this node joined, and is this machine's clock right?",
        )
    status = _STATUS.search(text)
    if status and status[1] in _REFUSED:
        return UnavailableError(f"{gateway} refuses this node: {_plain(status[2])}")
    if _is_closed(text):
        return UnavailableError(f"{gateway} closes the connection", hint="it may not take this node's certificate")
    return UnavailableError(f"{gateway} does not answer{_reason(text)}", hint="is its port open from here?")


def _is_closed(text: str) -> bool:
    """True where somebody took the connection and ended it: at its handshake, or at the first call."""
    if _STATUS.search(text):
        return any(words in text for words in _CLOSED)
    return "tonic::transport" in text and not any(words in text for words in _NOT_REACHED)


def _reason(text: str) -> str:
    """The system's words on a connection that failed, or the server's."""
    status = _STATUS.search(text)
    words = status[2] if status else next((a or b for a, b in reversed(_REASON.findall(text))), "")
    return f": {_plain(words)}" if words else ""


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _of_certificate(temporal: str, kind: str, text: str) -> InvalidError:
    if kind.startswith("NotValidForName"):
        expected, _, presented = text.partition("presented")
        wanted = _NAME.findall(expected)
        names = ", ".join(_NAME.findall(presented)) or "no name"
        shown = f"the certificate of {temporal} is for {names}"
        return InvalidError(
            f"{shown} and not for {wanted[-1] if wanted else 'this address'}",
            hint="set TEMPORAL_TLS_SERVER_NAME to a name of it",
        )
    what, hint = _CERTIFICATES.get(kind, (f"that can't be used ({kind})", "see its certificate: openssl s_client"))
    return InvalidError(f"{temporal} shows a certificate {what}", hint=hint)


def _of_key(temporal: str, message: str, config: Mapping[str, Any]) -> UnauthenticatedError:
    what = "our API key" if config.get("api_key") else "us without an API key"
    return UnauthenticatedError(f"{temporal} refuses {what}: {message}", hint="check TEMPORAL_API_KEY")


def _why_closed(config: Mapping[str, Any]) -> str:
    tls = config.get("tls")
    if not tls:
        return "it may speak TLS alone: set TEMPORAL_TLS=true, or TEMPORAL_API_KEY"
    if isinstance(tls, TLSConfig) and tls.client_cert:
        return "it may take client certificates of another CA: check TEMPORAL_TLS_CLIENT_CERT_PATH"
    return "it may want a client certificate: TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH"

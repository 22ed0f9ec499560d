"""Settings of passkeys: the host name that they belong to, and the pages on which they are used."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from pydantic import Field

from gamekeeper.domain.access.passkey import RelyingParty
from gamekeeper.errors import InvalidError
from gamekeeper.settings import DatabaseSettings

LOCALHOST = "localhost"
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")


class PasskeySettings(DatabaseSettings):
    passkey_rp_id: str = Field(
        default="",
        description="Host name that users' passkeys belong to, as `play.example.com` or a domain above it. Those of "
        "another name open nothing, so don't change it. Empty takes the first name of `ACME_DOMAINS`, or else of "
        "`REST_NAMES`; on loopback it is `localhost`. An address is no name: without one there are no passkeys.",
    )
    passkey_origins: str = Field(
        default="",
        description="Origins of the pages on which passkeys are used, as `https://play.example.com`, with commas "
        "between. Each is HTTPS on that host or one below it. Empty takes that host on port 443 and on the port of "
        "REST; of `localhost` `http` and `https` with the port of REST.",
    )


def relying_party(rp_id: str, origins: str, names: Sequence[str], *, is_local: bool, port: int) -> RelyingParty | None:
    """None where no name is known. ``names`` are those of the server, of which the first that is a host name counts.
    Raises InvalidError for settings that no browser would take."""
    found = rp_id.strip().lower() or (LOCALHOST if is_local else next(filter(is_domain, names), ""))
    if not found:
        if origins.strip():
            raise InvalidError("GAMEKEEPER_PASSKEY_ORIGINS is given without a host name", hint=_RP_HINT)
        return None
    if found != LOCALHOST and not is_domain(found):
        raise InvalidError(f'GAMEKEEPER_PASSKEY_RP_ID: "{found[:60]}" is no host name', hint="as play.example.com")
    given = [text.strip() for text in origins.split(",") if text.strip()]
    for text in given:
        _check_origin(text, found)
    return RelyingParty(found, tuple(given) or _usual(found, port))


_RP_HINT = "give the name that its passkeys belong to: GAMEKEEPER_PASSKEY_RP_ID"


def is_domain(text: str) -> bool:
    """True for a host name with a dot in it, in lower-case ASCII; browsers take no address for one."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        labels = text.split(".")
        return len(labels) > 1 and len(text) <= 253 and all(_LABEL.fullmatch(label) for label in labels)
    return False


def _usual(rp_id: str, port: int) -> tuple[str, ...]:
    if rp_id == LOCALHOST:
        return (f"http://{LOCALHOST}:{port}", f"https://{LOCALHOST}:{port}")
    return (f"https://{rp_id}",) if port == 443 else (f"https://{rp_id}", f"https://{rp_id}:{port}")


def _check_origin(text: str, rp_id: str) -> None:
    """Raises InvalidError for what is no origin as browsers write it, or is on another host than the passkeys'."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, parts, port = "", urlsplit(""), None
    usual = {"http": 80, "https": 443}
    if text != f"{parts.scheme}://{parts.netloc}" or not host or parts.scheme not in usual:
        raise _wrong(text, "is no origin", "as https://play.example.com, without a slash at its end")
    if parts.netloc != (host if port is None else f"{host}:{port}") or port == usual[parts.scheme]:
        raise _wrong(text, "is written otherwise by browsers", "in lower case, without a user and the usual port")
    if host != rp_id and not host.endswith(f".{rp_id}"):
        raise _wrong(text, f"is on another host than {rp_id}, that the passkeys belong to", _RP_HINT)
    if parts.scheme != "https" and host != LOCALHOST and not host.endswith(f".{LOCALHOST}"):
        raise _wrong(text, "is plain HTTP, where browsers use no passkey", "give it with https://")


def _wrong(text: str, fault: str, hint: str) -> InvalidError:
    return InvalidError(f'GAMEKEEPER_PASSKEY_ORIGINS: "{text[:60]}" {fault}', hint=hint)

"""The document that an OpenID provider has of itself (OpenID Connect Discovery)."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gamekeeper.oidc.answers import broken

WELL_KNOWN = "/.well-known/openid-configuration"
MAX_URL = 2048


@dataclass(frozen=True)
class Metadata:
    """``tells_issuer`` is true of a provider that names itself beside each code (RFC 9207)."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str
    end_session_endpoint: str
    tells_issuer: bool
    is_basic: bool

    @classmethod
    def of(cls, found: Mapping[str, Any], issuer: str) -> Metadata:
        """Raises UnavailableError for the document of another issuer, and for what is none."""
        if found.get("issuer") != issuer:
            raise broken(
                issuer, "says that it is another one: GAMEKEEPER_OIDC_ISSUER has to be its issuer, word by word"
            )
        methods = found.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        return cls(
            authorization_endpoint=_url(found, "authorization_endpoint", issuer),
            token_endpoint=_url(found, "token_endpoint", issuer),
            jwks_uri=_url(found, "jwks_uri", issuer),
            userinfo_endpoint=_url(found, "userinfo_endpoint", issuer, is_needed=False),
            end_session_endpoint=_url(found, "end_session_endpoint", issuer, is_needed=False),
            tells_issuer=found.get("authorization_response_iss_parameter_supported") is True,
            is_basic=isinstance(methods, list) and "client_secret_basic" in methods,
        )


def is_safe_url(text: str) -> bool:
    """True for HTTPS, and for plain HTTP on this machine, which nobody on the way can read or change."""
    try:
        url = urlsplit(text)
        is_sound = bool(url.hostname) and url.port != 0 and not (url.username or url.password or url.fragment)
    except ValueError:
        return False
    is_here = url.scheme == "http" and _is_loopback(url.hostname or "")
    is_text = text.isascii() and text.isprintable() and " " not in text and len(text) <= MAX_URL
    return is_sound and is_text and (url.scheme == "https" or is_here)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _url(found: Mapping[str, Any], name: str, issuer: str, *, is_needed: bool = True) -> str:
    text = found.get(name)
    if text is None and not is_needed:
        return ""
    # An issuer on HTTPS leads nobody to plain HTTP on this machine.
    is_own_kind = isinstance(text, str) and (text.startswith("https:") or issuer.startswith("http:"))
    if not isinstance(text, str) or not is_own_kind or not is_safe_url(text):
        raise broken(issuer, f"names no address over HTTPS as its {name}")
    return text

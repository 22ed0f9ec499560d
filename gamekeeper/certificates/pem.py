"""PEM texts and the pin of a root, by the standard library alone: the agent imports this module."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import ssl
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from gamekeeper.errors import InvalidError

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]+?-----END CERTIFICATE-----")
SERVER_NAME = "gamekeeper"  # agents check this name, so that a server's address may change
MAX_PEM_CHARACTERS = 64 * 1024


def certificates_in(text: str) -> list[str]:
    """The certificates of a PEM text, in its order, each with a newline at its end."""
    return [found.group() + "\n" for found in _CERTIFICATE.finditer(text[:MAX_PEM_CHARACTERS])]


def pin_of(certificate_pem: str) -> str:
    """The pin of one certificate: the SHA-256 of its DER as base64url, 43 characters.

    Raises InvalidError for a text that is no certificate.
    """
    try:
        der = ssl.PEM_cert_to_DER_cert(certificate_pem)
    except ValueError as error:
        raise InvalidError(f"this is no certificate in PEM: {error}") from error
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()


def pinned_root(roots_pem: str, pin: str) -> str | None:
    """The certificate among ``roots_pem`` that has this pin, or None."""
    for certificate in certificates_in(roots_pem):
        if pin_of(certificate) == pin:
            return certificate
    return None


def served_certificates(folder: Path | None) -> list[str]:
    """The certificates that REST of this machine has shown, from the folder where its process keeps them."""
    found = []
    for path in sorted(folder.glob("*.pem")) if folder else []:
        with suppress(OSError):
            found += certificates_in(path.read_text())[:1]
    return found


def check_pair(key_pem: str, chain_pem: str, roots_pem: str) -> None:
    """Raises InvalidError for a certificate that is not this key's, and for texts that TLS can't use."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        with open(os.memfd_create("pair"), "w") as pair:  # TLS reads files alone, and the key goes into none
            pair.write(chain_pem + key_pem)
            pair.flush()
            context.load_cert_chain(f"/proc/self/fd/{pair.fileno()}")
        context.load_verify_locations(cadata=roots_pem)
    except (OSError, ValueError) as error:
        raise InvalidError(f"this certificate can't be used: {error}") from error


def trusting_one_of(certificates: Sequence[str], roots: str = "") -> ssl.SSLContext:
    """Trusts a server that shows just one of these, or one that ``roots`` lead to, whatever its name. For a server of
    this machine: an operator may have given it a certificate that is for another name than its address here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    trusted = "".join([*certificates, *certificates_in(roots)])
    if trusted:
        context.load_verify_locations(cadata=trusted)
    return context

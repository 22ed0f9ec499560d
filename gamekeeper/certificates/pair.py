"""A server's certificate with its key, from PEM that others made: by an operator's hand or by a public CA."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from gamekeeper.certificates.authority import OwnCertificate
from gamekeeper.certificates.pem import certificates_in
from gamekeeper.errors import InvalidError

NEAR = timedelta(days=14)


def read_pair(chain_pem: str, key_pem: str) -> OwnCertificate:
    """Raises InvalidError for a key and a chain that no server could use. Their time is not looked at."""
    chain, key = _chain(chain_pem), _key(key_pem)
    if key.public_key() != chain[0].public_key():
        fitting = any(item.public_key() == key.public_key() for item in chain)
        raise InvalidError(
            "the key does not belong to the first certificate",
            hint="put the server's certificate first, then those that lead to the root"
            if fitting
            else "give the key with which the certificate was requested",
        )
    if len(chain) > 1 and chain[0].issuer != chain[1].subject:
        raise InvalidError(
            f"the second certificate, {chain[1].subject.rfc4514_string()}, did not issue the first one",
            hint="put the server's certificate first, then those that lead to the root, each behind the one it issued",
        )
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return OwnCertificate(plain.decode(), "".join(certificates_in(chain_pem)), chain[0].not_valid_after_utc)


def is_near_its_end(chain_pem: str, now: datetime) -> bool:
    """True in the last quarter of the life of the first certificate, two weeks at most."""
    leaf = _chain(chain_pem)[0]
    return is_near(leaf.not_valid_before_utc, leaf.not_valid_after_utc, now)


def is_near(not_before: datetime, not_after: datetime, now: datetime, at_most: timedelta = NEAR) -> bool:
    return not_after - now < min(at_most, (not_after - not_before) / 4)


def renewal_of(chain_pem: str) -> datetime:
    """Two thirds of the life of the first certificate."""
    leaf = _chain(chain_pem)[0]
    return leaf.not_valid_before_utc + (leaf.not_valid_after_utc - leaf.not_valid_before_utc) * 2 / 3


def is_for(chain_pem: str, names: Sequence[str]) -> bool:
    """True when the first certificate is good for all these host names and addresses."""
    try:
        found = _chain(chain_pem)[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    addresses = {str(address) for address in found.get_values_for_type(x509.IPAddress)}
    return {*found.get_values_for_type(x509.DNSName), *addresses} >= {_canonical(name) for name in names}


def _canonical(name: str) -> str:
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower()


def _chain(chain_pem: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(chain_pem.encode())
    except ValueError as error:
        raise InvalidError("there is no certificate in PEM that can be read", hint="give fullchain.pem") from error


def _key(key_pem: str) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(key_pem.encode(), password=None)
    except TypeError as error:
        raise InvalidError(
            "the key is encrypted", hint="decrypt it: openssl pkey -in KEY -out key.pem, with mode 0600"
        ) from error
    except ValueError as error:
        raise InvalidError("there is no private key in PEM that can be read", hint="give privkey.pem") from error

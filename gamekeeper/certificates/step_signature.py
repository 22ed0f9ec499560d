"""Signs what a node is told to run, and checks it on the node.

Whoever reaches Temporal can write histories and hand out tasks. Without the key of a certificate that the fleet's own
roots vouch for, nothing of that makes a node start a container.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from gamekeeper.certificates.issuing import is_issued_by
from gamekeeper.errors import InvalidError

STEPS_URI = "gamekeeper://control/steps"
MAX_CHAIN_BYTES = 16 * 1024
MAX_CHAIN = 5
EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class Signature:
    """Ed25519 over a message, with the certificate of the key and those that lead from it to a root, as PEM."""

    value: bytes
    chain: bytes


class StepSigner:
    """Raises InvalidError for a key or a chain that can't be used."""

    def __init__(self, key_pem: bytes, chain_pem: bytes) -> None:
        try:
            key = serialization.load_pem_private_key(key_pem, password=None)
            leaf = x509.load_pem_x509_certificates(chain_pem)[0]
        except (ValueError, TypeError, IndexError) as error:
            raise InvalidError(f"the key that signs steps can't be read: {error}") from error
        if not isinstance(key, ed25519.Ed25519PrivateKey) or leaf.public_key() != key.public_key():
            raise InvalidError("the key that signs steps does not belong to its certificate")
        self._key = key
        self._chain = chain_pem

    def sign(self, message: bytes) -> Signature:
        return Signature(self._key.sign(message), self._chain)


@dataclass(frozen=True)
class _Vouched:
    """A key that the roots vouch for within these times; ``why_not`` says why they don't."""

    key: ed25519.Ed25519PublicKey | None = None
    not_before: datetime = EPOCH
    not_after: datetime = EPOCH
    why_not: str = ""


class StepVerifier:
    """``roots`` gives the roots that the node trusts now, as PEM."""

    def __init__(self, roots: Callable[[], str]) -> None:
        self._roots = roots

    def why_not(self, signature: Signature, message: bytes, now: datetime) -> str:
        """The reason not to trust this signature; empty for a good one."""
        vouched = _vouched(signature.chain, self._roots())
        if vouched.key is None:
            return vouched.why_not
        if not vouched.not_before <= now <= vouched.not_after:
            return f"its signer's certificate is not good at {now:%Y-%m-%d %H:%M} UTC, by this machine's clock"
        try:
            vouched.key.verify(signature.value, message)
        except InvalidSignature:
            return "its signature is of something else"
        return ""


@lru_cache(maxsize=16)
def _vouched(chain_pem: bytes, roots_pem: str) -> _Vouched:
    if len(chain_pem) > MAX_CHAIN_BYTES:
        return _Vouched(why_not="its signer's chain is too long")
    try:
        chain = x509.load_pem_x509_certificates(chain_pem)[:MAX_CHAIN]
        roots = x509.load_pem_x509_certificates(roots_pem.encode())
        names = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        key = chain[0].public_key()
    except (ValueError, x509.ExtensionNotFound) as error:
        return _Vouched(why_not=f"its signer's certificate can't be read: {error}")
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if uris != [STEPS_URI] or not isinstance(key, ed25519.Ed25519PublicKey):
        return _Vouched(why_not="its signer's certificate is not for steps")
    way = _way(chain, roots)
    if not way:
        return _Vouched(why_not="its signer is vouched for by none of the roots that this node trusts")
    return _Vouched(key, max(item.not_valid_before_utc for item in way), min(item.not_valid_after_utc for item in way))


def _way(chain: list[x509.Certificate], roots: list[x509.Certificate]) -> list[x509.Certificate]:
    """The certificates from the first of the chain to a root; empty where there is no way."""
    way, others = [chain[0]], chain[1:]
    while True:
        for root in roots:
            if is_issued_by(way[-1], root):
                return [*way, root]
        following = [item for item in others if _is_authority(item) and is_issued_by(way[-1], item)]
        if not following:
            return []
        way.append(following[0])
        others.remove(following[0])


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False

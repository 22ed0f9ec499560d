"""The agent's own key, and the request for a certificate that it signs with it.

``python -m gamekeeper.certificates.node_key FILE`` makes the key where there is none, and prints its fingerprint on a
line, then the request. The agent runs it as a child: the library costs 11 MB, and is needed for a moment in 16 hours.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gamekeeper.errors import GamekeeperError, InvalidError
from gamekeeper.whole_file import write_whole


def new_key() -> str:
    """A fresh P-256 key as PEM (PKCS8, not encrypted). BoringSSL takes no certificates with Ed25519 keys."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def csr(key_pem: str) -> str:
    """A request for a certificate for this key. It names nobody: the authority decides on the name.

    Raises InvalidError for a text that is no P-256 key.
    """
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(_load(key_pem), hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """The SHA-256 of a public key (its SubjectPublicKeyInfo), as hexadecimal digits."""
    info = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(info).hexdigest()


def own_fingerprint(key_pem: str) -> str:
    """The fingerprint of a private key's public half. Raises InvalidError for a text that is no P-256 key."""
    return fingerprint(_load(key_pem).public_key())


def _load(key_pem: str) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(key_pem.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise InvalidError(f"the node's key can't be read: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InvalidError("the node's key is no P-256 key")
    return key


def ensure_key(path: Path) -> str:
    """The key in ``path`` (mode 0600), made where there is none. Raises UnavailableError on a full disk."""
    if not path.exists():
        write_whole(path, new_key())
    return path.read_text()


def main() -> None:
    try:
        key = ensure_key(Path(sys.argv[1]))
        sys.stdout.write(f"{own_fingerprint(key)}\n{csr(key)}")
    except (GamekeeperError, OSError) as error:
        sys.exit(f"{sys.argv[1]}: {error}")


if __name__ == "__main__":
    main()

"""The files of an authority: reading them with an error for each that is wrong, and the lock for those who write.

An operator puts the files of an outside CA there by hand, so each mistake has words of its own.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gamekeeper.certificates.issuing import CaKey, is_issued_by
from gamekeeper.errors import InvalidError, UnavailableError

CHAIN, KEY, ROOTS, NEXT, LOCK = "ca.pem", "ca.key", "roots.pem", "next.pem", "lock"
MIN_PASSPHRASE = 16
_ENCRYPT = "encrypt it: openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out ca.key"
_ORDER = "put the certificate that signs first, then those that lead from it to the root"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time changes the folder. The lock of a process that was killed is free. Blocks.

    Raises UnavailableError where the lock's file can't be made.
    """
    try:
        file = open(folder / LOCK, "w")
    except OSError as error:
        raise UnavailableError(f"{folder / LOCK} can't be written: {error.strerror}") from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def read_key(path: Path, passphrase: str) -> CaKey:
    """Raises InvalidError for a key that can't be used, and for one that is not encrypted."""
    check_passphrase(passphrase)
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=passphrase.encode())
    except OSError as error:
        raise InvalidError(f"{path} can't be read: {error.strerror}") from error
    except TypeError as error:
        raise InvalidError(f"{path} is not encrypted", hint=_ENCRYPT) from error
    except ValueError as error:
        raise InvalidError(
            f"{path} can't be opened with this passphrase",
            hint="check GAMEKEEPER_CA_PASSPHRASE_FILE, and that the file holds an encrypted key as PEM (PKCS8)",
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise InvalidError(f"{path} is neither an EC key nor an RSA key")
    return key


def check_passphrase(passphrase: str) -> None:
    if not passphrase:
        raise InvalidError(
            "the CA has no passphrase",
            hint="make one: openssl rand -hex 32 > FILE, and name it with GAMEKEEPER_CA_PASSPHRASE_FILE",
        )
    if len(passphrase) < MIN_PASSPHRASE:
        raise InvalidError(
            f"the passphrase of the CA has less than {MIN_PASSPHRASE} characters", hint="make one: openssl rand -hex 32"
        )


def read_certificates(path: Path) -> list[x509.Certificate]:
    """Raises InvalidError for a file without a certificate."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise InvalidError(f"{path} can't be read: {error.strerror}") from error
    except ValueError as error:
        raise InvalidError(f"{path} holds no certificate that can be read") from error


def check_authority(
    folder: Path, key: CaKey, chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], now: datetime
) -> None:
    """Raises InvalidError for files that don't make an authority together."""
    if key.public_key() != chain[0].public_key():
        raise InvalidError(f"{folder / KEY} does not belong to the first certificate of {CHAIN}", hint=_ORDER)
    path = path_to_root(chain, roots)
    if not path:
        raise InvalidError(
            f"no root in {folder / ROOTS} signed the certificates of {CHAIN}, nor is the first of them among the roots",
            hint=_ORDER,
        )
    for below, certificate in enumerate(path):
        name = f"the certificate {certificate.subject.rfc4514_string() or '(without a name)'} of {folder}"
        _check_may_sign(name, certificate, below)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            is_over = now > certificate.not_valid_after_utc
            when = certificate.not_valid_after_utc if is_over else certificate.not_valid_before_utc
            raise InvalidError(
                f"{name} {'ended' if is_over else 'begins'} on {when:%Y-%m-%d %H:%M} UTC",
                hint="put a newer one there" if is_over else "check this machine's clock",
            )


def path_to_root(chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """The certificates from the first one to a root, which is the last. Empty where none leads there."""
    path, left = [chain[0]], list(chain[1:])
    while path[-1] not in roots:
        signer = next((item for item in [*roots, *left] if is_issued_by(path[-1], item)), None)
        if signer is None or signer in path:
            return []
        path.append(signer)
    return path


def _check_may_sign(name: str, certificate: x509.Certificate, below: int) -> None:
    """``below`` is the number of CA certificates between this one and what is issued."""
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        basic = x509.BasicConstraints(ca=False, path_length=None)
    if not basic.ca:
        raise InvalidError(f"{name} is not a CA's", hint="have it issued with basicConstraints=critical,CA:TRUE")
    if basic.path_length is not None and basic.path_length < below:
        raise InvalidError(
            f"{name} allows a path of {basic.path_length} CA certificates below it, and here {below} are",
            hint=f"have it issued with pathlen:{below} or more, or without pathlen",
        )
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not usage.key_cert_sign:
        raise InvalidError(f"{name} may not sign certificates", hint="have it issued with keyUsage=keyCertSign")

"""The authority of the control plane, in a folder: it issues the certificates of nodes and servers.

======================  ==================================================================================
``ca.pem``              the certificate that signs, then those that lead from it to older or outer roots
``ca.key``              its key, encrypted with a passphrase (PKCS8)
``roots.pem``           all roots that are trusted, the newest first
======================  ==================================================================================

An outside CA is used by putting these three files there. A rotation makes a new root, has the old one sign it for the
overlap, and trusts both until then: nothing has to be told to nodes at once, for each learns the new roots when it
renews its certificate.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from gamekeeper.certificates.issuing import (
    NODE_LIFETIME,
    SERVER_LIFETIME,
    Signer,
    cross_signed,
    is_issued_by,
    load_csr,
    new_signer,
    node_certificate,
    server_certificate,
    steps_certificate,
)
from gamekeeper.certificates.node_key import new_key
from gamekeeper.certificates.node_name import node_uri
from gamekeeper.certificates.pem import SERVER_NAME, pin_of
from gamekeeper.certificates.step_signature import STEPS_URI
from gamekeeper.errors import InvalidError
from gamekeeper.whole_file import write_whole

OVERLAP = timedelta(days=30)
MIN_PASSPHRASE = 16
STEPS_LIFETIME = timedelta(days=90)  # a signature may be as old as 30 days


@dataclass(frozen=True)
class Issued:
    """A node's certificate with what leads from it to the roots, as PEM."""

    chain_pem: str
    serial: int
    not_after: datetime


@dataclass(frozen=True)
class OwnCertificate:
    """A certificate of the control plane itself, with its key, as PEM."""

    key_pem: str
    chain_pem: str
    not_after: datetime


class Authority:
    """Made by ``open`` and ``ensure``. It holds the key in memory; ``is_replaced`` tells of others' rotations."""

    def __init__(
        self,
        folder: Path,
        signer: Signer,
        chain: Sequence[x509.Certificate],
        roots: Sequence[x509.Certificate],
        state: tuple[int, ...],
    ) -> None:
        self._folder = folder
        self._signer = signer
        self._chain = list(chain)
        self._roots = list(roots)
        self._state = state

    @classmethod
    def ensure(cls, folder: Path, passphrase: str, now: datetime) -> Authority:
        """The authority in ``folder``; a new one where there is none. Raises InvalidError, and UnavailableError when
        the disk takes no write. A kill in the middle leaves nothing that was used."""
        if not (folder / "ca.pem").exists():
            _check_passphrase(passphrase)
            signer = new_signer(now)
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_whole(folder / "ca.key", _encrypted(signer, passphrase))
            write_whole(folder / "roots.pem", _pem(signer.certificate))
            write_whole(folder / "ca.pem", _pem(signer.certificate))
        return cls.open(folder, passphrase)

    @classmethod
    def open(cls, folder: Path, passphrase: str) -> Authority:
        """Raises InvalidError for files that are not there, can't be read, or don't belong together."""
        _finish_rotation(folder, passphrase)
        state = _state(folder)
        chain, roots = _certificates(folder / "ca.pem"), _certificates(folder / "roots.pem")
        key = _key(folder / "ca.key", passphrase)
        if key.public_key() != chain[0].public_key():
            raise InvalidError(f"{folder}/ca.key does not belong to the first certificate of ca.pem")
        return cls(folder, Signer(key, chain[0]), chain, roots, state)

    @property
    def pin(self) -> str:
        """The pin of the newest root: join tokens carry it."""
        return pin_of(_pem(self._roots[0]))

    @property
    def is_replaced(self) -> bool:
        """True when the folder holds another authority than the one that was opened."""
        return _state(self._folder) != self._state

    def roots_pem(self, now: datetime) -> str:
        """The roots that are trusted now. One that was rotated out is gone when its overlap is over."""
        return "".join(_pem(root) for root in self._roots if self._is_trusted(root, now))

    def issue_node(
        self, csr: str, node_id: str, generation: int, now: datetime, lifetime: timedelta = NODE_LIFETIME
    ) -> Issued:
        """A certificate for the key of this request. Raises InvalidError for a request that is not good."""
        uri = node_uri(node_id, generation)
        certificate = node_certificate(self._signer, load_csr(csr), node_id, uri, now, lifetime)
        chain = _pem(certificate) + self._rest_of_chain(now)
        return Issued(chain, certificate.serial_number, certificate.not_valid_after_utc)

    def issue_server(
        self, names: Sequence[str], now: datetime, lifetime: timedelta = SERVER_LIFETIME
    ) -> OwnCertificate:
        """A key and a certificate for a server. It is good for ``gamekeeper`` and for these names and addresses."""
        key_pem = new_key()
        key = serialization.load_pem_private_key(key_pem.encode(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        certificate = server_certificate(self._signer, key, [SERVER_NAME, *names], now, lifetime)
        return OwnCertificate(key_pem, _pem(certificate) + self._rest_of_chain(now), certificate.not_valid_after_utc)

    def issue_steps(self, now: datetime, lifetime: timedelta = STEPS_LIFETIME) -> OwnCertificate:
        """A key and a certificate to sign what nodes are told to run."""
        key = ed25519.Ed25519PrivateKey.generate()
        certificate = steps_certificate(self._signer, key.public_key(), STEPS_URI, now, lifetime)
        chain = _pem(certificate) + self._rest_of_chain(now)
        return OwnCertificate(_plain_pem(key), chain, certificate.not_valid_after_utc)

    def rotate(self, passphrase: str, now: datetime, overlap: timedelta = OVERLAP) -> Authority:
        """A new root, trusted at once; the old one stays trusted for ``overlap``. A kill in the middle leaves the old
        authority or the new one."""
        _check_passphrase(passphrase)
        new = new_signer(now)
        cross = cross_signed(new, self._signer, now + overlap, now)
        older = [item for item in self._chain if not _is_self_signed(item) and item.not_valid_after_utc > now]
        chain = [new.certificate, cross, *older]
        roots = [new.certificate, *(root for root in self._roots if self._is_trusted(root, now))]
        write_whole(self._folder / "roots.pem", "".join(map(_pem, roots)))
        write_whole(self._folder / "next.pem", "".join(map(_pem, chain)))
        write_whole(self._folder / "ca.key", _encrypted(new, passphrase))
        return Authority.open(self._folder, passphrase)

    def _rest_of_chain(self, now: datetime) -> str:
        return "".join(
            _pem(item) for item in self._chain if not _is_self_signed(item) and item.not_valid_after_utc > now
        )

    def _is_trusted(self, root: x509.Certificate, now: datetime) -> bool:
        """A root that once signed the way to our own is trusted while one of those certificates is good."""
        ways = [item for item in self._chain if not _is_self_signed(item) and is_issued_by(item, root)]
        is_over = bool(ways) and all(item.not_valid_after_utc <= now for item in ways)
        return not is_over and root.not_valid_after_utc > now


def _state(folder: Path) -> tuple[int, ...]:
    """Differs after each write of the folder's certificates."""
    found = [path.stat() for name in ("ca.pem", "roots.pem") if (path := folder / name).exists()]
    return tuple(number for stat in found for number in (stat.st_ino, stat.st_mtime_ns, stat.st_size))


def _finish_rotation(folder: Path, passphrase: str) -> None:
    """``next.pem`` takes the place of ``ca.pem`` once ``ca.key`` is the key that it is about."""
    following = folder / "next.pem"
    if (
        following.exists()
        and _key(folder / "ca.key", passphrase).public_key() == _certificates(following)[0].public_key()
    ):
        with suppress(FileNotFoundError):  # another process did it
            following.replace(folder / "ca.pem")


def _key(path: Path, passphrase: str) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    _check_passphrase(passphrase)
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=passphrase.encode())
    except OSError as error:
        raise InvalidError(f"{path} can't be read: {error.strerror}") from error
    except TypeError as error:
        raise InvalidError(
            f"{path} is not encrypted", hint="encrypt it: openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out ca.key"
        ) from error
    except ValueError as error:
        raise InvalidError(f"{path} can't be opened with this passphrase", hint="check the passphrase file") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise InvalidError(f"{path} is neither an EC key nor an RSA key")
    return key


def _check_passphrase(passphrase: str) -> None:
    if len(passphrase) < MIN_PASSPHRASE:
        raise InvalidError(
            f"the passphrase of the CA has less than {MIN_PASSPHRASE} characters", hint="make one: openssl rand -hex 32"
        )


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise InvalidError(f"{path} can't be read: {error.strerror}") from error
    except ValueError as error:
        raise InvalidError(f"{path} holds no certificate that can be read") from error


def _encrypted(signer: Signer, passphrase: str) -> str:
    encryption = serialization.BestAvailableEncryption(passphrase.encode())
    return signer.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption).decode()


def _plain_pem(key: ed25519.Ed25519PrivateKey) -> str:
    none = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, none).decode()


def _is_self_signed(certificate: x509.Certificate) -> bool:
    return certificate.subject == certificate.issuer and is_issued_by(certificate, certificate)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()

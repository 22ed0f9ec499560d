"""The authority of the control plane, in a folder: it issues the certificates of nodes and servers.

======================  ==================================================================================
``ca.pem``              the certificate that signs, then those that lead from it to older or outer roots
``ca.key``              its key, encrypted with a passphrase (PKCS8)
``roots.pem``           all roots that are trusted, the newest first
``next.pem``            the ``ca.pem`` of a rotation that is going on, or was killed
======================  ==================================================================================

An outside CA is used by putting the first three there. A rotation makes a new root, has the old one sign it for the
overlap, and trusts both until then: nothing has to be told to nodes at once, for each learns the new roots when it
renews its certificate.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from gamekeeper.certificates.authority_files import (
    CHAIN,
    KEY,
    NEXT,
    ROOTS,
    check_authority,
    check_passphrase,
    locked,
    path_to_root,
    read_certificates,
    read_key,
)
from gamekeeper.certificates.issuing import (
    BACKDATED,
    CA_NAME,
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
from gamekeeper.errors import ConflictError
from gamekeeper.whole_file import write_whole

OVERLAP = timedelta(days=30)
MAX_ROOTS = 3  # each makes the chain of every certificate longer, and agents take chains of five
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


@dataclass(frozen=True)
class Root:
    """A root that is trusted. ``signs`` is the one to which new certificates lead; ``trusted_until`` is the end of the
    overlap for one that was rotated out."""

    name: str
    pin: str
    fingerprint: str
    made_at: datetime
    not_after: datetime
    trusted_until: datetime
    signs: bool


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
        if not (folder / CHAIN).exists():
            check_passphrase(passphrase)
            signer = new_signer(now)
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_whole(folder / KEY, _encrypted(signer, passphrase))
            write_whole(folder / ROOTS, _pem(signer.certificate))
            write_whole(folder / CHAIN, _pem(signer.certificate))
        return cls.open(folder, passphrase, now)

    @classmethod
    def open(cls, folder: Path, passphrase: str, now: datetime | None = None) -> Authority:
        """Raises InvalidError for files that are not there, can't be read, or don't belong together."""
        if (folder / NEXT).exists():
            with locked(folder):
                _settle_rotation(folder, passphrase)
        state = _state(folder)
        chain, roots = read_certificates(folder / CHAIN), read_certificates(folder / ROOTS)
        key = read_key(folder / KEY, passphrase)
        check_authority(folder, key, chain, roots, now or datetime.now(UTC))
        return cls(folder, Signer(key, chain[0]), chain, roots, state)

    @property
    def root(self) -> x509.Certificate:
        """The root to which new certificates lead."""
        return path_to_root(self._chain, self._roots)[-1]

    @property
    def ends_first(self) -> tuple[str, datetime, datetime]:
        """Name, begin and end of the certificate that ends first, of those from the one that signs to the root."""
        found = min(path_to_root(self._chain, self._roots), key=lambda item: item.not_valid_after_utc)
        return found.subject.rfc4514_string(), found.not_valid_before_utc, found.not_valid_after_utc

    @property
    def pin(self) -> str:
        """The pin of that root: join tokens carry it."""
        return pin_of(_pem(self.root))

    @property
    def key_id(self) -> str:
        """Names the key that signs; what it issued carries it (``NodeCertificate.issuer``)."""
        return x509.SubjectKeyIdentifier.from_public_key(self._signer.key.public_key()).digest.hex()

    @property
    def is_outside(self) -> bool:
        """True when another CA signed this one: a rotation is then that CA's matter."""
        return not _is_self_signed(self._chain[0])

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

    def roots(self, now: datetime) -> list[Root]:
        """The roots that are trusted now, the newest first."""
        return [self._described(root) for root in self._roots if self._is_trusted(root, now)]

    def rotate(self, passphrase: str, now: datetime, overlap: timedelta = OVERLAP) -> Authority:
        """A new root, trusted at once; the old one stays trusted for ``overlap``. A kill in the middle leaves the old
        authority or the new one. Blocks while another process rotates.

        Raises ConflictError for an outside CA, for too many roots in their overlap, and when another process was first.
        """
        check_passphrase(passphrase)
        with locked(self._folder):
            self._check_may_rotate(now)
            new = new_signer(now)
            cross = cross_signed(new, self._signer, now + overlap, now)
            older = [item for item in self._chain if not _is_self_signed(item) and item.not_valid_after_utc > now]
            chain = [new.certificate, cross, *older]
            roots = [new.certificate, *(root for root in self._roots if self._is_trusted(root, now))]
            write_whole(self._folder / NEXT, "".join(map(_pem, chain)))
            write_whole(self._folder / ROOTS, "".join(map(_pem, roots)))
            write_whole(self._folder / KEY, _encrypted(new, passphrase))
            _settle_rotation(self._folder, passphrase)
        return Authority.open(self._folder, passphrase, now)

    def tidy(self, now: datetime) -> None:
        """Takes the roots whose overlap is over out of the file, for those who read it there. Raises UnavailableError.

        The authority itself trusts them no longer anyway.
        """
        kept = [root for root in self._roots if self._is_trusted(root, now)]
        if len(kept) == len(self._roots) or self.is_replaced:
            return
        with locked(self._folder):
            if not self.is_replaced:
                write_whole(self._folder / ROOTS, "".join(map(_pem, kept)))
                self._roots, self._state = kept, _state(self._folder)

    def _check_may_rotate(self, now: datetime) -> None:
        if self.is_replaced:
            raise ConflictError("the CA was rotated by somebody else just now", hint="gamekeeper ca show")
        if self.is_outside:
            raise ConflictError(
                "this CA was signed by another one, whose matter a rotation is",
                hint="have that CA issue a new certificate, and put it there as docs/certificates.md says",
            )
        trusted = self.roots(now)
        if len(trusted) >= MAX_ROOTS:
            until = min(root.trusted_until for root in trusted)
            raise ConflictError(
                f"{len(trusted)} roots are trusted at once, and more is too much for agents",
                hint=f"the oldest is out on {until:%Y-%m-%d}; rotate after that",
            )

    def _described(self, root: x509.Certificate) -> Root:
        pem = _pem(root)
        signs = root == self.root
        ends = [item.not_valid_after_utc for item in self._ways_from(root)]
        return Root(
            name=root.subject.rfc4514_string(),
            pin=pin_of(pem),
            fingerprint=root.fingerprint(hashes.SHA256()).hex(":").upper(),
            made_at=root.not_valid_before_utc + (BACKDATED if _is_own(root) else timedelta()),
            not_after=root.not_valid_after_utc,
            trusted_until=root.not_valid_after_utc if signs or not ends else max(ends),
            signs=signs,
        )

    def _rest_of_chain(self, now: datetime) -> str:
        return "".join(
            _pem(item) for item in self._chain if not _is_self_signed(item) and item.not_valid_after_utc > now
        )

    def _is_trusted(self, root: x509.Certificate, now: datetime) -> bool:
        """A root that once signed the way to our own is trusted while one of those certificates is good."""
        ways = self._ways_from(root)
        is_over = bool(ways) and all(item.not_valid_after_utc <= now for item in ways)
        return not is_over and root.not_valid_after_utc > now

    def _ways_from(self, root: x509.Certificate) -> list[x509.Certificate]:
        return [item for item in self._chain if not _is_self_signed(item) and is_issued_by(item, root)]


def _state(folder: Path) -> tuple[int, ...]:
    """Differs after each write of the folder's certificates."""
    found = [path.stat() for name in (CHAIN, ROOTS) if (path := folder / name).exists()]
    return tuple(number for stat in found for number in (stat.st_ino, stat.st_mtime_ns, stat.st_size))


def _settle_rotation(folder: Path, passphrase: str) -> None:
    """``next.pem`` takes the place of ``ca.pem`` once ``ca.key`` is the key that it is about. Before that the rotation
    was killed: its root, whose key nobody has, is trusted no longer. Called with the lock held."""
    following = folder / NEXT
    if not following.exists():  # another process did it
        return
    new = read_certificates(following)[0]
    if read_key(folder / KEY, passphrase).public_key() == new.public_key():
        following.replace(folder / CHAIN)
        return
    roots = read_certificates(folder / ROOTS)
    if new in roots:
        write_whole(folder / ROOTS, "".join(_pem(root) for root in roots if root != new))
    with suppress(FileNotFoundError):
        following.unlink()


def _encrypted(signer: Signer, passphrase: str) -> str:
    encryption = serialization.BestAvailableEncryption(passphrase.encode())
    return signer.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption).decode()


def _plain_pem(key: ed25519.Ed25519PrivateKey) -> str:
    none = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, none).decode()


def _is_self_signed(certificate: x509.Certificate) -> bool:
    return certificate.subject == certificate.issuer and is_issued_by(certificate, certificate)


def _is_own(root: x509.Certificate) -> bool:
    return root.subject.rfc4514_string().startswith(f"CN={CA_NAME} ")


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()

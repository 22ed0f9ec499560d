"""The authority: both peers of the node link take its certificates, and nothing else, also while it is rotated."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gamekeeper.certificates import authority as module
from gamekeeper.certificates.authority import OVERLAP, Authority
from gamekeeper.certificates.issuing import (
    NODE_LIFETIME,
    Signer,
    load_csr,
    node_certificate,
)
from gamekeeper.certificates.node_key import csr, new_key
from gamekeeper.certificates.node_name import read_node
from gamekeeper.certificates.pem import certificates_in, pin_of, pinned_root
from gamekeeper.errors import ConflictError, InvalidError
from gamekeeper.whole_file import write_whole
from tests.gamekeeper.certificates.handshake import shake_hands

PASSPHRASE = "a passphrase of the tests"
DAY = timedelta(days=1)


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def authority(tmp_path: Path, now: datetime) -> Authority:
    return Authority.ensure(tmp_path / "ca", PASSPHRASE, now)


def node(authority: Authority, now: datetime) -> tuple[str, str]:
    key = new_key()
    return key, authority.issue_node(csr(key), "edge-1", 3, now).chain_pem


def server(authority: Authority, now: datetime) -> tuple[str, str]:
    made = authority.issue_server(["192.0.2.1", "example.org"], now)
    return made.key_pem, made.chain_pem


def pinned(authority: Authority, now: datetime) -> str:
    """The root that a token of this authority leads to."""
    root = pinned_root(authority.roots_pem(now), authority.pin)
    assert root is not None
    return root


def meet(authority: Authority, now: datetime, client: tuple[str, str], name: str = "gamekeeper") -> None:
    roots = authority.roots_pem(now)
    shake_hands(server=server(authority, now), client=client, server_trusts=roots, client_trusts=roots, name=name)


def test_a_node_and_a_server_take_each_other(authority: Authority, now: datetime) -> None:
    client = node(authority, now)
    for name in ("gamekeeper", "192.0.2.1", "example.org"):
        meet(authority, now, client, name)
    with pytest.raises(ssl.SSLError, match="mismatch"):
        meet(authority, now, client, "example.net")


def test_a_node_certificate_names_its_node_and_generation_for_a_day(authority: Authority, now: datetime) -> None:
    key = new_key()
    issued = authority.issue_node(csr(key), "edge-1", 3, now)
    read = read_node(issued.chain_pem.encode())
    assert (read.node_id, read.generation, read.not_after) == ("edge-1", 3, issued.not_after)
    certificate = x509.load_pem_x509_certificate(issued.chain_pem.encode())
    assert certificate.serial_number == issued.serial
    assert certificate.not_valid_after_utc - now <= NODE_LIFETIME
    assert certificate.not_valid_before_utc < now


def test_a_certificate_of_another_ca_is_refused(tmp_path: Path, authority: Authority, now: datetime) -> None:
    other = Authority.ensure(tmp_path / "other", PASSPHRASE, now)
    with pytest.raises(ssl.SSLError, match="unable to get local issuer"):
        meet(authority, now, node(other, now))
    roots, others = authority.roots_pem(now), other.roots_pem(now)
    with pytest.raises(ssl.SSLError, match="self-signed certificate in certificate chain"):  # not the pinned server
        shake_hands(server=server(other, now), client=node(authority, now), server_trusts=others, client_trusts=roots)


@pytest.mark.parametrize(("moved", "reason"), [(-2 * DAY, "has expired"), (2 * DAY, "not yet valid")])
def test_a_certificate_of_another_time_is_refused(
    authority: Authority, now: datetime, moved: timedelta, reason: str
) -> None:
    with pytest.raises(ssl.SSLError, match=reason):
        meet(authority, now, node(authority, now + moved))


def test_a_node_is_no_server_and_a_server_is_no_node(authority: Authority, now: datetime) -> None:
    roots = authority.roots_pem(now)
    with pytest.raises(ssl.SSLError, match="unsuitable certificate purpose"):
        meet(authority, now, server(authority, now))
    with pytest.raises(ssl.SSLError, match="unsuitable certificate purpose"):
        shake_hands(server=node(authority, now), client=node(authority, now), server_trusts=roots, client_trusts=roots)


def test_a_node_signs_nothing(authority: Authority, now: datetime) -> None:
    """A node's certificate as an authority: the chain is refused, whatever it signs."""
    key_pem, chain = node(authority, now)
    key = serialization.load_pem_private_key(key_pem.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signer = Signer(key, x509.load_pem_x509_certificate(chain.encode()))
    mine = new_key()
    forged = node_certificate(signer, load_csr(csr(mine)), "edge-2", "gamekeeper://node/edge-2/1", now)
    forged_pem = forged.public_bytes(serialization.Encoding.PEM).decode()
    with pytest.raises(ssl.SSLError, match="invalid CA certificate"):
        meet(authority, now, (mine, forged_pem + chain))


def test_the_key_is_encrypted_and_only_the_passphrase_opens_it(tmp_path: Path, authority: Authority) -> None:
    text = (tmp_path / "ca" / "ca.key").read_text()
    assert "BEGIN ENCRYPTED PRIVATE KEY" in text
    assert (tmp_path / "ca" / "ca.key").stat().st_mode & 0o077 == 0
    assert Authority.open(tmp_path / "ca", PASSPHRASE).pin == authority.pin
    with pytest.raises(InvalidError, match="can't be opened with this passphrase"):
        Authority.open(tmp_path / "ca", "a passphrase of others")
    with pytest.raises(InvalidError, match="less than 16 characters"):
        Authority.ensure(tmp_path / "new", "short", datetime.now(UTC))
    assert not (tmp_path / "new").exists()


def test_a_key_in_clear_is_refused(tmp_path: Path, authority: Authority) -> None:
    (tmp_path / "ca" / "ca.key").write_text(new_key())
    with pytest.raises(InvalidError, match="is not encrypted"):
        Authority.open(tmp_path / "ca", PASSPHRASE)


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path, authority: Authority, now: datetime) -> None:
    Authority.ensure(tmp_path / "other", PASSPHRASE, now)
    (tmp_path / "other" / "ca.key").replace(tmp_path / "ca" / "ca.key")
    with pytest.raises(InvalidError, match="does not belong"):
        Authority.open(tmp_path / "ca", PASSPHRASE)
    (tmp_path / "ca" / "roots.pem").write_text("nothing")
    with pytest.raises(InvalidError, match="no certificate that can be read"):
        Authority.open(tmp_path / "ca", PASSPHRASE)
    (tmp_path / "ca" / "roots.pem").unlink()
    with pytest.raises(InvalidError, match="can't be read: No such file"):
        Authority.open(tmp_path / "ca", PASSPHRASE)


def test_an_authority_that_is_there_is_kept(tmp_path: Path, authority: Authority, now: datetime) -> None:
    assert Authority.ensure(tmp_path / "ca", PASSPHRASE, now + DAY).pin == authority.pin
    assert pin_of(certificates_in(authority.roots_pem(now))[0]) == authority.pin


def test_a_start_that_was_killed_is_begun_again(tmp_path: Path, authority: Authority, now: datetime) -> None:
    (tmp_path / "ca" / "ca.pem").unlink()
    again = Authority.ensure(tmp_path / "ca", PASSPHRASE, now)
    assert again.pin != authority.pin
    meet(again, now, node(again, now))


def test_a_rotation_leaves_nobody_out(authority: Authority, now: datetime) -> None:
    """Old and new nodes meet old and new servers, each with the roots that it has learnt."""
    old_roots, old_node, old_server = authority.roots_pem(now), node(authority, now), server(authority, now)
    rotated = authority.rotate(PASSPHRASE, now)
    roots = rotated.roots_pem(now)
    assert rotated.pin != authority.pin
    new_node, new_server = node(rotated, now), server(rotated, now)
    for serving, calling, server_trusts, client_trusts in (
        (new_server, old_node, roots, old_roots),  # a node that has not renewed yet
        (new_server, new_node, roots, roots),  # one that has
        (new_server, new_node, roots, certificates_in(roots)[0]),  # one that joined with the new pin
        (new_server, old_node, roots, certificates_in(old_roots)[0]),  # one whose token has the old pin
        (old_server, new_node, old_roots, roots),  # a process that has not seen the rotation yet
    ):
        shake_hands(server=serving, client=calling, server_trusts=server_trusts, client_trusts=client_trusts)


def test_a_root_that_was_rotated_out_ends_with_the_overlap(tmp_path: Path, now: datetime) -> None:
    before = now - OVERLAP - DAY
    authority = Authority.ensure(tmp_path / "ca", PASSPHRASE, before)
    rotated = authority.rotate(PASSPHRASE, before)
    assert len(certificates_in(rotated.roots_pem(before))) == 2
    again = rotated.rotate(PASSPHRASE, now - DAY)
    assert len(certificates_in(again.roots_pem(now))) == 2, "the newest and the one before"
    late = node(authority, now)
    with pytest.raises(ssl.SSLError, match="unable to get local issuer"):
        meet(again, now, late)
    meet(again, now, node(rotated, now))
    assert len(certificates_in(node(again, now)[1])) == 2, "no certificate whose overlap is over goes along"


def test_two_rotations_within_one_overlap(authority: Authority, now: datetime) -> None:
    first, old_roots = node(authority, now), authority.roots_pem(now)
    third = authority.rotate(PASSPHRASE, now).rotate(PASSPHRASE, now)
    assert len(certificates_in(third.roots_pem(now))) == 3
    shake_hands(server=server(third, now), client=first, server_trusts=third.roots_pem(now), client_trusts=old_roots)


@pytest.mark.parametrize("killed_after", ["next.pem", "roots.pem", "ca.key"])
def test_a_rotation_that_was_killed_leaves_a_whole_authority(
    tmp_path: Path, authority: Authority, now: datetime, killed_after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def write_and_die(path: Path, text: str) -> None:
        write_whole(path, text)
        if path.name == killed_after:
            raise Killed

    old = node(authority, now)
    with monkeypatch.context() as patched:
        patched.setattr(module, "write_whole", write_and_die)
        with pytest.raises(Killed):
            authority.rotate(PASSPHRASE, now)
    again = Authority.open(tmp_path / "ca", PASSPHRASE)
    meet(again, now, old)
    meet(again, now, node(again, now))
    is_done = killed_after == "ca.key"
    assert len(again.roots(now)) == (2 if is_done else 1), "a root whose key nobody has is not trusted"
    assert (again.pin == authority.pin) is not is_done
    shake_hands(
        server=server(again, now), client=old, server_trusts=again.roots_pem(now), client_trusts=pinned(again, now)
    )
    later = again.rotate(PASSPHRASE, now)
    meet(later, now, old)


def test_no_more_roots_than_agents_take_and_the_oldest_is_tidied_away(
    tmp_path: Path, authority: Authority, now: datetime
) -> None:
    third = authority.rotate(PASSPHRASE, now, 5 * DAY).rotate(PASSPHRASE, now, 9 * DAY)
    with pytest.raises(ConflictError, match="3 roots are trusted at once") as caught:
        third.rotate(PASSPHRASE, now)
    assert f"the oldest is out on {now + 5 * DAY:%Y-%m-%d}" in caught.value.hint
    later = now + 6 * DAY
    third.tidy(later)
    assert not third.is_replaced
    kept = (tmp_path / "ca" / "roots.pem").read_text()
    assert kept == third.roots_pem(later)
    assert [root.trusted_until.date() for root in third.roots(later)][1:] == [(now + 9 * DAY).date()]
    assert third.rotate(PASSPHRASE, later).pin != third.pin


def test_of_two_who_rotate_at_once_one_does(authority: Authority, now: datetime) -> None:
    authority.rotate(PASSPHRASE, now)
    with pytest.raises(ConflictError, match="rotated by somebody else"):
        authority.rotate(PASSPHRASE, now)

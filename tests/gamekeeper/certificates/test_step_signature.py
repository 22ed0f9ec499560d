"""The signature of what a node is told to run: good from this fleet's authority alone, and for steps alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from gamekeeper.certificates.authority import STEPS_LIFETIME, Authority
from gamekeeper.certificates.issuing import BACKDATED, Signer, steps_certificate
from gamekeeper.certificates.node_key import csr, new_key
from gamekeeper.certificates.pem import certificates_in
from gamekeeper.certificates.step_signature import STEPS_URI, Signature, StepSigner, StepVerifier
from gamekeeper.errors import InvalidError

PASSPHRASE = "a passphrase of the tests"
NOW = datetime(2030, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.ensure(tmp_path / "ca", PASSPHRASE, NOW)


def signer(authority: Authority, now: datetime = NOW) -> StepSigner:
    made = authority.issue_steps(now)
    return StepSigner(made.key_pem.encode(), made.chain_pem.encode())


def why_not(authority: Authority, signature: Signature, message: bytes = b"run", now: datetime = NOW) -> str:
    return StepVerifier(lambda: authority.roots_pem(NOW)).why_not(signature, message, now)


def test_a_signature_is_good_for_its_own_message(authority: Authority) -> None:
    signature = signer(authority).sign(b"run")
    assert why_not(authority, signature) == ""
    assert why_not(authority, signature, b"ruN") == "its signature is of something else"
    assert "something else" in why_not(authority, Signature(signature.value[::-1], signature.chain))
    assert "something else" in why_not(authority, Signature(b"", signature.chain))


@pytest.mark.parametrize(
    ("age", "is_good"),
    [(-BACKDATED, True), (-BACKDATED - DAY, False), (STEPS_LIFETIME, True), (STEPS_LIFETIME + DAY, False)],
)
def test_a_certificate_is_good_for_its_time(authority: Authority, age: timedelta, is_good: bool) -> None:
    reason = why_not(authority, signer(authority).sign(b"run"), now=NOW + age)
    assert (reason == "") is is_good
    assert is_good or "by this machine's clock" in reason


def test_another_fleets_authority_vouches_for_nothing(authority: Authority, tmp_path: Path) -> None:
    other = Authority.ensure(tmp_path / "other", PASSPHRASE, NOW)
    assert "none of the roots" in why_not(authority, signer(other).sign(b"run"))


def test_a_nodes_certificate_signs_no_steps(authority: Authority) -> None:
    """Its own key is on a machine that may have been taken over."""
    chain = authority.issue_node(csr(new_key()), "edge-1", 1, NOW).chain_pem
    made = authority.issue_steps(NOW)
    with pytest.raises(InvalidError, match="does not belong"):
        StepSigner(made.key_pem.encode(), chain.encode())
    good = signer(authority).sign(b"run")
    assert "is not for steps" in why_not(authority, Signature(good.value, chain.encode()))


def test_a_node_can_not_make_a_signer(authority: Authority) -> None:
    """A node's certificate is no authority, whatever it signs."""
    key = new_key()
    chain = authority.issue_node(csr(key), "edge-1", 1, NOW).chain_pem
    node_key = serialization.load_pem_private_key(key.encode(), password=None)
    leaf = x509.load_pem_x509_certificate(chain.encode())
    own = ed25519.Ed25519PrivateKey.generate()
    forged = steps_certificate(Signer(node_key, leaf), own.public_key(), STEPS_URI, NOW, DAY)  # type: ignore[arg-type]
    pem = forged.public_bytes(serialization.Encoding.PEM) + chain.encode()
    assert "none of the roots" in why_not(authority, Signature(own.sign(b"run"), pem))


@pytest.mark.parametrize("chain", [b"", b"words", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_chain_that_is_none_is_told(authority: Authority, chain: bytes) -> None:
    assert "can't be read" in why_not(authority, Signature(b"", chain))
    assert "too long" in why_not(authority, Signature(b"", chain + b" " * 20_000))


def test_both_roots_are_good_while_they_overlap(authority: Authority, tmp_path: Path) -> None:
    before = signer(authority).sign(b"run")
    old_roots = authority.roots_pem(NOW)
    rotated = authority.rotate(PASSPHRASE, NOW)
    after = signer(rotated).sign(b"run")
    assert len(certificates_in(after.chain.decode())) == 2
    for roots in (old_roots, rotated.roots_pem(NOW)):
        for signature in (before, after):
            assert StepVerifier(lambda roots=roots: roots).why_not(signature, b"run", NOW) == ""  # type: ignore[misc]


def test_a_key_that_can_not_be_read_is_told(authority: Authority) -> None:
    made = authority.issue_steps(NOW)
    for key, chain in ((b"", made.chain_pem.encode()), (made.key_pem.encode(), b""), (new_key().encode(), b"x")):
        with pytest.raises(InvalidError, match="signs steps"):
            StepSigner(key, chain)

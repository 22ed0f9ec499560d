"""Requests for certificates: a good one is taken for its key alone, and no other is taken."""

from __future__ import annotations

import base64
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from gamekeeper.certificates.authority import Authority
from gamekeeper.certificates.node_key import csr, ensure_key, new_key
from gamekeeper.certificates.node_name import node_of, read_node
from gamekeeper.certificates.pem import certificates_in, pin_of, pinned_root
from gamekeeper.errors import InvalidError, TooLargeError, UnauthenticatedError

PASSPHRASE = "a passphrase of the tests"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.ensure(tmp_path_factory.mktemp("ca"), PASSPHRASE, datetime.now(UTC))


def issue(authority: Authority, request: str) -> str:
    return authority.issue_node(request, "edge-1", 1, datetime.now(UTC)).chain_pem


def altered(request: str) -> str:
    """The same request for another key: one bit of the public key's last byte differs, and the signature is the old."""
    der = bytearray(x509.load_pem_x509_csr(request.encode()).public_bytes(serialization.Encoding.DER))
    point = (
        x509.load_pem_x509_csr(request.encode())
        .public_key()
        .public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    )
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    der[der.index(point) : der.index(point) + len(point)] = other.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    body = base64.encodebytes(bytes(der)).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----\n"


def signed_by(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def of_ed25519() -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    request = builder.sign(ed25519.Ed25519PrivateKey.generate(), None)
    return request.public_bytes(serialization.Encoding.PEM).decode()


def test_an_altered_request_is_refused(authority: Authority) -> None:
    request = csr(new_key())
    issue(authority, request)
    with pytest.raises(InvalidError, match="signature is wrong"):
        issue(authority, altered(request))


@pytest.mark.parametrize(
    "request_pem",
    ["", "no PEM", new_key(), signed_by(ec.generate_private_key(ec.SECP384R1())), of_ed25519(), "\ud800", "²"],
    ids=["empty", "no PEM", "a key", "P-384", "Ed25519", "a surrogate", "not ASCII"],
)
def test_what_is_no_request_for_a_p256_key_is_refused(authority: Authority, request_pem: str) -> None:
    with pytest.raises(InvalidError, match="certificate request"):
        issue(authority, request_pem)


def test_an_rsa_request_is_refused(authority: Authority) -> None:
    with pytest.raises(InvalidError, match="no P-256 key"):
        issue(authority, signed_by(rsa.generate_private_key(65537, 2048)))


def test_a_request_has_a_size(authority: Authority) -> None:
    with pytest.raises(TooLargeError, match="over 4096"):
        issue(authority, csr(new_key()) + "\n" * 4096)


def test_nothing_of_a_request_but_its_key_is_taken(authority: Authority) -> None:
    """Wishes of the requester: another node's name, an authority's rights."""
    key = ec.generate_private_key(ec.SECP256R1())
    wish = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "edge-2")]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier("gamekeeper://node/edge-2/9")]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    chain = issue(authority, wish.public_bytes(serialization.Encoding.PEM).decode())
    read = read_node(chain.encode())
    assert (read.node_id, read.generation) == ("edge-1", 1)
    made = x509.load_pem_x509_certificate(chain.encode())
    assert made.public_key() == key.public_key()
    assert made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False


def test_the_node_behind_a_call_is_the_one_of_its_certificate(authority: Authority) -> None:
    chain = issue(authority, csr(new_key())).encode()
    assert node_of({"x509_pem_cert": [chain], "x509_common_name": [b"edge-2"]}).node_id == "edge-1"
    server = authority.issue_server([], datetime.now(UTC))
    others: list[list[bytes]] = [[], [server.chain_pem.encode()], [b""]]
    for certificates in others:
        with pytest.raises(UnauthenticatedError):
            node_of({"x509_pem_cert": certificates})
    with pytest.raises(UnauthenticatedError):
        node_of({})


def test_the_key_is_made_once_and_is_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "node.key"
    command = [sys.executable, "-m", "gamekeeper.certificates.node_key", str(path)]
    first, second = (subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2))
    keys = [x509.load_pem_x509_csr(text.encode()).public_key() for text in (first, second)]
    assert keys[0] == keys[1]
    assert path.stat().st_mode & 0o777 == 0o600
    assert ensure_key(path) == path.read_text()


def test_a_key_that_can_not_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "node.key"
    path.write_text("nothing")
    command = [sys.executable, "-m", "gamekeeper.certificates.node_key", str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"{path}: the node's key can't be read")
    assert "Traceback" not in ended.stderr


def test_a_pin_finds_its_root_alone(authority: Authority) -> None:
    roots = authority.roots_pem(datetime.now(UTC))
    server = authority.issue_server([], datetime.now(UTC)).chain_pem
    text = server + "text between\r\n" + roots.replace("\n", "\r\n")
    assert len(certificates_in(text)) == 2
    found = pinned_root(text, authority.pin)
    assert found is not None
    assert pin_of(found) == authority.pin
    assert pinned_root(server, authority.pin) is None
    assert pinned_root("", authority.pin) is None
    with pytest.raises(InvalidError, match="no certificate"):
        pin_of("nothing")

"""Builds certificates: roots, cross-signed roots, servers' and nodes'. Pure: no files, and the time is an argument."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gamekeeper.certificates.node_key import fingerprint
from gamekeeper.errors import InvalidError, TooLargeError

CaKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
CA_NAME = "Gamekeeper CA"  # then a number
MAX_CSR_CHARACTERS = 4096
ROOT_LIFETIME = timedelta(days=3650)
SERVER_LIFETIME = timedelta(days=90)
NODE_LIFETIME = timedelta(hours=24)
NODE_BACKDATED = timedelta(minutes=5)
# Agents check these with their own clocks, which may be days behind.
BACKDATED = timedelta(days=7)


@dataclass(frozen=True)
class Signer:
    key: CaKey
    certificate: x509.Certificate


def new_signer(now: datetime) -> Signer:
    """A root of its own: key and self-signed certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"{CA_NAME} {secrets.token_hex(4)}")
    builder = _builder(name, key.public_key(), now - BACKDATED, now + ROOT_LIFETIME)
    return Signer(key, _as_authority(builder, key.public_key()).issuer_name(name).sign(key, hashes.SHA256()))


def cross_signed(new: Signer, old: Signer, not_after: datetime, now: datetime) -> x509.Certificate:
    """The new root's name and key, signed by the old root: whoever trusts the old one still finds a way."""
    builder = _builder(new.certificate.subject, new.certificate.public_key(), now - BACKDATED, not_after)
    builder = _as_authority(builder, new.certificate.public_key())
    return _signed(builder, old)


def server_certificate(
    signer: Signer, key: ec.EllipticCurvePrivateKey, names: Sequence[str], now: datetime, lifetime: timedelta
) -> x509.Certificate:
    """For a server that is reached by these names and addresses."""
    found = list(dict.fromkeys(names))
    not_after = min(now + lifetime, signer.certificate.not_valid_after_utc)
    builder = (
        _builder(_name(found[0]), key.public_key(), now - BACKDATED, not_after)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in found]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    return _signed(_as_leaf(builder), signer)


def node_certificate(
    signer: Signer,
    request: x509.CertificateSigningRequest,
    node_id: str,
    uri: str,
    now: datetime,
    lifetime: timedelta = NODE_LIFETIME,
) -> x509.Certificate:
    """For the key of a request. Nothing else of the request is taken over."""
    not_after = min(now + lifetime, signer.certificate.not_valid_after_utc)
    builder = (
        _builder(_name(node_id), _public_key(request), now - NODE_BACKDATED, not_after)
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    )
    return _signed(_as_leaf(builder), signer)


def steps_certificate(
    signer: Signer, key: ed25519.Ed25519PublicKey, uri: str, now: datetime, lifetime: timedelta
) -> x509.Certificate:
    """For the key that signs what nodes are told to run."""
    not_after = min(now + lifetime, signer.certificate.not_valid_after_utc)
    builder = _builder(_name("steps"), key, now - BACKDATED, not_after).add_extension(
        x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False
    )
    return _signed(_as_leaf(builder), signer)


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def load_csr(text: str) -> x509.CertificateSigningRequest:
    """A request whose signature is good and whose key is P-256. Raises InvalidError and TooLargeError."""
    if len(text) > MAX_CSR_CHARACTERS:
        raise TooLargeError(f"the certificate request is over {MAX_CSR_CHARACTERS} characters")
    try:
        request = x509.load_pem_x509_csr(text.encode())
        is_signed = request.is_signature_valid
        _public_key(request)
    except ValueError as error:
        raise InvalidError("the certificate request can't be read") from error
    if not is_signed:
        raise InvalidError(
            "the certificate request's signature is wrong", hint="make a new one with the node's own key"
        )
    return request


def csr_fingerprint(request: x509.CertificateSigningRequest) -> str:
    """The SHA-256 of the request's public key (its SubjectPublicKeyInfo), as hexadecimal digits."""
    return fingerprint(_public_key(request))


def _public_key(request: x509.CertificateSigningRequest) -> ec.EllipticCurvePublicKey:
    try:
        key = request.public_key()
    except Exception as error:  # the library has one of its own for algorithms that it does not know
        raise InvalidError("the key of the certificate request can't be read") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InvalidError("the key of the certificate request is no P-256 key")
    return key


def _builder(
    subject: x509.Name, key: CertificatePublicKeyTypes, not_before: datetime, not_after: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )


def _as_authority(builder: x509.CertificateBuilder, key: CertificatePublicKeyTypes) -> x509.CertificateBuilder:
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _as_leaf(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    return builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True).add_extension(
        _usage(signs_certificates=False), critical=True
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _signed(builder: x509.CertificateBuilder, signer: Signer) -> x509.Certificate:
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key())
    return (
        builder.issuer_name(signer.certificate.subject)
        .add_extension(identifier, critical=False)
        .sign(signer.key, hashes.SHA256())
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name)
    except ValueError as error:
        raise InvalidError(f"{name!r} can't stand in a certificate", hint="give a host name in ASCII") from error

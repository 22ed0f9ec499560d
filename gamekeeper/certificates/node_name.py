"""The name of a node in its certificate: one function reads it, for the node link and for the gateway."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography import x509

from gamekeeper.errors import UnauthenticatedError

PEM_PROPERTY = "x509_pem_cert"  # of gRPC's auth_context
MAX_GENERATION = 2**31 - 1
_URI = re.compile(r"gamekeeper://node/(?P<node>[a-z0-9-]{1,63})/(?P<generation>0|[1-9][0-9]{0,9})")
_KNOWN_CERTIFICATES = 8192


@dataclass(frozen=True)
class NodeCertificate:
    """The words of a node's certificate. Its chain is not checked here: TLS did that."""

    node_id: str
    generation: int
    not_after: datetime
    issuer: str = ""  # the key that signed it: Authority.key_id


def node_uri(node_id: str, generation: int) -> str:
    return f"gamekeeper://node/{node_id}/{generation}"


def node_of(auth_context: Mapping[str, Iterable[bytes]]) -> NodeCertificate:
    """The node behind a call, by gRPC's ``auth_context`` of it.

    Raises UnauthenticatedError for a peer without a certificate, and for a certificate of something else.
    """
    for pem in auth_context.get(PEM_PROPERTY, ()):
        return read_node(pem)
    raise UnauthenticatedError("the peer showed no certificate", hint="join the node again")


@lru_cache(maxsize=_KNOWN_CERTIFICATES)
def read_node(certificate_pem: bytes) -> NodeCertificate:
    """The node that the first certificate of a PEM text names. Raises UnauthenticatedError."""
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except (ValueError, x509.ExtensionNotFound) as error:
        raise UnauthenticatedError("the certificate names no node", hint="join the node again") from error
    found = _URI.fullmatch(uris[0]) if len(uris) == 1 else None
    if found is None or int(found["generation"]) > MAX_GENERATION:
        raise UnauthenticatedError("the certificate names no node", hint="join the node again")
    return NodeCertificate(
        found["node"], int(found["generation"]), certificate.not_valid_after_utc, _issuer(certificate)
    )


def _issuer(certificate: x509.Certificate) -> str:
    try:
        found = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except x509.ExtensionNotFound:
        return ""
    return (found or b"").hex()

"""A TLS 1.3 handshake in memory: what two peers with these certificates say of each other."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

from gamekeeper.certificates.pem import SERVER_NAME


def shake_hands(
    *, server: tuple[str, str], client: tuple[str, str], server_trusts: str, client_trusts: str, name: str = SERVER_NAME
) -> None:
    """Returns when both sides took each other. Raises ssl.SSLError with the reason of the side that did not.

    ``server`` and ``client`` are key and chain as PEM.
    """
    serving = _context(ssl.PROTOCOL_TLS_SERVER, server, server_trusts)
    serving.verify_mode = ssl.CERT_REQUIRED
    calling = _context(ssl.PROTOCOL_TLS_CLIENT, client, client_trusts)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        calling.wrap_bio(to_client, to_server, server_hostname=name),
        serving.wrap_bio(to_server, to_client, server_side=True),
    ]
    while sides:
        for side in list(sides):
            try:
                side.do_handshake()
                sides.remove(side)
            except ssl.SSLWantReadError:
                continue


def _context(protocol: int, own: tuple[str, str], trusts: str) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=trusts)
    with tempfile.TemporaryDirectory() as folder:
        key, chain = Path(folder, "key.pem"), Path(folder, "chain.pem")
        key.write_text(own[0])
        chain.write_text(own[1])
        context.load_cert_chain(chain, key)
    return context

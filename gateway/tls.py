"""The gateway's TLS: its certificate and the nodes' roots from files, read again when they change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import grpc

from gamekeeper.errors import InvalidError
from gamekeeper.logging import get_logger

log = get_logger(__name__)


class TlsFiles:
    """Gives gRPC a certificate at each handshake, so that a renewed one needs no restart."""

    def __init__(self, certificate: Path, key: Path, roots: Path) -> None:
        self._certificate = certificate
        self._key = key
        self._roots = roots
        self._seen = self._stamps()

    def credentials(self) -> grpc.ServerCredentials:
        """Raises InvalidError for files that can't be read."""
        try:
            first = self._configuration()
        except (OSError, ValueError) as error:
            raise InvalidError(
                f"the gateway's certificate can't be read: {error}",
                hint="see GAMEKEEPER_GATEWAY_CERTIFICATE, _KEY and _ROOTS",
            ) from error
        changed = cast(Callable[[], grpc.ServerCertificateConfiguration], self._changed)  # None is missing in the types
        return grpc.dynamic_ssl_server_credentials(first, changed, require_client_authentication=True)

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Called by gRPC's own threads, with an answer of None for "as before"."""
        stamps = self._stamps()
        if stamps == self._seen:
            return None
        try:
            changed = self._configuration()
        except (OSError, ValueError) as error:
            log.warning("the changed certificate is not taken: %s", error)
            return None
        self._seen = stamps
        log.info("the gateway has a new certificate or new roots")
        return changed

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        pairs = [(self._key.read_bytes(), self._certificate.read_bytes())]
        return grpc.ssl_server_certificate_configuration(pairs, self._roots.read_bytes())

    def _stamps(self) -> list[int]:
        return [_stamp(path) for path in (self._certificate, self._key, self._roots)]


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0

"""The certificate of REST: of the own CA, of an operator's files, or of a public CA by ACME.

It changes while REST serves. Whatever goes wrong with a new one, the old one stays: a server that is reached with a
certificate that ends soon is better than one that is not reached.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from api.services.access.certificate import CertificateService
from gamekeeper.certificates.authority import OwnCertificate
from gamekeeper.certificates.pair import is_near_its_end, read_pair
from gamekeeper.certificates.pem import certificates_in
from gamekeeper.db.models.columns import utc_now
from gamekeeper.errors import InvalidError, UnavailableError
from gamekeeper.logging import get_logger
from gamekeeper.whole_file import write_whole

log = get_logger(__name__)


class Source(ABC):
    """A place where certificates come from. ``is_public`` says that browsers take them as they are, and ``trouble`` why
    there is none yet, or no newer one."""

    name = ""
    is_public = True
    trouble = ""

    @abstractmethod
    def current(self) -> OwnCertificate | None:
        """The newest one, or None before there is any. Blocks shortly. Raises InvalidError."""

    async def renew(self) -> None:  # noqa: B027 - most sources need no care
        """Called every minute, for those that are asked for. Most times it does nothing. Raises UnavailableError."""


class OwnSource(Source):
    """The own CA's: nodes and commands know its root."""

    name, is_public = "own", False

    def __init__(self, certificates: CertificateService) -> None:
        self._certificates = certificates

    def current(self) -> OwnCertificate:
        return self._certificates.server


class FileSource(Source):
    """An operator's files, as certbot and others keep them."""

    name = "files"

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key

    def current(self) -> OwnCertificate:
        try:
            return read_pair(self._certificate.read_text(), self._key.read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidError(
                f"the certificate of REST can't be read: {error}",
                hint="see GAMEKEEPER_REST_CERTIFICATE and GAMEKEEPER_REST_KEY",
            ) from error
        except InvalidError as error:
            raise InvalidError(
                f"{self._certificate} with {self._key} can't be served: {error.message}", hint=error.hint
            ) from error


class RestCertificate:
    """The first of ``sources`` that has a certificate is taken. ``file`` holds key and chain of what is to be served,
    and ``renewed`` is set when that changes."""

    def __init__(self, folder: Path, sources: Sequence[Source], clock: Callable[[], datetime] = utc_now) -> None:
        self._folder = folder
        self._sources = sources
        self._clock = clock
        self._served: OwnCertificate | None = None
        self._told = ""
        self.is_public = False
        self.file = folder
        self.renewed = asyncio.Event()

    def load(self) -> None:
        """Finds the first certificate; where the one that is wanted is broken, or the disk full, the last good one.

        Raises InvalidError or UnavailableError where there is none either.
        """
        try:
            self._take_newest()
        except (InvalidError, UnavailableError) as error:
            for source in self._sources:
                kept = self._folder / f"{source.name}.pem"
                if kept.exists():
                    self._tell(f"{error}; the one of before is served")
                    self._serve(source, read_pair(kept.read_text(), kept.read_text()))
                    return
            raise

    async def refresh(self) -> None:
        """Takes over a newer certificate. Raises UnavailableError on a full disk."""
        before = self._served
        try:
            await asyncio.to_thread(self._take_newest)
        except InvalidError as error:
            self._tell(f"{error}; the one of before is served")
        if self._served is not before:
            self.renewed.set()

    @property
    def served(self) -> OwnCertificate:
        if self._served is None:
            raise UnavailableError("REST has no certificate yet")
        return self._served

    async def renew(self) -> None:
        """Raises UnavailableError on a full disk."""
        for source in self._sources:
            await source.renew()

    @property
    def trouble(self) -> str:
        """The words of a warning; empty while all is well."""
        told = [self._told, *(source.trouble for source in self._sources)]
        if is_near_its_end(self.served.chain_pem, self._clock()):
            verb = "ended" if self.served.not_after < self._clock() else "ends"
            told.insert(0, f"the certificate of REST {verb} on {self.served.not_after:%Y-%m-%d %H:%M} UTC")
        return "; ".join(words for words in told if words)

    def _take_newest(self) -> None:
        source, found = next((source, found) for source in self._sources if (found := source.current()) is not None)
        now = self._clock()
        if self._served is not None and found.not_after <= now < self._served.not_after:
            raise InvalidError(f"the new certificate of REST ended on {found.not_after:%Y-%m-%d %H:%M} UTC already")
        self._serve(source, found)
        self._told = ""

    def _serve(self, source: Source, found: OwnCertificate) -> None:
        if found == self._served:
            return
        file = self._folder / f"{source.name}.pem"
        text = found.key_pem + found.chain_pem
        before = file.read_text() if file.exists() else ""
        if before != text:
            if before:  # it is shown until the next server has begun, and this machine's processes know it by its file
                write_whole(self._folder / f"{source.name}-before.pem", "".join(certificates_in(before)))
            write_whole(file, text)
        self.file, self.is_public = file, source.is_public
        self._served = found
        log.info("REST has a certificate until %s (%s)", found.not_after, source.name)

    def _tell(self, words: str) -> None:
        """Once, until it is well again or the trouble is another one."""
        if words != self._told:
            self._told = words
            log.warning("%s", words)

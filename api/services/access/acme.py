"""A certificate of a public CA, kept fresh: ordered at the first start, then at two thirds of each one's life.

A failure is told once, with what to do, and tried again in growing, jittered waits: public CAs lock out those who ask
too often. All is kept below the CA's folder, so a restart orders nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from api.services.access.rest_certificate import Source
from gamekeeper.backoff import Backoff
from gamekeeper.certificates.acme_order import order
from gamekeeper.certificates.acme_terms import AcmeTerms
from gamekeeper.certificates.authority import OwnCertificate
from gamekeeper.certificates.pair import is_for, read_pair, renewal_of
from gamekeeper.db.models.columns import utc_now
from gamekeeper.errors import GamekeeperError, InvalidError
from gamekeeper.logging import get_logger
from gamekeeper.whole_file import write_whole

log = get_logger(__name__)

# Let's Encrypt takes five failures an hour for a name.
FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=15), timedelta(hours=12)


class AcmeSource(Source):
    """A source of REST's certificate, by the order of a public CA."""

    name = "acme"

    def __init__(
        self,
        terms: AcmeTerms,
        folder: Path,
        clock: Callable[[], datetime] = utc_now,
        ordered: Callable[[AcmeTerms, Path], OwnCertificate] = order,
    ) -> None:
        self._terms = terms
        self._account = folder / "account.json"
        self._certificate = folder / "certificate.pem"
        self._failed = folder / "failed.json"
        self._clock = clock
        self._order = ordered
        self._backoff = Backoff(initial=FIRST_WAIT.total_seconds(), maximum=LONGEST_WAIT.total_seconds())
        self._kept = self._read()
        self._next_try = self._after_failure()

    def current(self) -> OwnCertificate | None:
        return self._kept

    async def renew(self) -> None:
        """Orders when it is time to. Raises UnavailableError on a full disk, before anything is ordered."""
        now = self._clock()
        if now < self._next_try or (self._kept is not None and now < renewal_of(self._kept.chain_pem)):
            return
        self._note_failure(now)  # a process that is killed in an order must not come back and order for ever
        try:
            found = await asyncio.to_thread(self._order, self._terms, self._account)
        except GamekeeperError as error:
            wait = FIRST_WAIT + timedelta(seconds=self._backoff.next_delay())
            self._next_try = now + wait
            self._tell(str(error), wait)
            return
        self._backoff.reset()
        self._kept, self.trouble = found, ""
        write_whole(self._certificate, found.key_pem + found.chain_pem)
        self._failed.unlink(missing_ok=True)
        log.info("%s gave a certificate until %s", self._terms.directory, found.not_after)

    def _read(self) -> OwnCertificate | None:
        """The certificate of an earlier start, when it is for the same names."""
        try:
            text = self._certificate.read_text()
            found = read_pair(text, text)
        except (OSError, InvalidError):
            return None
        return found if is_for(found.chain_pem, self._terms.names) else None

    def _note_failure(self, now: datetime) -> None:
        write_whole(self._failed, json.dumps({"at": now.isoformat(), "names": list(self._terms.names)}))

    def _after_failure(self) -> datetime:
        """The moment of the first order: at once, or a while after one that failed for the same names."""
        try:
            failed = json.loads(self._failed.read_text())
            at = datetime.fromisoformat(failed["at"])
        except (OSError, ValueError, LookupError, TypeError):
            return datetime.min.replace(tzinfo=self._clock().tzinfo)
        is_same = failed["names"] == list(self._terms.names)
        return min(at, self._clock()) + (FIRST_WAIT if is_same else timedelta())

    def _tell(self, words: str, wait: timedelta) -> None:
        """Once for each trouble."""
        if words != self.trouble:
            self.trouble = words
            minutes = wait.total_seconds() / 60
            log.warning(
                "no certificate by ACME: %s; tried again in %.0f minutes and then more seldom, or at a restart in %.0f "
                "minutes; until then the one of before goes on",
                words,
                minutes,
                FIRST_WAIT.total_seconds() / 60,
            )

"""Certificates of this control plane: nodes' are issued here, and the servers' own are kept fresh.

The gateway and the control worker, processes of their own that hold no key of the CA, find their certificates in
``CA_DIR/gateway`` and ``CA_DIR/steps``, or in folders that both sides see.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from gamekeeper.certificates.authority import Authority, Issued, OwnCertificate, Root
from gamekeeper.certificates.issuing import NODE_LIFETIME, csr_fingerprint, load_csr
from gamekeeper.db.models.columns import utc_now
from gamekeeper.logging import get_logger
from gamekeeper.whole_file import write_whole

log = get_logger(__name__)

GATEWAY, STEPS = "gateway", "steps"  # folders below the CA's


class CertificateService:
    """Opens the CA in ``folder``, or makes it. ``names`` are those by which REST is reached.

    Raises InvalidError when the CA can't be opened.
    """

    def __init__(
        self,
        folder: Path,
        passphrase: str,
        names: Sequence[str] = (),
        node_lifetime: timedelta = NODE_LIFETIME,
        clock: Callable[[], datetime] = utc_now,
        gateway_folder: Path | None = None,
        steps_folder: Path | None = None,
    ) -> None:
        self._gateway_folder = gateway_folder or folder / GATEWAY
        self._steps_folder = steps_folder or folder / STEPS
        self._node_lifetime = node_lifetime
        self._folder = folder
        self._passphrase = passphrase
        self._names = list(names)
        self._clock = clock
        self._changing = threading.Lock()
        self._authority = Authority.ensure(folder, passphrase, clock())
        self._server, self._renew_at = self._issue_server()
        self._steps_until = self._clock()

    @property
    def pin(self) -> str:
        return self._authority.pin

    @property
    def roots(self) -> str:
        """The roots that nodes and servers trust now, as PEM."""
        return self._authority.roots_pem(self._clock())

    @property
    def authority(self) -> Authority:
        return self._authority

    @property
    def trusted(self) -> list[Root]:
        """The same roots, with what an operator wants to know of them."""
        return self._authority.roots(self._clock())

    @property
    def server(self) -> OwnCertificate:
        return self._server

    @property
    def node_lifetime_seconds(self) -> int:
        return int(self._node_lifetime.total_seconds())

    def now(self) -> datetime:
        return self._clock()

    def check(self, csr: str) -> str:
        """The fingerprint of the request's key. Raises InvalidError for a request that would not be granted."""
        return csr_fingerprint(load_csr(csr))

    def issue(self, csr: str, node_id: str, generation: int) -> Issued:
        """Raises InvalidError for a request that is not good."""
        return self._authority.issue_node(csr, node_id, generation, self._clock(), self._node_lifetime)

    async def rotate(self, overlap: timedelta) -> None:
        """Makes a new root; the one of now stays trusted for ``overlap``. All servers have certificates that lead to
        both when this returns. Raises ConflictError, and UnavailableError on a full disk."""
        await asyncio.to_thread(self._rotate, overlap)

    def _rotate(self, overlap: timedelta) -> None:
        with self._changing:
            self._authority.rotate(self._passphrase, self._clock(), overlap)
        self._refresh()

    async def refresh(self) -> None:
        """Takes over a rotation that another process made, renews the servers' certificate in time, and writes the
        files of the gateway and of the key that signs steps. Raises UnavailableError on a full disk, where nothing is
        lost but time."""
        await asyncio.to_thread(self._refresh)

    def _refresh(self) -> None:
        with self._changing:
            if self._authority.is_replaced:
                self._authority = Authority.open(self._folder, self._passphrase, self._clock())
                self._renew_at = self._steps_until = self._clock()
                log.info("the CA is another one now; its pin is %s", self.pin)
            self._authority.tidy(self._clock())
            if self._clock() >= self._renew_at:
                self._server, self._renew_at = self._issue_server()
            self._write_for_gateway()
            if self._clock() >= self._steps_until:
                self._write_for_steps()

    def _write_for_steps(self) -> None:
        """A new key, at each start too: what the older one signed stays good."""
        now = self._clock()
        made = self._authority.issue_steps(now)
        write_whole(self._steps_folder / "steps.key", made.key_pem)
        write_whole(self._steps_folder / "steps.pem", made.chain_pem)
        self._steps_until = now + (made.not_after - now) / 2

    def _write_for_gateway(self) -> None:
        """Whole files, of which the chain comes last: a gateway that meets a key without its chain reads again."""
        wanted = {"roots.pem": self.roots, "server.key": self._server.key_pem, "server.pem": self._server.chain_pem}
        for name, text in wanted.items():
            path = self._gateway_folder / name
            if not path.exists() or path.read_text() != text:
                write_whole(path, text)

    def _issue_server(self) -> tuple[OwnCertificate, datetime]:
        now = self._clock()
        made = self._authority.issue_server(self._names, now)
        return made, now + (made.not_after - now) * 2 / 3

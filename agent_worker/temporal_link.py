"""The agent's way to Temporal: through the gateway, with the node's certificate, where the control plane has one.

A certificate is shown when a connection is made. So a renewed one makes a new client, which the workers take over
without a pause; a step under way goes on and is answered by the new one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import Worker

from agent_worker.answers import Answers
from agent_worker.identity import Identity
from gamekeeper.certificates.pem import SERVER_NAME
from gamekeeper.errors import GamekeeperError
from gamekeeper.logging import get_logger
from gamekeeper.temporal.client import GatewayTls, connect

log = get_logger(__name__)

PATIENCE = timedelta(seconds=5)  # then the certificate may be another one


class TemporalLink:
    """``address`` is Temporal's own where an operator gave one to this agent; ``host`` tells the server's host."""

    def __init__(self, identity: Identity, address: str = "") -> None:
        self._identity = identity
        self._address = address
        self._renewed = asyncio.Event()

    def renew(self) -> None:
        """Has the workers take a client with the node's newest certificate."""
        self._renewed.set()

    async def connect(self, host: str) -> Client:
        """A client, however long Temporal is away; ``host`` is the control plane's. Cancelled without harm."""
        while True:
            self._renewed.clear()
            try:
                return await self._connect(host)
            except GamekeeperError as error:
                log.warning("%s; trying on", error)

    async def _connect(self, host: str) -> Client:
        identity = self._identity
        if self._address or not (identity.gateway_port or identity.gateway_address):
            return await connect(self._address or identity.temporal_address)
        own = identity.good_credentials
        tls = GatewayTls(key=own.key, chain=own.chain, roots=own.roots, name=SERVER_NAME)
        address = identity.gateway_address or f"{host}:{identity.gateway_port}"
        return await connect(address, wait=PATIENCE, gateway=tls)

    async def follow(self, workers: Sequence[Worker], answers: Answers, host: str) -> None:
        """Gives workers and answers a new client for each new certificate; ends only when cancelled."""
        while True:
            await self._renewed.wait()
            client = await self.connect(host)
            answers.client = client
            for worker in workers:
                worker.client = client

"""The agent's way to Temporal: through the gateway, with the node's certificate, where the control plane has one.

A certificate is shown when a connection is made. So a renewed one makes a new client, which the workers take over
without a pause; a step under way goes on and is answered by the new one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.client import Client
from temporalio.converter import PayloadCodec
from temporalio.service import RPCError
from temporalio.worker import Worker

from agent_worker.answers import Answers
from agent_worker.identity import Identity
from gamekeeper.backoff import Backoff, jittered
from gamekeeper.certificates.pem import SERVER_NAME
from gamekeeper.certificates.step_signature import StepVerifier
from gamekeeper.errors import GamekeeperError
from gamekeeper.logging import get_logger
from gamekeeper.payload_keys.live import PayloadKeys
from gamekeeper.payload_keys.ring_file import RingFile
from gamekeeper.temporal.client import GatewayTls, connect
from gamekeeper.temporal.pollers import Pollers
from gamekeeper.temporal.queues import node_control_queue, node_queue
from gamekeeper.temporal.sealed_payloads import PayloadSeals, SealingCodec
from gamekeeper.temporal.signed_inputs import ENCRYPTED_INPUT, VerifyingCodec

log = get_logger(__name__)

LOOK_SECONDS = 15.0  # a thousand nodes ask so some seventy times a second
PATIENCE = timedelta(seconds=5)  # then the certificate may be another one


def _pollers(queue: str) -> Pollers:
    return Pollers(queue, kind=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)


class TemporalLink:
    """``address`` is Temporal's own where an operator gave one to this agent, and ``payload_keys`` the fleet's, which
    it then needs; ``host`` tells the host of the server that the node link is with, or tries, now."""

    def __init__(
        self, identity: Identity, host: Callable[[], str], address: str = "", payload_keys: Path | None = None
    ) -> None:
        self._identity = identity
        self._host = host
        self._dialled = ""
        self._address = address
        self._renewed = asyncio.Event()
        verifier = StepVerifier(lambda: identity.good_credentials.roots)
        self._codec = VerifyingCodec(verifier, met_encrypted=self._cannot_read)
        self._is_blind = False
        node = identity.node_id
        self._direct: PayloadCodec = self._codec
        if payload_keys is not None:
            self._direct = SealingCodec(self._codec, PayloadSeals(PayloadKeys(RingFile(payload_keys))), node=node)
        self._queues = deque((queue, _pollers(queue)) for queue in (node_queue(node), node_control_queue(node)))
        self._silent: dict[str, str] = {}
        self._is_away = False
        self.trouble = ""  # why no work can be had, for the node's condition

    def renew(self) -> None:
        """Has the workers take a client with the node's newest certificate."""
        self._renewed.set()

    async def connect(self) -> Client:
        """A client, however long Temporal is away. Cancelled without harm."""
        backoff = Backoff(initial=1.0, maximum=5.0)
        while True:
            self._renewed.clear()
            try:
                client = await self._connect()
            except GamekeeperError as error:
                self._tell(str(error))
                await asyncio.sleep(backoff.next_delay())
            else:
                self._tell("")
                return client

    async def _connect(self) -> Client:
        identity = self._identity
        self._dialled = self._host()
        if self._address or not (identity.gateway_port or identity.gateway_address):
            return await connect(self._address or identity.temporal_address, codec=self._direct)
        own = identity.good_credentials
        tls = GatewayTls(key=own.key, chain=own.chain, roots=own.roots, name=SERVER_NAME)
        address = identity.gateway_address or f"{self._dialled}:{identity.gateway_port}"
        return await connect(address, wait=PATIENCE, gateway=tls, codec=self._codec)

    async def follow(self, workers: Sequence[Worker], answers: Answers) -> None:
        """Gives workers and answers a new client for each new certificate, and for the server that the node link went
        over to while this one's gateway is away. Asks in between whether Temporal answers this node. Ends only when
        cancelled."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._renewed.wait(), jittered(LOOK_SECONDS))
            if not self._renewed.is_set():
                await self._look(answers.client)
                if not self._is_away or self._host() == self._dialled:
                    continue
            client = await self.connect()
            answers.client = client
            for worker in workers:
                worker.client = client

    async def _look(self, client: Client) -> None:
        """Asks whether Temporal has seen the polls of one of the node's queues, of each in turn: an answer to any other
        question would not say that work can be had."""
        self._queues.rotate()
        queue, pollers = self._queues[0]
        try:
            said = await pollers.ask(client)
        except RPCError as error:
            self._is_away = True
            self._tell(f"Temporal can't be reached: {error.message}")
            return
        self._is_away = False
        if self._is_blind:
            self._tell(ENCRYPTED_INPUT)
            return
        self._silent[queue] = f"of the workers of {queue} {said}" if said else ""
        self._tell(next((silent for silent in self._silent.values() if silent), ""))

    def _cannot_read(self) -> None:
        self._is_blind = True

    def _tell(self, trouble: str) -> None:
        """Once an outage in the log; the condition has the newest words."""
        if trouble and not self.trouble:
            log.warning("%s; trying on", trouble)
        if self.trouble and not trouble:
            log.info("Temporal answers again")
        self.trouble = trouble

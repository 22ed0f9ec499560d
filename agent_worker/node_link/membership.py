"""The node's membership: it joins with a token or a join key once, returns with its node key when its certificate ran
out, and renews the certificate over the link at two thirds of its life."""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from agent_worker.identity import KEY, Credentials, Identity
from agent_worker.node_link import rest
from agent_worker.node_link.servers import ServerAddress
from agent_worker.node_link.session import Link
from gamekeeper.backoff import Backoff, jittered
from gamekeeper.certificates.pem import check_pair
from gamekeeper.domain.node.join import short_fingerprint
from gamekeeper.errors import InvalidError, UnauthenticatedError, UnavailableError
from gamekeeper.keys import PIN_MARK, hash_key, is_join_key
from gamekeeper.logging import get_logger
from gamekeeper.rpc.version import PROTOCOL_VERSION

log = get_logger(__name__)

TELL_AGAIN_SECONDS = 600.0
MIN_WAIT_SECONDS, MAX_WAIT_SECONDS = 1.0, 60.0

Body = dict[str, Any]
ASKED_PERIODS = 8  # of heartbeats: a whole fleet is asked at once


class OwnKey(NamedTuple):
    """The agent's own key and a request for a certificate, as PEM; the fingerprint is a hexadecimal SHA-256."""

    pem: str
    request: str
    fingerprint: str


_OF_A_JOIN = ("node_key", "joined_by", "certificate_lifetime", "credentials")
NewKey = Callable[[], Awaitable[OwnKey]]


def own_key(folder: Path) -> NewKey:
    """The agent's key in ``folder`` with a request for it, from a child process: see ``certificates/node_key.py``."""

    async def ask() -> OwnKey:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / KEY
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "gamekeeper.certificates.node_key", str(path)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        answer, told = await child.communicate()
        if child.returncode != 0:
            raise UnavailableError(f"the node's key can't be used: {told.decode(errors='replace').strip()[-500:]}")
        fingerprint, _, request = answer.decode().partition("\n")
        return OwnKey(await asyncio.to_thread(path.read_text), request, fingerprint)

    return ask


class Joining:
    """The ways to a certificate over REST. ``new_key`` gives the node's key and a request for it, and ``describe`` the
    words about this machine that go with a join key. ``shown`` are certificates that REST of this machine shows."""

    def __init__(
        self,
        servers: Sequence[ServerAddress],
        new_key: NewKey,
        describe: Callable[[], Awaitable[Body]] | None = None,
        shown: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._shown = shown
        self.servers = servers
        self._new_key = new_key
        self._describe = describe

    async def join(self, token: str, known_as: str = "") -> Identity:
        """Spends a token, or a use of a join key. ``known_as`` is the node that this agent was.

        Raises UnauthenticatedError for a token that is not good, a server that is not the token's, and a protocol that
        differs; JoinWaitsError while an operator has to approve this machine; UnavailableError where nobody answers.
        """
        pin = token.partition(PIN_MARK)[2]
        words: Body = {"token": token} | ({"node_id": known_as} if known_as else {})
        if is_join_key(token) and self._describe is not None:
            words |= await self._describe()

        def ask(server: ServerAddress, body: Body) -> Body:
            if not (pin or server.is_plain):
                raise UnauthenticatedError(
                    "the token has no pin, so the server can't be told from another one", hint="make a new token"
                )
            return rest.post_join(server, rest.get_roots(server, pin), body | words, shown=self._shown())

        server, key, answer = await self._ask_in_turn(ask, self.servers)
        identity = Identity(node_id=answer["node_id"], node_key=answer["node_key"], joined_by=hash_key(token))
        identity.policy_template = answer.get("policy")
        return _told(identity, key, server, answer)

    async def come_back(self, identity: Identity, *servers: ServerAddress) -> None:
        """Gets the identity a fresh certificate for its node key, and the ports of the server that gave it: of one of
        ``servers``, where any are named.

        Raises UnauthenticatedError when the node was removed, revoked or enrolled anew, UnavailableError where nobody
        answers. A node of the version before has no roots: it comes back on loopback, and needs a token elsewhere.
        """
        known = identity.credentials

        def ask(server: ServerAddress, body: Body) -> Body:
            if known is None and not server.is_plain:
                raise UnauthenticatedError(
                    "this agent's identity is of a version without certificates",
                    hint=f"make a token with `gamekeeper node enrol {identity.node_id}` and give it with --token",
                )
            try:
                return rest.post_join(server, known.roots if known else "", body, identity.node_key, self._shown())
            except rest.WrongCertificateError as error:
                raise UnauthenticatedError(
                    f"{error.message}; if its CA was replaced, this node was away for longer than both were good",
                    hint=f"check --server; or make a token with `gamekeeper node enrol {identity.node_id}` there, and "
                    "give it with --token",
                ) from error

        server, key, answer = await self._ask_in_turn(ask, servers or self.servers)
        _told(identity, key, server, answer)

    async def new_key(self) -> OwnKey:
        return await self._new_key()

    async def _ask_in_turn(
        self, ask: Callable[[ServerAddress, Body], Body], servers: Sequence[ServerAddress]
    ) -> tuple[ServerAddress, str, Body]:
        """The first server that gives an answer, the key, and the answer."""
        own = await self._new_key()
        body: Body = {"csr": own.request, "protocol_version": PROTOCOL_VERSION}
        try:
            for server in servers[:-1]:
                try:
                    return server, own.pem, await asyncio.to_thread(ask, server, body)
                except UnavailableError as error:
                    log.warning("%s", error)
            return servers[-1], own.pem, await asyncio.to_thread(ask, servers[-1], body)
        except rest.JoinWaitsError as waits:
            if waits.join_id != short_fingerprint(own.fingerprint):
                raise UnauthenticatedError(
                    f"the server speaks of a machine {waits.join_id}, and this one is "
                    f"{short_fingerprint(own.fingerprint)}",
                    hint="approve neither: somebody may be in between",
                ) from None
            raise


class Waiting:
    """The wait for an operator's approval: told at its begin, when its reason changes, and now and then."""

    def __init__(self) -> None:
        self._told = ""
        self._told_at = -math.inf

    async def wait(self, error: rest.JoinWaitsError) -> None:
        """Returns when the server is to be asked again."""
        if str(error) != self._told or time.monotonic() - self._told_at > TELL_AGAIN_SECONDS:
            self._told, self._told_at = str(error), time.monotonic()
            log.warning("%s", error)
        await asyncio.sleep(jittered(min(max(error.ask_again_seconds, MIN_WAIT_SECONDS), MAX_WAIT_SECONDS)))


class Membership:
    """The identity of a node that has joined, kept good. ``keep`` stores it; ``token`` reads a token that was given."""

    def __init__(
        self,
        joining: Joining,
        identity: Identity,
        keep: Callable[[], None] = lambda: None,
        token: Callable[[], str] = lambda: "",
    ) -> None:
        self.identity = identity
        self._joining = joining
        self._keep = keep
        self._token = token
        self._asked = asyncio.Event()

    @property
    def servers(self) -> Sequence[ServerAddress]:
        return self._joining.servers

    @property
    def asking(self) -> tuple[Callable[[], Awaitable[None]], Callable[[ServerAddress], Awaitable[None]]]:
        """The two questions of a link that REST answers."""
        return self.come_back, self.learn_ports

    async def come_back(self) -> None:
        """A fresh certificate by the node's key, or, where that is refused, by a token that was given. Raises as above.

        The join key that this identity came by is no new word: a node that was removed does not come back by it.
        """
        try:
            await self._joining.come_back(self.identity)
        except UnauthenticatedError:
            token = self._token()
            if not token or hash_key(token) == self.identity.joined_by:
                raise
            fresh = await self._joining.join(token, self.identity.node_id)
            if fresh.node_id != self.identity.node_id:
                raise UnauthenticatedError(
                    f"the token is of node {fresh.node_id}, and this agent is node {self.identity.node_id}",
                    hint="give each node an agent with a state folder of its own",
                ) from None
            for name in (*_OF_A_JOIN, "link_port", "link_ports", "gateway_port"):
                setattr(self.identity, name, getattr(fresh, name))
        self._keep()

    async def learn_ports(self, server: ServerAddress) -> None:
        """Asks a server that never answered for the port of its node link. Raises as ``Joining.come_back``."""
        if str(server) not in self.identity.link_ports:
            await self._joining.come_back(self.identity, server)
            self._keep()

    async def renew(self, link: Link) -> None:
        """Gets the next certificate over the link. No call is dropped for it. Raises UnavailableError, also for a
        certificate that can't be used: the one of before stays."""
        own = await self._joining.new_key()
        answer = await link.calls.renew_certificate(own.request)
        try:
            check_pair(own.pem, answer.certificate, answer.roots)
        except InvalidError as error:
            raise UnavailableError(f"{link.server} gave no good certificate: {error.message}") from error
        if not answer.lifetime_seconds:
            raise UnavailableError(f"{link.server} gave a certificate without a lifetime")
        _take(self.identity, own.pem, answer.certificate, answer.roots, answer.lifetime_seconds)
        link.redial()
        self._keep()

    def ask(self) -> None:
        """Has the certificate renewed soon: the CA was rotated."""
        self._asked.set()

    async def renew_forever(self, link: Link) -> None:
        """Renews at two thirds of each certificate's life, and when it is asked to."""
        backoff = Backoff(initial=1, maximum=60)
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.identity.good_credentials.seconds_to_renewal()):
                    await self._asked.wait()
            await link.connected.wait()
            await link.stagger(ASKED_PERIODS if self._asked.is_set() else 1)
            try:
                self._asked.clear()
                await self.renew(link)
                backoff.reset()
            except UnavailableError as error:
                log.warning("the certificate is not renewed yet: %s", error)
                self._asked.set()
                await asyncio.sleep(backoff.next_delay())


def _told(identity: Identity, key: str, server: ServerAddress, answer: Body) -> Identity:
    identity.link_port = identity.link_ports[str(server)] = int(answer["link_port"])
    identity.gateway_port = int(answer["gateway_port"])
    _take(identity, key, answer["certificate"], answer["roots"], float(answer["lifetime_seconds"]))
    return identity


def _take(identity: Identity, key: str, chain: str, roots: str, lifetime: float) -> None:
    identity.certificate_lifetime = lifetime
    identity.credentials = Credentials(key, chain, roots, time.time(), lifetime)

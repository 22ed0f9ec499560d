"""``python -m agent_worker``: registers once, then works until SIGTERM, which leaves every container running.

With ``--stop-containers`` it ends them first: see ``stop_containers.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from agent_worker import memory
from agent_worker.answers import Answers
from agent_worker.bootstrap import Agent, build
from agent_worker.identity import Identity, load_identity, save_identity
from agent_worker.machine.facts import describe_machine
from agent_worker.node_link.membership import Joining, Membership, Waiting, own_key
from agent_worker.node_link.rest import JoinWaitsError
from agent_worker.node_link.servers import parse_servers
from agent_worker.policy import PolicyFile, keep_template, load_policy
from agent_worker.settings import PREFIX, AgentSettings
from agent_worker.stop_containers import HAND_OVER_SECONDS, stop_containers
from agent_worker.temporal_link import TemporalLink
from agent_worker.workers import build_workers
from gamekeeper.backoff import Backoff
from gamekeeper.certificates.pem import served_certificates
from gamekeeper.errors import GamekeeperError, UnauthenticatedError, UnavailableError
from gamekeeper.exit_status import exit_status
from gamekeeper.keys import hash_key, is_join_key
from gamekeeper.liveness import run_answering
from gamekeeper.logging import configure_logging, get_logger
from gamekeeper.no_core_dumps import leave_no_core_dumps
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from gamekeeper.supervised import Supervised
from gamekeeper.tracing import configure_tracing

log = get_logger("agent_worker")


async def work(settings: AgentSettings) -> None:
    load_policy(settings.policy_path)  # a wrong one is told before a token is spent
    describe = partial(describe_machine, settings.state_dir, settings.node)
    shown = partial(served_certificates, settings.rest_certificates)
    joining = Joining(parse_servers(settings.server), own_key(settings.state_dir), describe, shown)
    identity = await _become_member(settings, joining)
    policy = PolicyFile(settings.policy_path)
    known = asyncio.Event()

    def welcomed(welcome: pb.Welcome) -> None:
        told = identity.way_to_temporal
        identity.gateway_port, identity.gateway_address = welcome.gateway_port, welcome.gateway_address
        identity.temporal_address = welcome.temporal_address
        if known.is_set() and identity.way_to_temporal != told:
            temporal.renew()  # the gateway has moved, and its old port may answer for somebody else
        identity.temporal_namespace = welcome.temporal_namespace
        identity.cancel_is_pushed = welcome.cancel_is_pushed
        known.set()
        keep()

    def keep() -> None:
        try:
            save_identity(settings.state_dir, identity)
        except UnavailableError as error:
            log.warning("what is new about the server is kept at the next session: %s", error)

    def renewed() -> None:
        temporal.renew()
        keep()

    def host() -> str:
        return agent.link.server.rpartition(":")[0]

    temporal = TemporalLink(identity, host, settings.temporal, settings.payload_keys)
    membership = Membership(joining, identity, renewed, partial(_given_token, settings))
    agent = build(settings, membership, policy, welcomed)
    agent.telemetry.work_error = lambda: temporal.trouble
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await _run_until(stop, settings, agent, partial(_run_workers, settings, agent, temporal, known), known)


async def _run_until(
    stop: asyncio.Event,
    settings: AgentSettings,
    agent: Agent,
    run_workers: Callable[[], Coroutine[Any, Any, None]],
    known: asyncio.Event,
) -> None:
    identity = agent.membership.identity
    tasks: list[asyncio.Task[object]] = [asyncio.create_task(part) for part in agent.work()]
    if identity.temporal_address:
        known.set()  # learnt before: work goes on while the api is away
    workers: asyncio.Task[object] = asyncio.create_task(run_workers())
    tasks.append(workers)
    tasks.append(asyncio.create_task(Supervised("the giving back of memory").endless(memory.give_back_forever)))
    stopping: asyncio.Task[object] = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    if settings.stop_containers and stop.is_set():
        await stop_containers(agent, workers)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await agent.follower.close()
    await agent.link.close()
    for task in done - {stopping}:
        task.result()


async def _become_member(settings: AgentSettings, joining: Joining) -> Identity:
    """The identity in the state folder, or a new one for the token. Waits for a server that is not there yet, and for
    an operator who has to approve this machine."""
    identity, token = load_identity(settings.state_dir), _given_token(settings)
    if identity is not None and identity.credentials is not None:
        _tell_of_unspent(token, identity)
        return identity
    if identity is None and not token:
        is_lost = settings.token_file is not None and not settings.token_file.exists()
        raise UnauthenticatedError(
            f"this agent has no identity in {settings.state_dir}"
            + (f", and {settings.token_file} is not there" if is_lost else ""),
            hint="make a join key (`gamekeeper join-key make`) or a token (`gamekeeper node enrol NODE`), and give it "
            "with --token",
        )
    backoff, waiting = Backoff(), Waiting()
    while True:
        try:
            identity = await _join(joining, identity, token)
            if identity.policy_template is not None:
                keep_template(settings.policy_path, identity.policy_template)
            save_identity(settings.state_dir, identity)
        except JoinWaitsError as error:
            backoff.reset()
            await waiting.wait(error)
        except UnavailableError as error:
            log.warning("%s; trying on", error)
            await asyncio.sleep(backoff.next_delay())
        else:
            log.info("joined as node %s", identity.node_id)
            return identity


def _tell_of_unspent(token: str, identity: Identity) -> None:
    if token and hash_key(token) != identity.joined_by:
        log.info("this agent is node %s already; the token is spent only if that is refused", identity.node_id)


async def _join(joining: Joining, identity: Identity | None, token: str) -> Identity:
    """An agent of the version before has an identity without a certificate: its key, or a token, gets it one."""
    if identity is None or (token and not is_join_key(token)):
        try:
            return await joining.join(token, identity.node_id if identity else "")
        except UnauthenticatedError:
            if identity is None:
                raise
    await joining.come_back(identity)
    return identity


def _given_token(settings: AgentSettings) -> str:
    if settings.token_file is not None and settings.token_file.exists():
        return settings.token_file.read_text().strip()
    return settings.token


async def _run_workers(settings: AgentSettings, agent: Agent, temporal: TemporalLink, known: asyncio.Event) -> None:
    """Takes steps for as long as this process has its node's place; see ``node_link/place.py``."""
    await known.wait()
    place = agent.link.place
    os.environ.setdefault("TEMPORAL_NAMESPACE", agent.membership.identity.temporal_namespace or "default")
    while True:
        await place.until_ours()
        working: asyncio.Task[None] = asyncio.create_task(_take_steps(settings, agent, temporal))
        taken: asyncio.Task[None] = asyncio.create_task(place.until_taken())
        try:
            await asyncio.wait({working, taken}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            working.cancel()
            taken.cancel()
            await asyncio.gather(working, taken, return_exceptions=True)
        log.warning("this agent takes no steps: another one holds its node")


async def _take_steps(settings: AgentSettings, agent: Agent, temporal: TemporalLink) -> None:
    identity = agent.membership.identity
    answers = Answers(await temporal.connect(), agent.journal)
    results = await asyncio.to_thread(agent.journal.kept_answers)
    tokens = await asyncio.to_thread(agent.journal.take_tokens)  # before our own deliveries join them
    async with contextlib.AsyncExitStack() as stack:
        hand_over = timedelta(seconds=HAND_OVER_SECONDS if settings.stop_containers else 0)
        workers = build_workers(agent, answers, identity, hand_over)
        for worker in workers:
            await stack.enter_async_context(worker)
        log.info("node %s takes steps", identity.node_id)
        await answers.hand_over(results, tokens)
        await temporal.follow(workers, answers)


async def _simulate(settings: AgentSettings, tokens: Path) -> None:
    from agent_worker.simulation import simulate

    work = asyncio.create_task(simulate(settings.server, tokens, settings.state_dir))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work


def main() -> None:
    memory.share_arenas()
    leave_no_core_dumps()
    configure_logging()
    status = 0
    try:
        settings = AgentSettings.from_environment()
        os.environ.pop(f"{PREFIX}TOKEN", None)  # the agent's children have no use for it
        configure_logging(settings.log_level)
        configure_tracing("gamekeeper-agent-worker")
        run_answering(_simulate(settings, settings.simulate_tokens) if settings.simulate_tokens else work(settings))
    except GamekeeperError as error:
        log.error("%s", error)
        status = exit_status(error)
    logging.shutdown()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()

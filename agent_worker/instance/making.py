"""Makes and starts the container of a revision: image, policy, network, container, process."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING

import psutil

from agent_worker.instance import ports
from agent_worker.instance.kept_secrets import SecretsAwayError
from gamekeeper.domain.container.container_key import InstanceKey
from gamekeeper.domain.container.registry_login import RegistryLogin, check_registry, read_login
from gamekeeper.domain.instance.order import InstanceOrder
from gamekeeper.domain.instance.state import InstanceReason, InstanceState
from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.project_volume import of_instance, own_prefix
from gamekeeper.domain.node.hardened import hardened
from gamekeeper.domain.node.judged import Judged
from gamekeeper.domain.node.judgement import Subject
from gamekeeper.errors import ImageError, InvalidError, PolicyError, SecretError, UnavailableError
from gamekeeper.ports.container_engine import (
    ContainerInfo,
    ContainerStatus,
    EngineFaultError,
    NameTakenError,
    NewContainer,
    Ownership,
    group_network,
)

if TYPE_CHECKING:
    from agent_worker.instance.kept import Kept

Work = Coroutine[None, None, None]
PULL_IDLE_SECONDS = 120.0
PULLS = 3
REMOVALS = 5
DRAIN_SECONDS = 10.0
TELL_SECONDS = 1.0
_PORT_WORDS = ("address already in use", "port is already allocated")


class PortTakenError(EngineFaultError):
    """Somebody else holds a port that the instance publishes."""


def reason_of(error: EngineFaultError) -> InstanceReason:
    is_port = isinstance(error, PortTakenError) or any(words in str(error) for words in _PORT_WORDS)
    return InstanceReason.PORT_TAKEN if is_port else InstanceReason.ENGINE


async def create(kept: Kept) -> None:
    """Makes the container, and starts nothing. Raises ImageError, InvalidError and EngineFaultError."""
    order = kept.order
    check_policy(kept, order.spec.container)
    if kept.record.status is None or not kept.record.status.state.is_up:
        await kept.tell(InstanceState.PREPARING, kept.memory.reason, kept.memory.message)
    if order.spec.container.pull_policy == "always":
        await _pull(kept)
    revisions = [*(item for item in kept.memory.revisions if item != order.revision), order.revision]
    await kept.remember(kept.memory.but(revisions=revisions))
    await kept.tools.logs.begin_anew(order.key)
    await _create_pulled(kept)


async def _create_pulled(kept: Kept) -> None:
    """With an image that comes where it is missing, and again where somebody prunes it before a container has it."""
    for _ in range(PULLS):
        try:
            await _create(kept)
            return
        except ImageError:
            if kept.order.spec.container.pull_policy == "never":
                raise
        await _pull(kept)
    await _create(kept)


async def _create(kept: Kept) -> None:
    secrets = await kept.tools.secrets.newest(kept.order.key, kept.order.spec.container.secret_names)
    named = len(kept.order.spec.container.secrets)
    new = replace(new_container(kept, await _network(kept)), secrets=named, values=secrets)
    for name in own_volumes(kept.order):
        await kept.tools.engine.ensure_own_volume(name, kept.order.instance)
    container_id = await _create_named(kept, new)
    if container_id is None:
        return
    made = ContainerInfo(container_id, new.owner.key.container_name, new.spec.image, ContainerStatus.CREATED, new.owner)
    kept.sight = kept.sight.and_made(made, kept.order.revision)
    kept.tools.changed()
    await kept.remember(kept.memory.but(container_id=container_id, faults=0))


async def _create_named(kept: Kept, new: NewContainer) -> str | None:
    """The new container; None where it is there already. One of the name that is being removed, as for an agent that
    was killed then, is waited for."""
    engine, name = kept.tools.engine, kept.order.key.container_name
    for _ in range(REMOVALS):
        try:
            return await engine.create(new)
        except NameTakenError as error:
            found = await engine.find(name)
            if found is not None and found.status is ContainerStatus.REMOVING:
                await engine.remove(found.id)
            elif found is not None:
                if found.owner is not None and (found.owner.key, found.owner.node) == (kept.order.key, kept.order.node):
                    return None
                words = f"a container named {name} exists that is not this instance's"
                raise EngineFaultError(words, hint="remove or rename it") from error
    raise EngineFaultError(f"container {name} is being removed")


def check_policy(kept: Kept, container: Container) -> None:
    """Before every start: a link may lead elsewhere by now, and the node's owner may have changed the file."""
    order = kept.order
    violations = kept.tools.policy.violations(container, _subject(order))
    if violations:
        raise PolicyError(f"the policy of node {order.node} forbids it: {'; '.join(map(str, violations))}")


def _subject(order: InstanceOrder) -> Subject:
    return Subject(order.pipeline, order.instance, order.caller)


def new_container(kept: Kept, network: str | None) -> NewContainer:
    """The engine's own restart policy is always none: only one may start a process."""
    order = kept.order
    owner = Ownership(key=order.key, node=order.node, pipeline=order.pipeline, kind="service", lifetime="node")
    spec = order.spec.container
    changes = {
        "restart": "no",
        "volumes": [of_instance(volume, order.instance) for volume in spec.volumes],
    }
    machine = str(psutil.virtual_memory().total * 9 // 10)
    limited = hardened(spec.model_copy(update=changes), kept.tools.policy.default_limits(), machine)
    names = tuple(order.spec.aliases)
    judged = Judged(spec, _subject(order))
    return NewContainer(owner, limited, network, alias=order.instance, aliases=names, judged=judged)


def own_volumes(order: InstanceOrder) -> list[str]:
    """The names of the instance's own volumes in its revision."""
    texts = [of_instance(text, order.instance) for text in order.spec.container.volumes]
    return sorted({text.partition(":")[0] for text in texts if text.startswith(own_prefix(order.instance))})


async def _network(kept: Kept) -> str | None:
    """The network that it shares; None where it names a mode of its own."""
    order, engine = kept.order, kept.tools.engine
    if order.spec.container.network_mode is not None:
        return None
    if order.spec.group is None:
        return await engine.ensure_node_network()
    await engine.ensure_group(order.spec.group)
    return group_network(order.spec.group)


async def _pull(kept: Kept) -> None:
    image = kept.order.spec.container.image
    loop, telling = asyncio.get_running_loop(), [asyncio.create_task(asyncio.sleep(0))]
    told_at = loop.time() - TELL_SECONDS

    def progress(text: str) -> None:
        nonlocal told_at
        if loop.time() - told_at >= TELL_SECONDS and telling[0].done():
            told_at = loop.time()
            telling[0] = loop.create_task(kept.tell(InstanceState.PREPARING, message=text))

    progress(f"pulling {image}")
    try:
        await kept.tools.engine.pull(image, progress, PULL_IDLE_SECONDS, await _login(kept))
    finally:
        await asyncio.gather(*telling, return_exceptions=True)


async def _login(kept: Kept) -> RegistryLogin | None:
    container = kept.order.spec.container
    if container.pull is None:
        return None
    check_registry(container.pull, container.image)
    values = await kept.tools.secrets.newest(kept.order.key, [container.pull.secret])
    return read_login(container.pull.secret, values[container.pull.secret])


async def _make_room(kept: Kept, info: ContainerInfo) -> None:
    """Removes an ended container whose variables have older secrets: a container's variables never change. The next
    round makes it anew. That it goes is noted before, or it would count as removed by somebody else."""
    assert info.owner is not None
    if info.started_at is not None:
        kept.tools.logs.follow(info.owner.key, info.id, until_removed=False)
        if not await kept.tools.logs.drain(info.owner.key, DRAIN_SECONDS):
            raise UnavailableError("the log of its container is still being read")
    await kept.remember(kept.memory.but(container_id=""))
    await kept.tools.engine.remove(info.id)
    kept.tools.changed()


async def start(kept: Kept, info: ContainerInfo) -> None:
    """Starts what was made, or has ended, with the newest values of its secrets; or takes it away where that asks for
    another container. Raises StartError, InvalidError and EngineFaultError, and UnavailableError for secrets that
    nobody can tell now."""
    check_policy(kept, kept.order.spec.container)
    published = kept.order.spec.container.ports
    if published and (holder := await asyncio.to_thread(ports.holder, published, kept.tools.proc)):
        raise PortTakenError(holder)
    assert info.owner is not None
    secrets = None
    if names := kept.order.spec.container.secret_names:
        secrets = await kept.tools.secrets.newest_or_none(kept.order.key, names)
        if not await kept.tools.engine.keeps_secrets(info.id, secrets):
            if secrets is None:
                raise SecretsAwayError(names)
            await _make_room(kept, info)
            return
    await kept.tools.logs.go_on(info.owner.key)
    try:
        await kept.tools.engine.start(info.id, secrets)
    except (PolicyError, SecretError):
        raise
    except InvalidError as error:  # it was made, so nothing is wrong with it: somebody may be removing it
        raise EngineFaultError(str(error)) from error
    await kept.tell(InstanceState.STARTING, kept.memory.reason, kept.memory.message, info)
    is_own = isinstance(info.owner.key, InstanceKey)
    kept.tools.logs.follow(info.owner.key, info.id, until_removed=True)
    if is_own:
        kept.tools.changed()
    await kept.remember(kept.memory.but(faults=0, wait_for=0.0))

"""The policy of now is asked before a command begins in a container, whatever it was when the container was made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from agent_worker.docker_engine import DockerEngine
from agent_worker.dummy_engine import DummyEngine
from agent_worker.node_link.consoles import Consoles
from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.node.judged import Judged
from gamekeeper.domain.node.judgement import Subject
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.domain.run.console import ConsoleRequest
from gamekeeper.errors import PolicyError
from gamekeeper.ports.container_engine import ContainerEngine, NewContainer
from tests.factories import make_console, make_key, make_new_container, make_owner

PRIVILEGED = NodePolicy(privileged=True)
WORDS = "the policy of node node-1 forbids a command in it by now: privileged is not in the policy"


def new(node: str = "node-1", *, privileged: bool = True, **spec: Any) -> NewContainer:
    made = make_new_container(make_owner(node=node, key=make_key()), privileged=privileged, **spec)
    return replace(made, judged=Judged(made.spec, Subject("test", "")))


def request(made: NewContainer, *command: str) -> ConsoleRequest:
    assert isinstance(made.owner.key, StepKey)
    return replace(make_console(*command), key=made.owner.key)


def consoles(engine: ContainerEngine, policy: NodePolicy) -> Consoles:
    return Consoles(engine, cast(Any, None), policy)


async def begun(engine: ContainerEngine, made: NewContainer) -> str:
    container_id = await engine.create(made)
    await engine.start(container_id)
    return container_id


async def test_a_command_in_what_runs_is_judged_anew_and_its_own_console_is_not() -> None:
    engine, made = DummyEngine("node-1"), new(environment={"DUMMY_SLEEP": "60"})
    await begun(engine, made)
    await consoles(engine, PRIVILEGED)._begin(request(made, "sh"))
    with pytest.raises(PolicyError, match=WORDS):
        await consoles(engine, NodePolicy())._begin(request(made, "sh"))
    await (await consoles(engine, NodePolicy())._begin(request(made))).close()


async def test_a_look_into_what_has_ended_is_judged_anew() -> None:
    engine, made = DummyEngine("node-1"), new()
    await engine.wait(await begun(engine, made))
    await consoles(engine, PRIVILEGED)._begin(request(made, "sh"))
    with pytest.raises(PolicyError, match=WORDS):
        await consoles(engine, NodePolicy())._begin(request(made, "sh"))


async def test_of_an_older_agents_container_only_one_that_runs_takes_a_command() -> None:
    engine = DummyEngine("node-1")
    runs, ended = (replace(new(environment={"DUMMY_SLEEP": sleep}), judged=None) for sleep in ("60", "0"))
    await begun(engine, runs)
    await engine.wait(await begun(engine, ended))
    await consoles(engine, NodePolicy())._begin(request(runs, "sh"))
    with pytest.raises(PolicyError, match="made by an agent of an older version"):
        await consoles(engine, PRIVILEGED)._begin(request(ended, "sh"))


async def test_docker_keeps_the_words_with_the_container(docker_engine: DockerEngine, test_image: str) -> None:
    made = new(docker_engine._node, privileged=False, image=test_image, command=["true"])
    await docker_engine.wait(await begun(docker_engine, made))
    with pytest.raises(PolicyError, match="user of the image as root is not in the policy"):
        await consoles(docker_engine, NodePolicy(root=False))._begin(request(made, "true"))
    console = await consoles(docker_engine, NodePolicy())._begin(request(made, "true"))
    await console.close()

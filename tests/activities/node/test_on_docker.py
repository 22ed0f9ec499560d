"""The step activities on a real Docker Engine: what the dummy can't tell, because it is Docker's own doing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.node.context import NodeContext
from activities.node.step.steps import StepActivities
from agent_worker.docker_engine import DockerEngine
from gamekeeper.domain.language.step import Lifetime
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.domain.run.step import Reason, RunStepInput, StepResult, StepState
from gamekeeper.ports.container_engine import ContainerInfo, ContainerStatus, Health
from tests.factories import make_console, make_container, make_key, make_step_input
from tests.fakes.node_agent import FakeContainers, FakeInputs, FakeJournal, FakePhases, FakeStepLogs
from tests.hang import HANG_SECONDS


class Node:
    """The activities of a node whose engine is Docker."""

    def __init__(self, engine: DockerEngine, image: str) -> None:
        self.engine = engine
        self.image = image
        self.phases = FakePhases()
        self.journal = FakeJournal()
        policy = NodePolicy(devices=["/dev/gamekeeper-none"])
        context = NodeContext(engine, self.journal, FakeStepLogs(), self.phases, FakeContainers(), policy, FakeInputs())
        self.activities = StepActivities(context)

    def step(self, script: str, **fields: Any) -> RunStepInput:
        spec = {"image": self.image, "command": ["sh", "-c", script], "stop_grace_period": "1s"}
        own = {name: fields.pop(name) for name in ("timeout", "outputs", "key", "network") if name in fields}
        return make_step_input(container=make_container(**(spec | fields)), node=self.engine._node, **own)

    async def job(self, step: RunStepInput) -> StepResult:
        return await ActivityEnvironment().run(self.activities.run_job, step)

    async def service(self, step: RunStepInput) -> StepResult:
        step = step.model_copy(update={"service": True, "lifetime": Lifetime.NODE})
        return await ActivityEnvironment().run(self.activities.start_service, step)

    async def only(self) -> ContainerInfo:
        infos = await self.engine.list_owned()
        assert len(infos) == 1
        return infos[0]


@pytest.fixture
def node(docker_engine: DockerEngine, test_image: str) -> Node:
    return Node(docker_engine, test_image)


@pytest.mark.parametrize("script", ["exit 1", "sleep 0.2; exit 1"])
async def test_a_service_that_crashes_again_and_again_never_counts_as_healthy(node: Node, script: str) -> None:
    result = await node.service(node.step(f"echo no map; {script}", restart="unless-stopped", timeout=15.0))
    assert (result.state, result.reason) == (StepState.FAILED, Reason.UNHEALTHY)
    assert "last with exit code 1" in result.message
    assert 'last line: "no map"' in result.message
    assert (await node.only()).status is ContainerStatus.EXITED


async def test_a_service_may_be_unhealthy_for_long_before_it_is_healthy(node: Node) -> None:
    script = "while [ ! -e /asked ]; do sleep 0.05; done; touch /healthy; sleep 600"
    check = {"test": ["CMD-SHELL", "test -e /healthy || { echo not yet; false; }"], "interval": "100ms", "retries": 1}
    step = node.step(script, healthcheck=check, restart="unless-stopped", timeout=60.0)
    starting = asyncio.create_task(node.service(step))
    async with asyncio.timeout(HANG_SECONDS):
        while not any("not yet" in message for message in node.phases.messages):
            await asyncio.sleep(0.05)
    info = await node.only()
    assert info.health is Health.UNHEALTHY
    console = await node.engine.open_console(info.id, make_console("touch", "/asked"))
    async with asyncio.timeout(HANG_SECONDS):
        result = await starting
    await console.close()
    assert (result.state, result.container_id) == (StepState.SUCCEEDED, info.id)
    assert (await node.only()).restart_count == 0


async def until_started(node: Node, step: RunStepInput) -> StepResult:
    """Hands the step out until it gives a result, as Temporal does."""
    while True:
        try:
            return await node.job(step)
        except ApplicationError as error:
            if error.non_retryable:
                raise


async def test_a_port_of_a_foreign_process_is_waited_for(node: Node) -> None:
    with socket.socket() as foreign:
        foreign.bind(("127.0.0.1", 0))
        foreign.listen()
        step = node.step("true", ports=[f"127.0.0.1:{foreign.getsockname()[1]}:80"])
        with pytest.raises(ApplicationError, match="address already in use"):
            await node.job(step)
        assert await node.engine.list_owned() == []
    assert (await until_started(node, step)).state is StepState.SUCCEEDED


async def test_a_device_that_is_not_there_ends_the_step_with_the_engines_words(node: Node) -> None:
    result = await until_started(node, node.step("true", devices=["/dev/gamekeeper-none"]))
    assert (result.state, result.reason) == (StepState.FAILED, Reason.ENGINE)
    assert "/dev/gamekeeper-none" in result.message


async def test_a_network_that_went_is_made_again(node: Node) -> None:
    first = node.step("true", network=True)
    assert (await node.job(first)).state is StepState.SUCCEEDED
    await node.engine.remove((await node.only()).id)
    node.engine._api.remove_network(f"gk-{first.key.run_id}")
    second = node.step("true", network=True, key=make_key(run_id=first.key.run_id, step="second"))
    assert (await until_started(node, second)).state is StepState.SUCCEEDED


async def test_a_command_that_can_not_be_run_is_the_steps_own_fault(node: Node) -> None:
    for command in (["no-such-command"], ["/etc/passwd"]):
        result = await node.job(node.step("", command=command))
        assert (result.state, result.reason) == (StepState.FAILED, Reason.EXIT_CODE), command
        await node.engine.remove((await node.only()).id)


async def test_outputs_of_a_failed_step_are_kept(node: Node) -> None:
    step = node.step('echo version=7 >> "$STEP_OUTPUT"; exit 3', outputs=["version", "why"])
    result = await node.job(step)
    assert (result.state, result.exit_code, result.outputs) == (StepState.FAILED, 3, {"version": "7"})


@pytest.mark.parametrize(
    ("whose", "before", "read_only"),
    [
        ("the step", None, False),
        ("its image", None, True),
        ("the step", "touch /workspace/of-root", True),
        ("its image", "chown 7:8 /workspace", False),
    ],
)
async def test_any_user_may_write_to_the_workspace(
    node: Node, whose: str, before: str | None, read_only: bool, image_of_a_user: str
) -> None:
    run_id = make_key().run_id
    if before is not None:
        of_root = node.step(
            f"{before} && {mode_is(755)}", read_only=read_only, key=make_key(run_id=run_id, step="root")
        )
        assert (await node.job(of_root)).exit_code == 0, "a step of root has no use for a workspace that is opened"
    user = {"user": "1000:1000"} if whose == "the step" else {"image": image_of_a_user}
    owner = "7:8" if before and "chown" in before else "0:0"
    script = f"touch /workspace/of-a-user && {mode_is(777)} && {owner_is(owner)}"
    first = node.step(script, **user, read_only=read_only, key=make_key(run_id=run_id, step="first"))
    assert (await node.job(first)).exit_code == 0
    closing = node.step("chmod 700 /workspace", user="0", key=make_key(run_id=run_id, step="close"))
    assert (await node.job(closing)).state is StepState.SUCCEEDED
    node.engine._resources.forget()  # an agent that was started again
    later = node.step("touch /workspace/again", user="1000:1000", key=make_key(run_id=run_id, step="later"))
    assert (await node.job(later)).exit_code == 1, "what a step did to the workspace was undone"


def mode_is(mode: int) -> str:
    return f'test "$(busybox stat -c %a /workspace)" = {mode}'


def owner_is(owner: str) -> str:
    return f'test "$(busybox stat -c %u:%g /workspace)" = {owner}'


async def test_root_without_its_capabilities_may_write_to_the_workspace_of_another(node: Node) -> None:
    first = node.step("chown 7:8 /workspace")
    assert (await node.job(first)).exit_code == 0
    key = make_key(run_id=first.key.run_id, step="second")
    assert (await node.job(node.step("touch /workspace/x", cap_drop=["ALL"], key=key))).exit_code == 0


@pytest.fixture
def image_of_a_user(docker_engine: DockerEngine, test_image: str) -> Iterator[str]:
    """The test image with a user of its own."""
    api = docker_engine._api
    made = api.create_container_from_config({"Image": test_image, "Cmd": ["true"]})["Id"]  # type: ignore[no-untyped-call]
    name = f"gamekeeper/of-a-user:{docker_engine._node}"
    repository, _, tag = name.partition(":")
    try:
        api.commit(made, repository, tag, conf={"User": "1000:1000"})
    finally:
        api.remove_container(made)
    yield name
    api.remove_image(name, force=True)


async def test_a_child_out_of_memory_is_told_one_way(node: Node) -> None:
    limits = {"resources": {"limits": {"memory": "16m"}}}
    # containerd watches from a moment after the start until the container ends. What happens outside is never told.
    child = "busybox dd if=/dev/zero of=/dev/null bs=200M count=1"
    for code in (0, 3):
        step = node.step(f"{until_there('/watched')}; {child}; {until_there('/told')}; exit {code}", deploy=limits)
        job = asyncio.create_task(node.job(step))
        async with asyncio.timeout(HANG_SECONDS):
            running = await the_running(node)
            watched = await node.engine.open_console(running.id, make_console("touch", "/watched"))
            while not any(usage.oom_events for usage in await node.engine.usage()):
                await asyncio.sleep(0.05)
            told = await node.engine.open_console(running.id, make_console("touch", "/told"))
            result = await job
        await watched.close()
        await told.close()
        assert result.exit_code == code
        if code:
            assert (result.state, result.reason) == (StepState.FAILED, Reason.OOM)
        else:
            assert result.state is StepState.SUCCEEDED
            assert "killed for memory" in result.message
        assert await node.job(step) == result, "another delivery tells the same"


def until_there(path: str) -> str:
    return f"until [ -e {path} ]; do sleep 0.05; done"


async def the_running(node: Node) -> ContainerInfo:
    """The one container that runs: Docker calls it so once containerd has answered its start."""
    while True:
        for info in await node.engine.list_owned():
            if info.status is ContainerStatus.RUNNING:
                return info
        await asyncio.sleep(0.05)

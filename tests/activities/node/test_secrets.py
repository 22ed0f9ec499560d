"""A step gets the secrets that it names when its container is made, and fails in words where it can't have one."""

from __future__ import annotations

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.node.context import NodeContext
from activities.node.step.steps import StepActivities
from agent_worker.dummy_engine import DummyEngine
from gamekeeper.domain.container.registry_login import RegistryLogin
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.domain.run.step import Reason, RunStepInput, StepResult, StepState
from tests.factories import make_container, make_step_input
from tests.fakes.node_agent import FakeContainers, FakeInputs, FakeJournal, FakePhases, FakeStepLogs
from tests.fakes.secret_source import FakeSecrets


class Node:
    def __init__(self, secrets: FakeSecrets) -> None:
        self.engine = DummyEngine("node-1")
        context = NodeContext(
            *(self.engine, FakeJournal(), FakeStepLogs(), FakePhases(), FakeContainers(), NodePolicy(), FakeInputs()),
            heartbeat_seconds=0.05,
            secrets=secrets,
        )
        self.activities = StepActivities(context)

    async def job(self, step: RunStepInput) -> StepResult:
        return await ActivityEnvironment().run(self.activities.run_job, step)


async def test_a_step_gets_what_it_names_when_its_container_is_made() -> None:
    secrets = FakeSecrets(key=b"value", other=b"nothing of it")
    node = Node(secrets)
    step = make_step_input(container=make_container(secrets=[{"secret": "key", "env": "KEY"}, "key"]))
    assert (await node.job(step)).state is StepState.SUCCEEDED
    assert secrets.asked == [(step.key, ["key"])]
    (made,) = node.engine._by_id.values()
    assert made.new.values == {"key": b"value"}
    assert "value" not in repr(made.new) + step.model_dump_json()


async def test_a_step_without_secrets_asks_for_none() -> None:
    secrets = FakeSecrets()
    assert (await Node(secrets).job(make_step_input())).state is StepState.SUCCEEDED
    assert secrets.asked == []


async def test_each_try_asks_anew() -> None:
    secrets = FakeSecrets(key=b"old")
    node, spec = Node(secrets), make_container(secrets=["key"])
    first = make_step_input(container=spec)
    await node.job(first)
    secrets.known["key"] = b"new"
    await node.job(first.model_copy(update={"key": first.key.model_copy(update={"try_": 2})}))
    assert [made.new.values["key"] for made in node.engine._by_id.values()] == [b"old", b"new"]


async def test_a_secret_that_it_can_not_have_is_the_steps_end_and_names_it() -> None:
    node = Node(FakeSecrets())
    result = await node.job(make_step_input(container=make_container(secrets=["key"])))
    assert (result.state, result.reason) == (StepState.FAILED, Reason.SECRET)
    assert result.message == 'there is no secret "key"'
    assert await node.engine.list_owned() == []


async def test_a_value_that_no_variable_holds_is_told() -> None:
    node = Node(FakeSecrets(key=b"a\0b"))
    result = await node.job(make_step_input(container=make_container(secrets=[{"secret": "key", "env": "KEY"}])))
    assert (result.state, result.reason) == (StepState.FAILED, Reason.SECRET)
    assert "no text" in result.message


async def test_a_control_plane_that_is_away_is_waited_for() -> None:
    secrets = FakeSecrets(key=b"value")
    secrets.is_away = True
    node, step = Node(secrets), make_step_input(container=make_container(secrets=["key"]))
    with pytest.raises(ApplicationError) as caught:
        await node.job(step)
    assert not caught.value.non_retryable
    secrets.is_away = False
    assert (await node.job(step)).state is StepState.SUCCEEDED


@pytest.mark.parametrize("value", [b"bot:pass:word", b'{"username": "bot", "password": "pass:word"}'])
async def test_an_image_is_pulled_with_the_credentials_in_its_secret(value: bytes) -> None:
    node = Node(FakeSecrets(login=value))
    image = "registry.example.org/games/arena:1"
    pull = {"secret": "login", "registry": "registry.example.org"}
    await node.job(make_step_input(container=make_container(image=image, pull_policy="always", pull=pull)))
    login = node.engine.logins[image]
    assert login == RegistryLogin("bot", "pass:word")
    assert "pass" not in repr(login)


@pytest.mark.parametrize(
    ("value", "registry", "words"),
    [
        (b"no-colon", None, 'the secret "login" holds no credentials of a registry'),
        (b'{"username": "bot"}', None, 'the secret "login" holds no credentials of a registry'),
        (b"\xff:\xff", None, 'the secret "login" holds no credentials of a registry'),
        (b"bot:word", "other.example.org", 'the credentials "login" are for other.example.org, and image'),
    ],
)
async def test_credentials_that_are_none_pull_nothing(value: bytes, registry: str | None, words: str) -> None:
    node = Node(FakeSecrets(login=value))
    image = "registry.example.org/games/arena:1"
    spec = make_container(image=image, pull_policy="always", pull={"secret": "login", "registry": registry})
    result = await node.job(make_step_input(container=spec))
    assert (result.state, result.reason) == (StepState.FAILED, Reason.SECRET)
    assert result.message.startswith(words)
    assert node.engine.logins == {}

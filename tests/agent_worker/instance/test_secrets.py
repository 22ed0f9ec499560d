"""Secrets of instances: new ones at each start, those of before while the control plane is away, and a wait in words
where there are none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent_worker.dummy_engine import DummyEngine
from agent_worker.instance.kept_secrets import KeptSecrets
from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.instance.state import InstanceReason, InstanceState
from tests.agent_worker.instance.node import KeptNode
from tests.fakes.secret_source import FakeSecrets
from tests.hang import HANG_SECONDS

VARIABLE = {"secret": "rcon", "env": "RCON"}
FILE = {"secret": "rcon"}


class SecretNode(KeptNode):
    """A node whose agents have a control plane to ask."""

    def __init__(self, folder: Path, engine: DummyEngine) -> None:
        super().__init__(folder, engine)
        self.dummy = engine
        self.secrets = FakeSecrets(rcon=b"first")

    def open(self) -> KeptNode:
        super().open()
        self.keeper._tools = replace(self.keeper._tools, secrets=KeptSecrets(self.secrets))
        return self

    def named(self, *secrets: dict[str, str]) -> InstanceSpec:
        return self.spec(container={"secrets": list(secrets)})

    def given(self, revision: int = 1) -> bytes:
        return self.dummy._by_id[self.dummy._ids[self.container(revision)]].new.values["rcon"]

    def crash(self) -> None:
        """Its process ends, and is started again at once."""
        self.dummy._by_id[self.dummy._ids[self.container()]].stop(3)


@pytest.fixture
async def node(tmp_path: Path, dummy: DummyEngine) -> AsyncIterator[SecretNode]:
    node = SecretNode(tmp_path, dummy)
    node.begin()
    yield node
    await node.kill()


@pytest.mark.parametrize("named", [VARIABLE, FILE])
async def test_a_restart_takes_the_newest_value(node: SecretNode, named: dict[str, str]) -> None:
    spec = node.named(named)
    assert (await node.order(spec=spec)).is_ready
    assert node.given() == b"first"
    node.secrets.known["rcon"] = b"second"
    assert node.given() == b"first"
    assert (await node.order(spec=spec, restart=True)).is_ready
    assert node.given() == b"second"
    assert node.told[-1].crash_count == 0


async def test_a_restart_with_the_same_value_keeps_the_container(node: SecretNode) -> None:
    spec = node.named(VARIABLE)
    first = await node.order(spec=spec)
    again = await node.order(spec=spec, restart=True)
    assert first.status.container_id == again.status.container_id


async def test_a_rotated_variable_needs_another_container(node: SecretNode) -> None:
    spec = node.named(VARIABLE)
    first = await node.order(spec=spec)
    node.secrets.known["rcon"] = b"second"
    again = await node.order(spec=spec, restart=True)
    assert first.status.container_id != again.status.container_id
    assert node.logs.drained == [node.keeper._kept["game"].order.key]


@pytest.mark.parametrize("named", [VARIABLE, FILE])
@pytest.mark.parametrize("other_agent", [False, True])
async def test_a_crash_while_the_control_plane_is_away_starts_with_what_there_is(
    node: SecretNode, named: dict[str, str], other_agent: bool
) -> None:
    await node.order(spec=node.named(named))
    node.secrets.is_away = True
    if other_agent:
        await node.kill()
        node.begin()
        await node.keeper._begun.wait()
    node.crash()
    await node.until(lambda status: status.crash_count == 1 and status.state is InstanceState.READY)
    assert node.given() == b"first"


async def test_files_that_went_with_the_machine_are_waited_for_in_words(node: SecretNode) -> None:
    await node.order(spec=node.named(FILE))
    node.secrets.is_away = True
    await node.kill()
    node.dummy.go_down()
    node.dummy.lose_secret_files()
    node.told.clear()
    node.begin()
    kept = None
    async with asyncio.timeout(HANG_SECONDS):
        while kept is None or kept._trouble_from is None:
            await asyncio.sleep(0.01)
            kept = node.keeper._kept.get("game")
    node.ahead += 20
    told = await node.until(lambda status: status.reason is InstanceReason.SECRET)
    assert "waits for its secrets (rcon), which only the control plane can tell" in told.message
    assert await node.running() == []
    node.secrets.is_away = False
    kept.stir()
    await node.until_state(InstanceState.READY)
    assert node.given() == b"first"


async def test_a_secret_that_was_taken_away_is_told_and_starts_nothing(node: SecretNode) -> None:
    del node.secrets.known["rcon"]
    outcome = await node.order(spec=node.named(FILE))
    status = outcome.status
    assert (status.state, status.reason) == (InstanceState.FAILED, InstanceReason.SECRET)
    assert 'there is no secret "rcon"' in status.message
    asked = len(node.secrets.asked)
    node.keeper._kept["game"].stir()
    await node.until(lambda status: status.reason is InstanceReason.SECRET)
    assert len(node.secrets.asked) <= asked + 1  # it is tried again, ever more seldom
    node.secrets.known["rcon"] = b"back"
    node.ahead += 600
    node.keeper._kept["game"].stir()
    await node.until_state(InstanceState.READY)


async def test_an_update_that_can_not_have_its_secret_leaves_the_revision_before(node: SecretNode) -> None:
    await node.order(spec=node.named(FILE))
    del node.secrets.known["rcon"]
    outcome = await node.order(revision=2, spec=node.named(FILE, {"secret": "other"}))
    assert (outcome.is_ready, outcome.status.revision, outcome.status.state) == (False, 1, InstanceState.READY)


async def test_no_journal_and_no_status_holds_a_value(node: SecretNode, tmp_path: Path) -> None:
    await node.order(spec=node.named(VARIABLE, {"secret": "rcon"}))
    assert b"first" not in b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert "first" not in node.story

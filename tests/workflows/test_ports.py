"""Ports of services, as the later steps of their run read them."""

from __future__ import annotations

from typing import Any

from temporalio import activity

from activities.node.step.steps import StepActivities
from gamekeeper.domain.run.step import Reason, RunStepInput, StepResult, StepState
from tests.workflows.conftest import ControlPlane
from tests.workflows.test_pipeline import step

GAME = [{"name": "game", "target": 27015, "protocol": "udp"}, "8080:80"]
READS = "${{ steps.server.ports.game }}/${{ steps.server.ports['80'] }}"


def server(**fields: Any) -> dict[str, Any]:
    return step("server", type="service", container={"ports": GAME} | fields.pop("container", {}), **fields)


def probe(**fields: Any) -> dict[str, Any]:
    """It gives what it reads as an output."""
    return step("probe", dummy={"step_output": f"said={READS}"}, outputs=["said"], **fields)


def said(plane: ControlPlane, name: str) -> str:
    return str(plane.store.last(name).outputs["said"])


async def test_a_later_step_reads_the_ports_of_a_service(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    await control_plane.run(server(), probe(), version=1)
    assert control_plane.store.last("server").named_ports == {"game": 32768, "80": 8080}
    assert said(control_plane, "probe") == "32768/8080"


class NamelessActivities(StepActivities):
    """An agent of a version before, which could not read the names of ports."""

    @activity.defn(name="step.start_service")
    async def start_service(self, step: RunStepInput) -> StepResult:
        assert step.container.ports == ["27015/udp", "8080:80"]
        return await super().start_service(step)


async def test_the_node_gets_no_names(control_plane: ControlPlane) -> None:
    await control_plane.start_node(kind=NamelessActivities)
    assert await control_plane.run(server(), version=1) == {"server": StepState.SUCCEEDED}


class CrashesFirst(StepActivities):
    """Its first try comes up and ends."""

    @activity.defn(name="step.start_service")
    async def start_service(self, step: RunStepInput) -> StepResult:
        if step.key.try_ == 1:
            step.container.environment |= {"DUMMY_SLEEP": "0", "DUMMY_EXIT_CODE": "1"}
        return await super().start_service(step)


async def test_a_retry_gives_the_new_port(control_plane: ControlPlane) -> None:
    await control_plane.start_node(kind=CrashesFirst)
    await control_plane.run(server(retry={"attempts": 2, "backoff": "1ms"}), probe(), version=1)
    assert [len(await control_plane.engine.list_owned(step="server")), said(control_plane, "probe")] == [
        2,
        "32769/8080",
    ]


async def test_ports_of_a_service_that_has_started(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    checked = {"healthcheck": {"test": ["CMD", "true"]}}
    late = server(dummy={"healthy_after": 0.3}, container=checked)
    await control_plane.run(late, probe(needs={"server": "started"}), version=1)
    assert said(control_plane, "probe") == "32768/8080"


async def test_a_service_that_failed_has_no_ports(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    always: dict[str, Any] = {"if": "always()"}
    reads = {"step_output": "said=${{ steps.server.ports.game == null }}"}
    tells = step("tell", dummy=reads, outputs=["said"], **always)
    await control_plane.run(server(dummy={"start_error": "no"}), tells, version=1)
    assert control_plane.store.last("server").reason is Reason.EXIT_CODE
    assert said(control_plane, "tell") == "true"


async def test_the_ports_of_an_instance(control_plane: ControlPlane) -> None:
    await control_plane.start_node()
    control_plane.instances.outcome |= {"named_ports": {"game": 20_000, "80": 8080}}
    states = await control_plane.run(server(lifetime="node"), probe(), version=1)
    assert set(states.values()) == {StepState.SUCCEEDED}
    assert said(control_plane, "probe") == "20000/8080"

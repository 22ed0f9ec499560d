"""The containers that are one's own, whatever labels an image carries."""

from __future__ import annotations

import pytest

from agent_worker.docker_engine.owner_labels import owner_from_labels, owner_labels
from agent_worker.engine_socket.project import Project, project_of
from gamekeeper.domain.container.container_key import ContainerKey, InstanceKey, StepKey
from gamekeeper.ports.container_engine import Ownership

RUN, OTHER_RUN = "a" * 16, "b" * 16
NONE: frozenset[str] = frozenset()


def step(run: str, name: str = "s") -> StepKey:
    return StepKey(run_id=run, step=name, try_=1)


def sees(own: Project, key: ContainerKey, pipeline: str = "", node: str = "n", networks: frozenset[str] = NONE) -> bool:
    return own.has(key.container_name, Ownership(key=key, node=node, pipeline=pipeline), networks)


def test_a_run_a_pipeline_an_instance_and_a_group_are_a_project() -> None:
    arena = InstanceKey(instance="arena", revision=1)
    of_run = project_of(Ownership(key=step(RUN), node="n", pipeline="p"), NONE)
    assert sees(of_run, step(RUN, "other"))
    assert sees(of_run, step(OTHER_RUN), "p")
    assert sees(of_run, arena, "p")
    assert not sees(of_run, step(OTHER_RUN), "q")
    assert not sees(of_run, step(RUN), "p", node="m")
    alone = project_of(Ownership(key=arena, node="n"), frozenset({"gk-instances"}))
    assert sees(alone, InstanceKey(instance="arena", revision=2))
    assert not sees(alone, InstanceKey(instance="other", revision=1), networks=frozenset({"gk-instances"}))
    grouped = project_of(Ownership(key=arena, node="n"), frozenset({"gk-g-lan"}))
    assert sees(grouped, InstanceKey(instance="other", revision=1), networks=frozenset({"gk-g-lan", "bridge"}))
    assert not sees(grouped, InstanceKey(instance="other", revision=1), networks=frozenset({"gk-g-wan"}))


@pytest.mark.parametrize(
    "forged",
    [
        {"gamekeeper.instance": "arena", "gamekeeper.revision": "1"},
        {"gamekeeper.run": RUN, "gamekeeper.step": "s", "gamekeeper.try": "1"},
        {"gamekeeper.pipeline": "p", "gamekeeper.node": "n"},
    ],
)
def test_labels_of_an_image_make_no_project(forged: dict[str, str]) -> None:
    """An image's labels stand beside those that the agent writes, which win where both have one."""
    victims = [
        Ownership(key=InstanceKey(instance="arena", revision=1), node="n", pipeline="p"),
        Ownership(key=step(RUN), node="n", pipeline="p"),
    ]
    attackers: list[ContainerKey] = [InstanceKey(instance="evil", revision=1), step(OTHER_RUN)]
    for key in attackers:
        labels = forged | owner_labels(Ownership(key=key, node="n", pipeline="evil"))
        found = owner_from_labels(labels, key.container_name)
        assert found is not None
        for victim in victims:
            assert not project_of(victim, NONE).has(key.container_name, found)
            assert not project_of(found, NONE).has(victim.key.container_name, victim)


def test_a_container_that_is_not_ours_is_nobodys() -> None:
    assert not Project("n", pipeline="").has("x", None)
    owner = Ownership(key=step(RUN), node="n", pipeline="p")
    assert not project_of(owner, NONE).has("another-name", owner)

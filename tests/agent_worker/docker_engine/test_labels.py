"""Labels say who owns a container, and anybody who may use Docker may write some."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent_worker.docker_engine.owner_labels import owner_from_labels, owner_labels
from gamekeeper.domain.container.container_key import ContainerKey, InstanceKey
from tests.factories import make_key, make_owner


def test_our_labels_are_read_back() -> None:
    owner = make_owner(kind="service", lifetime="node", deadline=12.5)
    assert owner_from_labels(owner_labels(owner), owner.key.container_name) == owner


@pytest.mark.parametrize(
    ("name", "value"),
    [("try", "0"), ("try", "10001"), ("try", "x"), ("run", "../x"), ("run", ""), ("step", "a/b"), ("step", "x" * 64)],
)
def test_a_container_with_labels_that_we_can_not_have_written_is_not_ours(name: str, value: str) -> None:
    owner = make_owner()
    labels = owner_labels(owner) | {f"gamekeeper.{name}": value}
    assert owner_from_labels(labels, owner.key.container_name) is None
    del labels[f"gamekeeper.{name}"]
    assert owner_from_labels(labels, owner.key.container_name) is None


@pytest.mark.parametrize("key", [make_key(), InstanceKey(instance="evil", revision=3)])
def test_labels_of_an_image_make_no_owner(key: ContainerKey) -> None:
    """An image's labels stand beside those that we write, which win where both have one."""
    owner = make_owner(key=key)
    if isinstance(key, InstanceKey):
        owner = replace(owner, kind="service", lifetime="node")
    victims = [make_owner(key=make_key(), deadline=5.0), make_owner(key=InstanceKey(instance="arena", revision=1))]
    for victim in victims:
        forged = owner_labels(victim) | {"gamekeeper.kind": "job", "gamekeeper.lifetime": "run"}
        assert owner_from_labels(forged | owner_labels(owner), key.container_name) == owner

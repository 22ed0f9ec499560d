"""Labels say who owns a container, and anybody who may use Docker may write some."""

from __future__ import annotations

import pytest

from agent_worker.docker_engine.owner_labels import owner_from_labels, owner_labels
from tests.factories import make_owner


def test_our_labels_are_read_back() -> None:
    owner = make_owner(kind="service", lifetime="node", deadline=12.5)
    assert owner_from_labels(owner_labels(owner)) == owner


@pytest.mark.parametrize(
    ("name", "value"),
    [("try", "0"), ("try", "10001"), ("try", "x"), ("run", "../x"), ("run", ""), ("step", "a/b"), ("step", "x" * 64)],
)
def test_a_container_with_labels_that_we_can_not_have_written_is_not_ours(name: str, value: str) -> None:
    labels = owner_labels(make_owner()) | {f"gamekeeper.{name}": value}
    assert owner_from_labels(labels) is None
    del labels[f"gamekeeper.{name}"]
    assert owner_from_labels(labels) is None

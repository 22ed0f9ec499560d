"""The project of a container: the others that it may see.

These are the containers of its run, its pipeline, its instance and its instances' group on this node. The name of a
container tells the owner that its labels claim: an image may carry any label, and no name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gamekeeper.domain.container.container_key import InstanceKey, StepKey
from gamekeeper.ports.container_engine import Ownership, group_network


@dataclass(frozen=True)
class Project:
    """``node`` bounds it; of the others each that is not empty takes containers in."""

    node: str
    run: str = ""
    instance: str = ""
    pipeline: str = ""
    groups: frozenset[str] = field(default_factory=frozenset)

    def has(self, name: str, owner: Ownership | None, networks: frozenset[str] = frozenset()) -> bool:
        if owner is None or owner.node != self.node or owner.key.container_name != name:
            return False
        other = project_of(owner, networks)
        same = ((self.run, other.run), (self.instance, other.instance), (self.pipeline, other.pipeline))
        return any(own and own == their for own, their in same) or bool(self.groups & other.groups)


def project_of(owner: Ownership, networks: frozenset[str]) -> Project:
    """The project of an owner's container, which has those networks."""
    key = owner.key
    return Project(
        node=owner.node,
        run=key.run_id if isinstance(key, StepKey) else "",
        instance=key.instance if isinstance(key, InstanceKey) else "",
        pipeline=owner.pipeline,
        groups=frozenset(name for name in networks if name.startswith(group_network(""))),
    )


def name_of(item: Mapping[str, Any]) -> str:
    """The name of a container as the engine lists it, which tells those that links gave it as well; empty while it is
    being removed."""
    return next((name.lstrip("/") for name in item.get("Names") or [] if name.count("/") == 1), "")


def networks_of(told: Mapping[str, Any]) -> frozenset[str]:
    """The networks of a container as the engine tells it; one that has never run has the one that it was made for."""
    there = (told.get("NetworkSettings") or {}).get("Networks") or {}
    return frozenset([*there, (told.get("HostConfig") or {}).get("NetworkMode", "")])

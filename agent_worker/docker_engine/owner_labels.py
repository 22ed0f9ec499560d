"""A container's labels say who owns it: they are all that is left of that when an agent has lost its own state."""

from __future__ import annotations

from gamekeeper.domain.container.container_key import ContainerKey, InstanceKey, StepKey
from gamekeeper.ports.container_engine import Ownership

LABEL = "gamekeeper."
LIMITED = LABEL + "limited"


def owner_labels(owner: Ownership) -> dict[str, str]:
    common = {LABEL + "node": owner.node, LABEL + "pipeline": owner.pipeline}
    if isinstance(owner.key, InstanceKey):
        return common | {LABEL + "instance": owner.key.instance, LABEL + "revision": str(owner.key.revision)}
    return common | {
        LABEL + "run": owner.key.run_id,
        LABEL + "step": owner.key.step,
        LABEL + "try": str(owner.key.try_),
        LABEL + "kind": owner.kind,
        LABEL + "lifetime": owner.lifetime,
        LABEL + "deadline": f"{owner.deadline:.3f}",
    }


def owner_from_labels(labels: dict[str, str]) -> Ownership | None:
    """The owner, or None for a container that is not ours: whose labels we can't have written."""
    try:
        key = _key_from_labels(labels)
        if not key.is_possible:
            return None
        of_instance = isinstance(key, InstanceKey)
        return Ownership(
            key=key,
            node=labels[LABEL + "node"],
            pipeline=labels.get(LABEL + "pipeline", ""),
            kind=labels.get(LABEL + "kind", "service" if of_instance else "job"),
            lifetime=labels.get(LABEL + "lifetime", "node" if of_instance else "run"),
            deadline=float(labels.get(LABEL + "deadline", "0")),
        )
    except (KeyError, ValueError):
        return None


def _key_from_labels(labels: dict[str, str]) -> ContainerKey:
    if (instance := labels.get(LABEL + "instance")) is not None:
        return InstanceKey(instance=instance, revision=int(labels[LABEL + "revision"]))
    return StepKey(run_id=labels[LABEL + "run"], step=labels[LABEL + "step"], try_=int(labels[LABEL + "try"]))

"""A container's labels say who owns it: they are all that is left of that when an agent has lost its own state."""

from __future__ import annotations

from contextlib import suppress

from gamekeeper.domain.container.container_key import InstanceKey, StepKey
from gamekeeper.ports.container_engine import Ownership

LABEL = "gamekeeper."
LIMITED = LABEL + "limited"
JUDGED = LABEL + "judged"
SECRETS = LABEL + "secrets"


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


def owner_from_labels(labels: dict[str, str], name: str) -> Ownership | None:
    """The owner of the container of that name, or None for one that is not ours: whose labels we can't have written.

    An image may carry labels of ours beside those that we write, and no name. So of two keys that they give, that of
    the name counts.
    """
    found = [owner for read in (_of_instance, _of_step) if (owner := read(labels)) is not None]
    return next((owner for owner in found if owner.key.container_name == name), found[0] if found else None)


def secrets_from_labels(labels: dict[str, str]) -> int:
    """The number of secret values that the container was given. We write it to each, whatever its image says."""
    count = labels.get(SECRETS, "")
    return int(count) if count.isascii() and count.isdigit() and len(count) < 10 else 0


def _of_instance(labels: dict[str, str]) -> Ownership | None:
    """Of the common labels alone: we write an instance no other, and those of an image are not ours."""
    with suppress(KeyError, ValueError):
        key = InstanceKey(instance=labels[LABEL + "instance"], revision=int(labels[LABEL + "revision"]))
        pipeline = labels.get(LABEL + "pipeline", "")
        if key.is_possible:
            return Ownership(key, labels[LABEL + "node"], pipeline, kind="service", lifetime="node")
    return None


def _of_step(labels: dict[str, str]) -> Ownership | None:
    with suppress(KeyError, ValueError):
        key = StepKey(run_id=labels[LABEL + "run"], step=labels[LABEL + "step"], try_=int(labels[LABEL + "try"]))
        if key.is_possible:
            return Ownership(
                key=key,
                node=labels[LABEL + "node"],
                pipeline=labels.get(LABEL + "pipeline", ""),
                kind=labels.get(LABEL + "kind", "job"),
                lifetime=labels.get(LABEL + "lifetime", "run"),
                deadline=float(labels.get(LABEL + "deadline", "0")),
            )
    return None

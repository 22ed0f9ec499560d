"""One use of a secret: who asks for its value, and where the value goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class UserKind(StrEnum):
    """The kinds of things that a value is given to."""

    RUN_STEP = "run-step"
    INSTANCE = "instance"


@dataclass(frozen=True)
class SecretUse:
    """``pipeline`` is that of the run, or the one that made the instance; empty for an instance that a user made.
    ``instance`` is the instance's id, empty for a step. ``node`` is where the value goes, and ``node_labels`` are that
    node's: users give instances their labels, and would give themselves secrets by them. ``run`` and ``step`` are for
    the event that tells of it."""

    kind: UserKind
    pipeline: str = ""
    instance: str = ""
    node: str = ""
    node_labels: Mapping[str, str] = field(default_factory=dict)
    run: str = ""
    step: str = ""

    @property
    def user(self) -> str:
        """The user in words."""
        made_by = f' of pipeline "{self.pipeline}"' if self.pipeline else ""
        if self.kind is UserKind.INSTANCE:
            return f'instance "{self.instance}"{made_by}'
        return f'step "{self.step}"{made_by}' if self.step else f'a step of pipeline "{self.pipeline}"'

    def __str__(self) -> str:
        return f'{self.user} on node "{self.node}"' if self.node else self.user

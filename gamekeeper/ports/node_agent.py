"""What a step activity needs of its agent beside the container engine: the journal, the log shipping, the phases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gamekeeper.domain.run.step import StepKey, StepState


@dataclass(frozen=True)
class Begun:
    """When a try was first seen on this node (Unix seconds); ``again`` when this is not its first delivery here."""

    at: float
    container_id: str = ""
    again: bool = True


class Journal(Protocol):
    """Survives the agent's death, on its own disk. Every call is short and idempotent."""

    def begin(self, key: StepKey, task_token: bytes) -> Begun:
        """Records the delivery and returns the first sighting of this try."""

    def record_container(self, key: StepKey, container_id: str) -> None:
        """From here on a missing container is a loss, and never a reason to run the step again."""

    def returned(self, task_token: bytes) -> None:
        """The activity has handed back its answer; the token is kept for a while in case the answer is lost."""


class StepLogs(Protocol):
    """Ships a container's log. Outlives the activity: a service's log goes on after its step has ended."""

    def follow(self, key: StepKey, container_id: str, *, until_removed: bool, one_file: bool = False) -> None:
        """Starts to follow, or does nothing when that container is followed already."""

    async def drain(self, key: StepKey, deadline: float) -> bool:
        """Waits until the log of an ended container is on this node's disk, at most ``deadline`` seconds."""


class Phases(Protocol):
    """Tells the control plane how far a step is. Best effort between the states that the workflow owns."""

    def report(self, key: StepKey, phase: StepState, message: str = "", container_id: str = "") -> None:
        """Returns at once."""

    def forget(self, key: StepKey) -> None:
        """The delivery is over; its phase is not told again after a reconnect."""


class Containers(Protocol):
    def changed(self) -> None:
        """Asks for a fresh report of this node's containers soon; returns at once."""

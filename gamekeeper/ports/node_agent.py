"""The agent as a step activity sees it, beside the container engine: the journal, the log shipping, the phases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gamekeeper.domain.container.container_key import ContainerKey, StepKey
from gamekeeper.domain.run.step import StepState


@dataclass(frozen=True)
class Begun:
    """The first sighting of a try on this node (Unix seconds); ``again`` when this is not its first delivery here.
    ``fault`` holds the engine's words when it failed to start the try's container the last time; ``is_over`` says that
    the control plane has known its outcome, so that this delivery is a repetition."""

    at: float
    container_id: str = ""
    fault: str = ""
    again: bool = True
    is_over: bool = False


class Inputs(Protocol):
    """The inputs of deliveries, as they came over the network."""

    def refusal(self) -> str:
        """The reason why the input of the delivery that asks must not make anything start; empty for a good one.

        Returns at once. Idempotent.
        """
        ...


class Journal(Protocol):
    """Survives the agent's death, on its own disk. Every call blocks its thread for one write, can't be cancelled, and
    raises UnavailableError when the disk takes no write."""

    def begin(self, key: StepKey, task_token: bytes) -> Begun:
        """Records the delivery and returns the first sighting of this try. Idempotent but for ``again``."""

    def record_container(self, key: StepKey, container_id: str) -> None:
        """Records the container of a try. From here on a missing container is a loss, and never a reason to run the
        step again. Idempotent."""

    def record_fault(self, key: StepKey, text: str) -> int:
        """Records that the engine failed to start this try's container, which is to be made anew. Returns how often
        that happened so far. Not idempotent."""
        ...

    def returned(self, task_token: bytes) -> None:
        """Records that the activity has handed back its answer. The token is kept for a while, in case the answer is
        lost. Idempotent."""


class Deliveries(Protocol):
    """The part of the journal that holds deliveries, as ``Journal`` says."""

    def took(self, key: ContainerKey, task_token: bytes) -> None:
        """Records a delivery of something that is no step. Idempotent."""

    def returned(self, task_token: bytes) -> None:
        """As in ``Journal``. Idempotent."""


class StepLogs(Protocol):
    """Ships a container's log. Outlives the activity: a service's log goes on after its step has ended."""

    def follow(self, key: ContainerKey, container_id: str, *, until_removed: bool, one_file: bool = False) -> None:
        """Starts to follow; does nothing when that container is followed already. Returns at once. Idempotent."""

    async def drain(self, key: ContainerKey, deadline: float) -> bool:
        """Blocks until the log of an ended container is on this node's disk, at most ``deadline`` seconds.

        Returns False when the time was over first. Idempotent. Cancelling it ends the wait, not the shipping.
        """


class Phases(Protocol):
    """Tells the control plane how far a step is. Best effort between the states that the workflow owns."""

    def report(self, key: StepKey, phase: StepState, message: str = "", container_id: str = "") -> None:
        """Hands the newest phase to the link, which replaces an older one that was not told yet. Returns at once.

        Idempotent.
        """

    def forget(self, key: StepKey) -> None:
        """Drops the phase of a delivery that is over: it is not told again after a reconnect. Returns at once.

        Idempotent.
        """


class Containers(Protocol):
    """The agent's report of its containers, for the activities that change them."""

    def changed(self) -> None:
        """Asks for a fresh report of this node's containers soon. Returns at once. Idempotent."""

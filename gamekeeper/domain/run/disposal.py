"""The rule behind the promise that every container has one owner: it says what becomes of a container.

A node reports its containers, the read model tells how far their steps are, and this module decides. It is pure, so
that one table can test every row of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from gamekeeper.domain.run.step import StepState

ORPHAN_GRACE = timedelta(minutes=10)


class Disposal(StrEnum):
    KEEP = "keep"
    REMOVE = "remove"
    STOP = "stop"


@dataclass(frozen=True)
class HeldContainer:
    """A container as its node holds it. ``ended``: it does not run and will not start by itself."""

    try_: int
    ended: bool
    outlives_run: bool
    age: timedelta


@dataclass(frozen=True)
class Owner:
    """The step that a container belongs to, as far as the read model knows it. ``try_`` is 0 before the first try."""

    state: StepState
    try_: int
    is_service: bool
    run_has_ended: bool

    def is_done_with(self, try_: int) -> bool:
        """Says that nothing will be asked of this try any more: neither its container, nor a place to start one.

        A step that has ended stays ended, so a try after its last one was delivered too late. While a step goes on,
        a try that is ahead of the read model is one that the read model has yet to hear of.
        """
        return self.run_has_ended or self.state.is_final or try_ < self.try_

    def is_served_by(self, try_: int) -> bool:
        """Says that this try is a service which came up, so that its container goes on after its step."""
        return self.is_service and self.state is StepState.SUCCEEDED and try_ == self.try_


def dispose(container: HeldContainer, owner: Owner | None) -> Disposal:
    """Says what becomes of a container. ``owner`` is None for a step that the read model does not have.

    The read model may have lost that step, so its containers get a long grace, and those that were to outlive their
    run are never touched. Neither are healthy services of lifetime ``node``: they belong to their node.
    """
    if owner is None:
        is_kept = container.outlives_run or container.age < ORPHAN_GRACE
    elif owner.is_served_by(container.try_):
        is_kept = container.outlives_run or not owner.run_has_ended
    else:
        is_kept = not owner.is_done_with(container.try_)
    if is_kept:
        return Disposal.KEEP
    return Disposal.REMOVE if container.ended else Disposal.STOP

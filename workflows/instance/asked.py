"""An action that somebody wants, from the question to its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from gamekeeper.domain.instance.control import ActionBegun, ActionEnd, Asker, InstanceAction
    from gamekeeper.domain.instance.state import Desired, InstanceReason
    from gamekeeper.domain.language.step import Strategy

if TYPE_CHECKING:
    from gamekeeper.domain.instance.spec import InstanceSpec

SYSTEM = "system"


@dataclass
class Asked:
    """``begun`` is set when the read model has the action, or ``refused`` says why it never began. ``end`` comes last,
    always."""

    action: InstanceAction
    desired: Desired
    by: str = SYSTEM
    reason: str = ""
    asker: Asker = field(default_factory=Asker)
    revision: int | None = None
    spec: InstanceSpec | None = None
    auto_revert: bool = False
    strategy: Strategy = Strategy.RECREATE
    kill: bool = False
    volumes: bool = False
    run_id: str = ""
    step: str = ""
    begun: ActionBegun | None = None
    refused: str = ""
    end: ActionEnd | None = None

    @property
    def terms(self) -> dict[str, Any]:
        """The fields that the beginning of the action tells on, as they were asked for."""
        names = ("revision", "spec", "strategy", "by", "asker", "reason", "run_id", "step")
        return {name: getattr(self, name) for name in names}

    @property
    def is_answered(self) -> bool:
        return self.begun is not None or self.end is not None or bool(self.refused)

    def __str__(self) -> str:
        return f"{self.action.value} by {self.by or SYSTEM}"

    def held_for(self, begun: ActionBegun) -> InstanceReason | None:
        """The reason for standing still that the keeper tells, beside the user's own wish."""
        return InstanceReason.EXPIRED if self.action is InstanceAction.EXPIRE else begun.held

    def wants_the_one_before(self, begun: ActionBegun, end: ActionEnd) -> bool:
        """True for a new revision that should run, does not, and has one before it to go back to."""
        should_run = self.desired is Desired.RUNNING and begun.held is None
        return self.auto_revert and should_run and not end.is_ready and begun.before != begun.revision

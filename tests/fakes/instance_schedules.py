"""InstanceSchedules in memory, for the workflow of a firing."""

from __future__ import annotations

from gamekeeper.domain.instance.schedule import ConsoleLine, Fired, Firing, FiringEnd, FiringOutcome
from gamekeeper.errors import ConflictError


class FakeInstanceSchedules:
    """``text`` is a line to type on ``node``; without one the firing is done when it is begun. ``refusal`` is what the
    rows can't be read for."""

    def __init__(self, node: str, text: str = "") -> None:
        self.node = node
        self.text = text
        self.refusal = ""
        self.begun: list[Firing] = []
        self.ended: list[FiringEnd] = []

    async def begin(self, firing: Firing) -> Fired:
        if self.refusal:
            raise ConflictError(self.refusal)
        self.begun.append(firing)
        if not self.text:
            return Fired(outcome=FiringOutcome.BEGUN)
        line = ConsoleLine(
            instance=firing.instance, node=self.node, schedule=firing.name, number=firing.number, text=self.text
        )
        return Fired(line=line, agent="0.4.0")

    async def end(self, ended: FiringEnd) -> None:
        self.ended.append(ended)

"""The keeper's memory of an instance, and its sight of the containers: all that its decisions go by, beside the order.

The journal holds the memory. A field that is new has a default, so that a memory of an older agent can be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field

from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.instance.crash_budget import Crashes
from gamekeeper.domain.instance.state import InstanceReason, InstanceState


class Life(StrEnum):
    """NEW: made, and never started."""

    NEW = "new"
    UP = "up"
    ENDED = "ended"


@dataclass(frozen=True)
class Seen:
    """One container of the instance. ``start`` names its newest start. ``with_engine`` and ``with_machine``: it ended
    because that did, which is no crash of its own."""

    id: str
    revision: int
    life: Life
    start: str = ""
    exit_code: int | None = None
    oom: bool = False
    with_engine: bool = False
    with_machine: bool = False


class Over(BaseModel):
    """An order that came to its end for good: nothing is started any more until the next one."""

    state: InstanceState
    reason: InstanceReason | None = None
    message: str = ""
    exit_code: int | None = None


class StartFacts(BaseModel):
    """The facts of one start of a container, named as in ``Memory``."""

    stopping: str = ""
    judged: str = ""
    hooked: str = ""
    ready: str = ""
    begun: str = ""
    begun_at: float = 0.0


class Memory(BaseModel):
    """The keeper's memory of an instance beside the order; it survives the agent.

    Starts are named as in ``Seen``: ``stopping`` is the one that the keeper itself ends, ``judged`` the newest one
    whose end was looked at, ``hooked`` and ``ready`` those that had their hook and got ready, ``begun`` one and
    ``begun_at`` when it was first seen. ``container_id`` is the revision's container once there was one. ``fall``
    says why this revision could not be made, so that the one before goes on. ``aside`` has the facts of that one's
    start while this revision comes up beside it. ``held`` holds the words of a hook that held a stop. ``revisions``
    are those whose containers may still be there, ``adopted`` the step whose container is one of the first revision.
    ``tried_from`` is the order's first start, ``got_ready`` says that one of its starts was ready. ``wait_from`` and
    ``wait_for`` hold off the next start, for ``reason`` and ``message``. ``typed`` has the newest number of each
    schedule whose line was typed into the console. ``boot`` is the machine's life in which the containers were last
    looked at.
    """

    fresh: bool = True
    restarted: bool = False
    container_id: str = ""
    revisions: list[int] = Field(default_factory=list)
    adopted: StepKey | None = None
    stopping: str = ""
    judged: str = ""
    hooked: str = ""
    ready: str = ""
    begun: str = ""
    begun_at: float = 0.0
    fall: Over | None = None
    aside: StartFacts | None = None
    held: str = ""
    over: Over | None = None
    tried_from: float | None = None
    got_ready: bool = False
    crashes: Crashes = Field(default_factory=Crashes)
    faults: int = 0
    faults_from: float = 0.0
    wait_from: float = 0.0
    wait_for: float = 0.0
    reason: InstanceReason | None = None
    message: str = ""
    typed: dict[str, int] = Field(default_factory=dict)
    boot: str = ""

    def but(self, **changes: Any) -> Memory:
        return self.model_copy(update=changes)

    def for_order(self, *, same_revision: bool) -> Memory:
        """The rest of it under a new order: the facts of starts, of consoles and of the machine."""
        names = ("revisions", "adopted", "aside", "typed", "boot")
        facts = self.facts.model_dump() | {name: getattr(self, name) for name in names}
        return Memory(**facts, container_id=self.container_id if same_revision else "")

    @property
    def facts(self) -> StartFacts:
        return StartFacts(**{name: getattr(self, name) for name in StartFacts.model_fields})

    def fallen(self, why: Over) -> Memory:
        """The memory from when on the revision before is kept. Where it ran beside this one, it goes on as it was."""
        if self.aside is None:
            return self.but(fall=why, container_id="", restarted=True)
        known = {name: getattr(self, name) for name in ("got_ready", "revisions", "adopted", "typed", "boot")}
        return Memory(**self.aside.model_dump(), **known, fall=why, fresh=False, restarted=True)

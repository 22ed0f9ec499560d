"""Events: the operation log. Everything that changes a node, run, step or container is one, in one order."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from gamekeeper.domain.event.event_kind import EventKind


class NodeTime(BaseModel):
    """The time of an event by the clock of the node that tells of it; empty for what the server saw itself.

    ``clock_offset_ms`` is how far that clock is ahead of the server's, as the session estimates it.
    """

    node_at: datetime | None = None
    clock_offset_ms: float | None = None
    hlc: int | None = None


class Event(NodeTime):
    """One line of the operation log: the kind of the event, its subject, and the reason."""

    kind: EventKind
    node: str = ""
    run: str = ""
    step: str = ""
    container: str = ""
    instance: str = ""
    reason: str = ""
    message: str = ""
    actor: str = Field(default="", description="Empty for whoever acts in this context")
    actor_id: str = ""
    address: str = Field(default="", description="From where the actor called")
    data: dict[str, Any] = Field(default_factory=dict)

"""Events: the operation log. Everything that changes a node, run, step or container is one, in one order.

The kinds are ``<subject>.<what>``:

    node        created edited removed token_made registered session_opened superseded agent_refused
                online suspect offline inventory_changed condition_raised condition_cleared
    run         its states, and cancel_requested
    step        its states, as the workflow and the node tell them; console_opened, console_closed
    container   its states, health_changed, removed, missing, unknown, orphaned
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field


class NodeTime(BaseModel):
    """The time of an event by the clock of the node that tells of it; empty for what the server saw itself.

    ``clock_offset_ms`` is how far that clock is ahead of the server's, as the session estimates it.
    """

    node_at: datetime | None = None
    clock_offset_ms: float | None = None
    hlc: int | None = None


class Event(NodeTime):
    """One line of the operation log: the kind of the event, its subject, and the reason."""

    kind: str = Field(max_length=60)
    node: str = ""
    run: str = ""
    step: str = ""
    container: str = ""
    reason: str = ""
    message: str = ""
    actor: str = Field(default="", description="Empty for whoever acts in this context")
    data: dict[str, Any] = Field(default_factory=dict)

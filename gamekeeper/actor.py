"""The actor: set at the edges (an API key, an agent), written into the events of whatever is done in that context."""

from __future__ import annotations

from contextvars import ContextVar

SYSTEM = "system"
AGENT = "agent:"
_actor: ContextVar[str] = ContextVar("actor", default=SYSTEM)


def set_actor(name: str) -> None:
    """Sets the actor of the rest of the current request, call or task: ``key:NAME`` or ``agent:NODE``."""
    _actor.set(name)


def current_actor() -> str:
    return _actor.get()

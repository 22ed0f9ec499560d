"""The actor: set at the edges (a caller, an agent), written into the events of whatever is done in that context.

The name is for people, and may be somebody else's later. The id says who it was, and the address from where.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

SYSTEM = "system"
AGENT = "agent:"


@dataclass(frozen=True)
class Actor:
    """``name`` is ``key:NAME``, ``user:NAME``, ``agent:NODE`` or ``system``; ``id`` is the caller's, else empty.
    ``key`` is the id of the key by which a user acts."""

    name: str
    id: str = ""
    address: str = ""
    key: str = ""


_SYSTEM = Actor(SYSTEM)
_actor: ContextVar[Actor] = ContextVar("actor", default=_SYSTEM)


def set_actor(name: str, id_: str = "", address: str = "", key: str = "") -> None:
    """Sets the actor of the rest of the current request, call or task."""
    _actor.set(Actor(name, id_, address, key))


def current_actor() -> str:
    """The actor's name."""
    return _actor.get().name


def acting() -> Actor:
    return _actor.get()

"""One connected agent, as the node link and presence share it."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field

from gamekeeper.domain.run.console import ConsoleRequest

MAX_DIRECTIVES = 100


@dataclass
class AgentSession:
    """One connected agent. ``superseded`` is set when a newer session of the same node takes over,
    and ``over`` then and when its stream has ended: what belongs to the session ends with it.

    ``clock_offset_ns`` is the agent's own estimate of how far its clock is ahead of ours. ``instance`` names the
    agent's process, empty from agents of version 1; ``refused`` are the instances that were told that it is taken.
    ``quickest`` is the time on its way, in seconds, of the heartbeat that came soonest. ``abilities`` are those that it
    named.
    """

    node_id: str
    epoch: int
    instance: str = ""
    abilities: frozenset[str] = frozenset()
    refused: set[str] = field(default_factory=set)
    superseded: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    clock_offset_ns: int = 0
    quickest: float = math.inf
    directives: asyncio.Queue[int | ConsoleRequest] = field(default_factory=lambda: asyncio.Queue(MAX_DIRECTIVES))

    def delay_of(self, sent_ns: int, received_ns: int) -> float:
        """Seconds that a heartbeat took longer than the quickest one."""
        took = (received_ns - sent_ns + self.clock_offset_ns) / 1e9
        self.quickest = min(self.quickest, took)
        return took - self.quickest

    def push(self, directive: int | ConsoleRequest) -> bool:
        """False when the agent has not read for so long that there is no more room."""
        try:
            self.directives.put_nowait(directive)
        except asyncio.QueueFull:
            return False
        return True

"""The part of the event log that a reader wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


class Told(Protocol):
    """The fields of an event that a filter looks at."""

    kind: str
    node: str
    run: str
    step: str
    instance: str
    actor: str


@dataclass(frozen=True)
class EventFilter:
    """Empty fields match all. A kind is whole (``node.offline``) or a subject (``node``)."""

    kinds: Sequence[str] = ()
    node: str = ""
    run: str = ""
    step: str = ""
    instance: str = ""
    actor: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def matches(self, event: Told) -> bool:
        """Says of one event what the event log's query says of all of them; ``since`` and ``until`` aside."""
        kind_fits = not self.kinds or event.kind in self.kinds or event.kind.partition(".")[0] in self.kinds
        place_fits = self.node in ("", event.node) and self.run in ("", event.run)
        part_fits = self.step in ("", event.step) and self.instance in ("", event.instance)
        return kind_fits and place_fits and part_fits and self.actor in ("", event.actor)

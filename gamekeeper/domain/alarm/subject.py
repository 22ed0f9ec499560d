"""The objects that alarms are about, and what is known of each in one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gamekeeper.domain.access.target import Target
from gamekeeper.domain.access.verb import ObjectKind

Value = str | float | frozenset[str]


@dataclass(frozen=True)
class Subject:
    """``kind`` is node, instance, run, pipeline or server. ``node`` is where it is. A run is told by its pipeline to
    those who may see that, and ``pipeline`` is its name."""

    kind: str
    id: str
    node: str = ""
    pipeline: str = ""
    run: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def target(self) -> Target:
        """The object as access and selectors see it."""
        kind = ObjectKind.PIPELINE if self.kind in ("run", "pipeline") else ObjectKind(self.kind)
        return Target(kind, self.pipeline if kind is ObjectKind.PIPELINE else self.id, self.labels)

    def __str__(self) -> str:
        return f"{self.kind} {self.id}" if self.id else f"the {self.kind}"


SERVER = Subject("server", "")


@dataclass(frozen=True)
class Facts:
    """Knowledge of one object: values by the names of signals, and in words and times what is known of each. A
    signal without a value has no data. ``is_away`` tells that nothing is known, because its node can't be asked."""

    subject: Subject
    values: Mapping[str, Value] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    since: Mapping[str, datetime] = field(default_factory=dict)
    is_away: bool = False

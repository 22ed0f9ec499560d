"""The object that somebody wants to do something to, as access sees it: its kind, its name, its labels, its owner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gamekeeper.domain.access.verb import ObjectKind


@dataclass(frozen=True)
class Target:
    """``owner`` is the subject that an instance belongs to; empty for none. A run and a schedule are told by the name
    of their pipeline, and a run has labels of its own. The server has neither a name nor labels."""

    kind: ObjectKind
    id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""

    def __str__(self) -> str:
        return f'{self.kind} "{self.id}"' if self.id else f"the {self.kind}"


SERVER = Target(ObjectKind.SERVER)

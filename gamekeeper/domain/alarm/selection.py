"""The objects that a rule, a channel, a silence or a window is about, as its user writes it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from gamekeeper.domain.access.selector import ALL, MAX_ID, MAX_IDS, MAX_LABELS, Selector, make_selector
from gamekeeper.domain.access.target import Target
from gamekeeper.domain.access.verb import ObjectKind

Kind = Literal["all", "node", "pipeline", "instance", "server"]


class Selection(BaseModel):
    """Runs and schedules are told by their pipeline. A selection of nodes covers the instances on them as well."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"kind": "node", "labels": {"pool": "eu"}}]}
    )

    kind: Kind = Field(default="all", description="Kind of object")
    ids: list[Annotated[str, Field(min_length=1, max_length=MAX_ID)]] = Field(
        default_factory=list, max_length=MAX_IDS, description="Any of these ids; `eu-*` is each that begins with `eu-`"
    )
    labels: dict[Annotated[str, Field(min_length=1, max_length=63)], Annotated[str, Field(max_length=255)]] = Field(
        default_factory=dict, max_length=MAX_LABELS, description="All of these labels: new objects with them are in"
    )

    def selector(self) -> Selector:
        """Raises InvalidError for one that means nothing."""
        return make_selector(None if self.kind == ALL else ObjectKind(self.kind), self.ids, self.labels)


def covers(selector: Selector, targets: Iterable[Target]) -> bool:
    """True where one of the targets, an object and the node that it is on, is meant."""
    return any(selector.fits(target, "") for target in targets)

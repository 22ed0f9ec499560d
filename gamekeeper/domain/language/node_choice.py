"""The choice of a node: its id, or labels by which one is chosen."""

from __future__ import annotations

from typing import Annotated

from pydantic import Discriminator, Field, Tag, model_validator

from gamekeeper.domain.language.model import Model
from gamekeeper.domain.language.values import Pairs, Text, wrong


class NodeSelector(Model):
    """``spread`` and ``pack`` name a label of nodes, or ``node`` for each node by itself."""

    labels: Pairs = Field(default_factory=dict)
    spread: Text | None = None
    pack: Text | None = None
    anti_affinity: Pairs = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_strategy(self) -> NodeSelector:
        if self.spread is not None and self.pack is not None:
            raise wrong("node", "use either spread or pack")
        return self


NodeChoice = Annotated[
    Annotated[Text, Tag("id")] | Annotated[NodeSelector, Tag("labels")],
    Discriminator(lambda value: "labels" if isinstance(value, dict | NodeSelector) else "id"),
]

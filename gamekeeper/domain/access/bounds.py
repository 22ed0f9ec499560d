"""Bounds: the nodes, the pipelines and the instances that new work of somebody may reach.

A pipeline says by itself where its steps run and what they call. So a pipeline that somebody brings along, or stored
while they had bounds, is planned within the bounds of whoever runs it. One that was stored by somebody without bounds
is trusted: whoever may run it may run it where its author meant it to run.
"""

from __future__ import annotations

from dataclasses import dataclass

from gamekeeper.domain.access.access import ALL_NODES, ALL_PIPELINES, Access, Scope, everything
from gamekeeper.domain.access.verb import ObjectKind, Verb


@dataclass(frozen=True)
class Bounds:
    """``holder`` is whose work it is."""

    nodes: Scope
    pipelines: Scope
    instances: Scope
    holder: str = ""

    @property
    def is_everything(self) -> bool:
        return self.nodes.is_everything and self.pipelines.is_everything and self.instances.is_everything


def bounds_of(access: Access) -> Bounds:
    """The nodes for somebody's work, the pipelines that it may call, and the instances that it may take over."""
    return Bounds(
        nodes=access.scope(Verb.RUN, ObjectKind.NODE),
        pipelines=access.scope(Verb.RUN, ObjectKind.PIPELINE),
        instances=access.scope(Verb.EDIT, ObjectKind.INSTANCE),
        holder=access.holder,
    )


def sight_bounds(access: Access) -> Bounds:
    """For a check that starts nothing: what somebody does not see is not there."""
    nodes, pipelines, instances = (
        access.scope(Verb.SEE, kind) for kind in (ObjectKind.NODE, ObjectKind.PIPELINE, ObjectKind.INSTANCE)
    )
    return Bounds(nodes, pipelines, instances, access.holder)


NOTHING = sight_bounds(Access(""))
NO_BOUNDS = Bounds(ALL_NODES, ALL_PIPELINES, everything(ObjectKind.INSTANCE))

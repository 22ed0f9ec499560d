"""Sight: what somebody may see of all kinds at once, for lists of what happened to any of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from gamekeeper.domain.access.access import ALL_NODES, ALL_PIPELINES, Access, Scope, everything
from gamekeeper.domain.access.grant import HolderKind, holder
from gamekeeper.domain.access.target import SERVER, Target
from gamekeeper.domain.access.verb import ObjectKind, Verb

OF_PIPELINES = ("pipeline", "schedule", "alarm")  # subjects of events that name a pipeline in their data
# Subjects of events that tell of those who call.
OF_PEOPLE = ("user", "session", "sign_in", "passkey", "key", "grant", "quota")


class Placed(Protocol):
    """An event, as far as it tells where it happened, and by whom."""

    kind: str
    actor: str
    actor_id: str
    node: str
    run: str
    instance: str
    data: dict[str, Any]


@dataclass(frozen=True)
class Sight:
    """An event is of what it names most narrowly: of its instance; else of its run's pipeline; else of its node; else
    of the pipeline that its data names; else of the server. So whoever may see a node does not see by its events what
    others do there, and an owner sees what happens to an instance on a node of somebody else.

    Events of people (users, keys, sign-ins, grants) are of nobody but the one they are about: ``holder`` sees its own.
    Whoever lets people in (``knows_people``) sees them all, and from where everybody called."""

    nodes: Scope
    pipelines: Scope
    instances: Scope
    server: Scope
    holder: str = ""
    knows_people: bool = False

    @property
    def is_everything(self) -> bool:
        return self.knows_people and self.is_every_object

    @property
    def is_every_object(self) -> bool:
        return all(each.is_everything for each in (self.nodes, self.pipelines, self.instances, self.server))

    def shows_address(self, event: Placed) -> bool:
        """True where it may be told from where the actor called: that is its own matter."""
        kind = event.actor.partition(":")[0]
        return self.knows_people or (bool(event.actor_id) and holder(kind, event.actor_id) == self.holder)

    def shows(self, event: Placed, known: Known) -> bool:
        """``known`` has the objects that the event names, as far as there are any."""
        if event.kind.partition(".")[0] in OF_PEOPLE:
            return self.knows_people or any(event.data.get(name) == value for name, value in self.own_data)
        if self.is_every_object:
            return True
        if event.instance:
            return self._covers(self.instances, known.instances.get(event.instance))
        if event.run:
            return self._covers(self.pipelines, known.runs.get(event.run))
        if event.node:
            return self._covers(self.nodes, known.nodes.get(event.node))
        if name := pipeline_of(event):
            return self._covers(self.pipelines, known.pipelines.get(name))
        return self.server.covers(SERVER)

    @property
    def own_data(self) -> tuple[tuple[str, str], ...]:
        """Fields of the data of an event, of which one is so when it is about the holder."""
        kind, _, own_id = self.holder.partition(":")
        if not own_id:
            return ()
        return (("user" if kind == HolderKind.USER else "key", own_id), ("holder", self.holder))

    @staticmethod
    def _covers(scope: Scope, target: Target | None) -> bool:
        """Events of an object that is gone are shown to those alone who see everything of its kind."""
        return scope.is_everything or (target is not None and scope.covers(target))


@dataclass(frozen=True)
class Known:
    """Objects that events name, by their ids."""

    nodes: Mapping[str, Target] = field(default_factory=dict)
    runs: Mapping[str, Target] = field(default_factory=dict)
    instances: Mapping[str, Target] = field(default_factory=dict)
    pipelines: Mapping[str, Target] = field(default_factory=dict)


def pipeline_of(event: Placed) -> str:
    """The pipeline that the data of an event names; empty for none."""
    named = event.data.get("pipeline") if event.kind.partition(".")[0] in OF_PIPELINES else None
    return named if isinstance(named, str) else ""


def sight_of(access: Access) -> Sight:
    nodes, pipelines, instances, server = (
        access.scope(Verb.SEE, kind)
        for kind in (ObjectKind.NODE, ObjectKind.PIPELINE, ObjectKind.INSTANCE, ObjectKind.SERVER)
    )
    return Sight(nodes, pipelines, instances, server, access.holder, access.may(Verb.ADMIN, SERVER))


ALL_SEEING = Sight(
    ALL_NODES, ALL_PIPELINES, everything(ObjectKind.INSTANCE), everything(ObjectKind.SERVER), knows_people=True
)

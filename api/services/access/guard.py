"""The guard: whether a caller may do what a route is for, to the object that its path names.

It asks the database for an object only where it matters, which is never for callers whose grants are on everything.
To who may not see an object it says what it says of one that is not there, word by word. To who sees it, and may do
less, it says which verb is missing.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping

from api.services.alarm.alarm import AlarmService
from api.services.run.schedule import ScheduleService
from gamekeeper.db.engine import Database
from gamekeeper.db.repositories.target import TargetRepository
from gamekeeper.domain.access.caller import Caller
from gamekeeper.domain.access.sight import sight_of
from gamekeeper.domain.access.target import Target
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.errors import NotFoundError

Find = Callable[[str], Awaitable[Target | None]]
_ID = re.compile(r"[A-Za-z0-9._-]{1,80}")
# The parts of a path that name an object, and how its absence is told.
PATHS: Mapping[str, tuple[ObjectKind, str, str]] = {
    "/nodes/{node_id}": (ObjectKind.NODE, "node_id", "node"),
    "/instances/{instance_id}": (ObjectKind.INSTANCE, "instance_id", "instance"),
    "/runs/{run_id}": (ObjectKind.PIPELINE, "run_id", "run"),
    "/pipelines/{name}": (ObjectKind.PIPELINE, "name", "pipeline"),
    "/schedules/{schedule}": (ObjectKind.PIPELINE, "schedule", "schedule"),
}
_LISTS = {
    "node": "gamekeeper node ls",
    "instance": "gamekeeper instance ls",
    "run": "gamekeeper runs ls",
    "pipeline": "gamekeeper pipeline ls",
    "schedule": "gamekeeper schedule ls",
    "alarm": "gamekeeper alarm ls",
}


def names_object(path: str, kind: ObjectKind) -> bool:
    """True for the path of a route that names an object of the kind."""
    return any(of is kind and part in path for part, (of, _, _) in PATHS.items())


class Guard:
    def __init__(self, database: Database, schedules: ScheduleService) -> None:
        self._database = database
        self._schedules = schedules
        self._alarms = AlarmService(database)

    async def check(
        self, caller: Caller, verb: Verb, kind: ObjectKind, given: Mapping[str, str], also: str = ""
    ) -> Target | None:
        """The object, None where nobody had to look for it. Raises NotFoundError, ForbiddenError."""
        access = caller.access
        scope, sight = access.scope(verb, kind), access.scope(Verb.SEE, kind)
        if scope.is_everything:
            return None
        if kind is ObjectKind.SERVER or (scope.is_nothing and sight.is_everything):
            raise caller.refusal(verb, also=also)
        name, word = next(
            (given[parameter], word) for of, parameter, word in PATHS.values() if of is kind and parameter in given
        )
        target = await self._find(word, name) if _ID.fullmatch(name) else None
        if target is not None and scope.covers(target):
            return target
        if target is not None and sight.covers(target):
            raise caller.refusal(verb, target, also)
        raise not_there(word, name)

    async def check_alarm(self, caller: Caller, verb: Verb, alarm_id: str) -> Target | None:
        """The object that the alarm is about, None where nobody had to look for it. Raises as ``check`` does."""
        access = caller.access
        if all(access.scope(verb, kind).is_everything for kind in ObjectKind):
            return None
        target = await self._alarms.target(alarm_id) if _ID.fullmatch(alarm_id) else None
        if target is not None and access.may(verb, target):
            return target
        if (target is not None and access.may(Verb.SEE, target)) or sight_of(access).is_every_object:
            raise caller.refusal(verb, target)
        raise not_there("alarm", alarm_id)

    async def _find(self, word: str, name: str) -> Target | None:
        if word == "schedule":
            try:
                name = (await self._schedules.get(name)).runs.pipeline
            except NotFoundError:
                return None
            word = "pipeline"
        async with self._database.read() as session:
            found: dict[str, Find] = {
                "node": TargetRepository(session).node,
                "instance": TargetRepository(session).instance,
                "run": TargetRepository(session).run,
                "pipeline": TargetRepository(session).pipeline,
            }
            return await found[word](name)


def not_there(word: str, name: str) -> NotFoundError:
    """As the services tell of what is not there."""
    return NotFoundError(f'there is no {word} "{name}"', hint=f"{_LISTS[word]} lists them")

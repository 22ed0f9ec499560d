"""A route says what it needs of its caller: one verb, on one kind of object. One that says nothing is no route.

It stands at the route itself, as one of its dependencies, and ``needs_of_routes`` walks them all when the app is made.
So a new route can't be open by mistake, nor a new list show what is others', and docs/roles.md has its table from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from starlette.requests import HTTPConnection

from api.dependencies import CALL, CallerDep, ServicesDep
from api.services.access.caller import CallerCall
from api.services.access.guard import names_object
from gamekeeper.domain.access.access import Access, Scope
from gamekeeper.domain.access.caller import Caller
from gamekeeper.domain.access.sight import Sight, sight_of
from gamekeeper.domain.access.verb import ObjectKind, Verb

BELOW_THE_KEY = "/api/v1/"
PUBLIC_PATHS = frozenset(
    {
        "/livez",
        "/readyz",
        "/join.sh",
        "/agent/{file}",
        "/api/v1/roots",
        "/api/v1/join",
        "/api/v1/sign-in",
        "/api/v1/sign-in/link",
        "/api/v1/sign-in/oidc",
        "/api/v1/sign-in/oidc/callback",
        "/api/v1/sign-in/passkey",
        "/api/v1/sign-in/passkey/options",
        "/api/v1/alarm-links/{token}",
    }
)


class Judged(StrEnum):
    """The way in which it is found out which objects a request is about."""

    OBJECT = "object"  # the path names it
    LIST = "list"  # a list, which the database narrows: the route takes a scope
    BODY = "body"  # the body tells: the service checks it, and tests/api/rest/test_grants_by_body.py has a line for it
    ALARM = "alarm"  # the path names an alarm, which belongs to the object that it is about
    ALL = "all"  # it is for those alone who may do it to every object of the kind


@dataclass(frozen=True)
class Needs:
    """A dependency of a route. ``verb`` is None where any good key will do, ``on`` where any kind of object. ``also``
    is told to who lacks the verb."""

    verb: Verb | None
    on: ObjectKind | None
    also: str = ""
    judged: Judged = Judged.OBJECT

    async def __call__(self, caller: CallerDep, services: ServicesDep, connection: HTTPConnection) -> None:
        """Raises ForbiddenError, and NotFoundError for an object that the caller may not see."""
        if self.verb is None:
            return
        goes_on = await self._check(self.verb, caller, services, connection)
        call: CallerCall | None = connection.scope.get(CALL)
        if call is not None:
            call.ends_unless(goes_on, caller.refusal(self.verb, also=self.also))

    async def _check(
        self, verb: Verb, caller: Caller, services: ServicesDep, connection: HTTPConnection
    ) -> Callable[[Access], bool]:
        """A rule that has to hold while the request goes on."""
        if self.judged is Judged.ALARM:
            about = await services.guard.check_alarm(caller, verb, connection.path_params["alarm_id"])
            return lambda access: about is None or access.may(verb, about)
        if self.on is None:
            sight = sight_of(caller.access)
            if not caller.access.may_any(verb):
                raise caller.refusal(verb, also=self.also)
            return lambda access: sight_of(access) == sight
        kind, scope = self.on, caller.access.scope(verb, self.on)
        if self.judged is Judged.OBJECT:
            target = await services.guard.check(caller, verb, kind, connection.path_params, self.also)
            if target is not None:
                return lambda access: access.may(verb, target)
            return lambda access: access.scope(verb, kind).is_everything
        if scope.is_nothing or (self.judged is Judged.ALL and not scope.is_everything):
            raise caller.refusal(verb, also=self.also)
        return lambda access: access.scope(verb, kind) == scope


def needs(verb: Verb, on: ObjectKind, also: str = "", judged: Judged = Judged.OBJECT) -> Any:
    return Depends(Needs(verb, on, also, judged))


def needs_on_anything(verb: Verb) -> Any:
    """For a list of what happens to objects of all kinds."""
    return Depends(Needs(verb, None, judged=Judged.LIST))


def needs_on_alarm(verb: Verb) -> Any:
    """For one alarm, which the path names as ``alarm_id``."""
    return Depends(Needs(verb, None, judged=Judged.ALARM))


def needs_a_key() -> Any:
    """For what tells nothing of anybody: the language's schema, one's own key."""
    return Depends(Needs(None, ObjectKind.SERVER))


@dataclass(frozen=True)
class ScopeOf:
    """Gives a route the objects that its caller may do this to."""

    verb: Verb
    on: ObjectKind

    async def __call__(self, caller: CallerDep) -> Scope:
        return caller.access.scope(self.verb, self.on)


async def sight(caller: CallerDep) -> Sight:
    return sight_of(caller.access)


SeenNodes = Annotated[Scope, Depends(ScopeOf(Verb.SEE, ObjectKind.NODE))]
SeenPipelines = Annotated[Scope, Depends(ScopeOf(Verb.SEE, ObjectKind.PIPELINE))]
SeenInstances = Annotated[Scope, Depends(ScopeOf(Verb.SEE, ObjectKind.INSTANCE))]
SightDep = Annotated[Sight, Depends(sight)]


def needs_of_routes(app: FastAPI) -> Iterator[tuple[str, str, Needs]]:
    """The method, the path and the needs of every route that asks for a key; a WebSocket's method is ``WS``.

    Raises LookupError for a route that does not say what it needs, or says it twice, or takes no scope for its list."""
    for route in iter_route_contexts(app.routes):
        path = str(route.path)
        if not path.startswith(BELOW_THE_KEY) or path in PUBLIC_PATHS:
            continue
        found = [item.dependency for item in route.dependencies if isinstance(item.dependency, Needs)]
        if len(found) != 1:
            raise LookupError(f"{path} has to say what it needs, once: dependencies=[needs(Verb.SEE, ...)]")
        _check_judged(path, found[0], route.dependant)
        for method in sorted((route.methods or {"WS"}) - {"HEAD"}):
            yield method, path, found[0]


def _check_judged(path: str, need: Needs, dependant: Dependant) -> None:
    if need.judged is Judged.LIST:
        wanted = sight if need.on is None else ScopeOf(need.verb or Verb.SEE, need.on)
        if not _depends_on(dependant, wanted):
            raise LookupError(f"{path} is a list, and takes no scope: scope: SeenNodes, and the like of api/needs.py")
    elif need.judged is Judged.OBJECT and need.verb is not None and need.on is not ObjectKind.SERVER:
        if need.on is None or not names_object(path, need.on):
            raise LookupError(f"{path} names no {need.on}: say how it is judged, as judged=Judged.LIST")


def _depends_on(dependant: Dependant, wanted: Any) -> bool:
    return dependant.call == wanted or any(_depends_on(part, wanted) for part in dependant.dependencies)

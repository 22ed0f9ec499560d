"""A route says what it needs of its caller: one verb, on one kind of object. One that says nothing is no route.

It stands at the route itself, as one of its dependencies, and ``check_needs`` walks them all when the app is made. So
a new route can't be open by mistake, and docs/access.md has its table from here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.routing import iter_route_contexts

from api.dependencies import CallerDep
from gamekeeper.domain.access.verb import ObjectKind, Verb

BELOW_THE_KEY = "/api/v1/"
PUBLIC_PATHS = frozenset(
    {"/livez", "/readyz", "/join.sh", "/agent/{file}", "/api/v1/roots", "/api/v1/join", "/api/v1/sign-in"}
)


@dataclass(frozen=True)
class Needs:
    """A dependency of a route. ``verb`` is None where any good key will do. ``also`` is told to who lacks it."""

    verb: Verb | None
    on: ObjectKind
    also: str = ""

    async def __call__(self, caller: CallerDep) -> None:
        """Raises ForbiddenError."""
        if self.verb is not None:
            caller.check(self.verb, self.also)


def needs(verb: Verb, on: ObjectKind, also: str = "") -> Any:
    return Depends(Needs(verb, on, also))


def needs_a_key() -> Any:
    """For what tells nothing of anybody: the language's schema, one's own key."""
    return Depends(Needs(None, ObjectKind.SERVER))


def needs_of_routes(app: FastAPI) -> Iterator[tuple[str, str, Needs]]:
    """The method, the path and the needs of every route that asks for a key; a WebSocket's method is ``WS``.

    Raises LookupError for a route that does not say what it needs, or says it twice."""
    for route in iter_route_contexts(app.routes):
        path = str(route.path)
        if not path.startswith(BELOW_THE_KEY) or path in PUBLIC_PATHS:
            continue
        found = [item.dependency for item in route.dependencies if isinstance(item.dependency, Needs)]
        if len(found) != 1:
            raise LookupError(f"{path} has to say what it needs, once: dependencies=[needs(Verb.SEE, ...)]")
        for method in sorted((route.methods or {"WS"}) - {"HEAD"}):
            yield method, path, found[0]

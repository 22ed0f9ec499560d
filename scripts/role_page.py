"""Renders docs/roles.md: verbs by role, and every route by its verb, from what the routes say that they need."""

from __future__ import annotations

from collections.abc import Iterator

from api.app import create_routes
from api.needs import Judged, needs_of_routes
from gamekeeper.domain.access.role import Role, verbs_of
from gamekeeper.domain.access.verb import ObjectKind, Verb

HEAD = """\
# Roles and verbs

Written by `make pages` from `gamekeeper/domain/access/` and from the routes. [Access](access.md) says how a key gets
its role, and grants. Every route, stream and console needs one verb, and answers 403 to a key without it, or 404 where
the key may not even see what the path names; the command line asks by the same routes.
"""

_JUDGED = {
    Judged.OBJECT: ("its path", "whoever may not see the object gets 404, as for one that is not there"),
    Judged.LIST: ("its list", "it has the objects that the caller may see, and no others"),
    Judged.BODY: ("its body", "what is to be made or run has to lie within a grant"),
    Judged.ALARM: ("its alarm", "an alarm belongs to the object that it is about, and is hidden with it"),
    Judged.ALL: ("nothing", "it is for those alone whose grant is on every object of the kind"),
}


def render() -> str:
    return "\n".join([HEAD, *_roles(), "", *_verbs(), "", *_routes()]) + "\n"


def _roles() -> Iterator[str]:
    yield "| verb | meaning | " + " | ".join(f"`{role}`" for role in Role) + " |"
    yield "| --- | --- |" + " --- |" * len(Role)
    for verb in Verb:
        marks = ["yes" if verb in verbs_of(role) else "" for role in Role]
        yield f"| `{verb}` | {verb.meaning} | {' | '.join(marks)} |"


def _verbs() -> Iterator[str]:
    yield "| role | who it is for |\n| --- | --- |"
    yield from (f"| `{role}` | {role.meaning} |" for role in Role)


def _routes() -> Iterator[str]:
    yield "## Every route\n"
    yield "`WS` is a WebSocket. Runs and schedules belong to their pipeline. What a grant narrows down:\n"
    yield from (f"- {words}: {meaning}" for words, meaning in _JUDGED.values())
    yield "\n| verb | on | narrowed by | route |\n| --- | --- | --- | --- |"
    walked = needs_of_routes(create_routes())
    found = [((need.verb, need.on, need.judged), f"{method} {path}") for method, path, need in walked]
    for verb in [*Verb, None]:
        for kind in [*ObjectKind, None]:
            for judged, (words, _) in _JUDGED.items():
                routes = [f"`{route}`" for each, route in found if each == (verb, kind, judged)]
                by = words if verb and kind is not ObjectKind.SERVER else ""
                if routes:
                    yield f"| {f'`{verb}`' if verb else 'any key'} | {kind or 'all'} | {by} | {'<br>'.join(routes)} |"

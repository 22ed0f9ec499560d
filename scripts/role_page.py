"""Renders docs/roles.md: verbs by role, and every route by its verb, from what the routes say that they need."""

from __future__ import annotations

from collections.abc import Iterator

from api.app import create_routes
from api.needs import needs_of_routes
from gamekeeper.domain.access.role import Role, verbs_of
from gamekeeper.domain.access.verb import ObjectKind, Verb

HEAD = """\
# Roles and verbs

Written by `make pages` from `gamekeeper/domain/access/` and from the routes. [Access](access.md) says how a key gets
its role. Every route, stream and console needs one verb, and answers 403 to a key without it; the command line asks
by the same routes.
"""


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
    yield "`WS` is a WebSocket. Runs and schedules belong to their pipeline.\n"
    yield "| verb | on | route |\n| --- | --- | --- |"
    found = [(need, f"{method} {path}") for method, path, need in needs_of_routes(create_routes())]
    for verb in [*Verb, None]:
        for kind in ObjectKind:
            routes = [f"`{route}`" for need, route in found if need.verb is verb and need.on is kind]
            if routes:
                yield f"| {f'`{verb}`' if verb else 'any key'} | {kind} | {'<br>'.join(routes)} |"

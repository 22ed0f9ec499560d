"""Query parameters are taken by name: a slip in one would otherwise be a list without its filter, and no word of it."""

from __future__ import annotations

from functools import lru_cache

from fastapi import params
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_flat_params
from starlette.requests import HTTPConnection

from gamekeeper.domain.language.problem import did_you_mean
from gamekeeper.errors import InvalidError

SHOWN_CHARACTERS = 60


async def check_query(connection: HTTPConnection) -> None:
    """Raises InvalidError for a parameter that the route does not take."""
    given = list(dict.fromkeys(connection.query_params))
    if not given:
        return
    known = _parameters(connection.scope["route"].dependant)
    for name in given:
        if name not in known:
            hint = did_you_mean(name[:SHOWN_CHARACTERS], known) or (
                "docs/rest.md lists them" if known else "this route takes none"
            )
            raise InvalidError(f'there is no query parameter "{shown(name)}" here', hint=hint, code="unknown_parameter")


def shown(name: str) -> str:
    text = name[:SHOWN_CHARACTERS]
    return "".join(character if character.isprintable() else "?" for character in text)


class _ById:
    """Dependants are made once for each route, and compare by their fields, which is slow."""

    def __init__(self, dependant: Dependant) -> None:
        self.dependant = dependant

    def __hash__(self) -> int:
        return id(self.dependant)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and other.dependant is self.dependant


def _parameters(dependant: Dependant) -> frozenset[str]:
    return _read(_ById(dependant))


@lru_cache(maxsize=1000)
def _read(key: _ById) -> frozenset[str]:
    return frozenset(
        field.alias for field in get_flat_params(key.dependant) if isinstance(field.field_info, params.Query)
    )

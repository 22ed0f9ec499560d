"""Fields that the bodies of several routes share, each with its bounds."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticKnownError

from gamekeeper.domain.access.grant import MAX_GRANT_LIFETIME
from gamekeeper.domain.language.units import format_duration, parse_duration

OPTIONAL_ID = r"^[a-z0-9-]*$"
HOST = r"^[A-Za-z0-9._-]*$"
SHOWN_CHARACTERS = 200
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")


class _NeverNull:
    """Keeps ``null`` out of the schema. Another type beside None would show in the places of errors."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core)
        kinds = [kind for kind in schema.pop("anyOf") if kind != {"type": "null"}]
        kind: JsonSchemaValue = kinds[0]
        return schema | kind


def _short(labels: dict[str, str]) -> dict[str, str]:
    for key, value in labels.items():
        if not key or len(key) > 63 or len(value) > 255:
            raise ValueError(f'label "{_shown(key)}": keys have 1 to 63 characters, values up to 255')
        if not _is_text(key + value):
            raise ValueError(f'label "{_shown(key)}" holds half of a surrogate pair, which is no text')
    return labels


def _is_text(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _shown(key: str) -> str:
    return key[:63].encode(errors="replace").decode()


def _duration(text: str) -> str:
    parse_duration(text)
    return text


def grant_lifetime(text: str) -> str:
    """A duration for which a grant may be good."""
    if not timedelta(seconds=1) <= parse_duration(text) <= MAX_GRANT_LIFETIME:
        raise ValueError(f"a grant is good for a second at least and {format_duration(MAX_GRANT_LIFETIME)} at most")
    return text


def _written_out(value: Any) -> Any:
    """Pydantic would take a number for seconds since 1970, and so a version or a count for a time."""
    if not isinstance(value, str) or not _TIME.match(value):
        raise PydanticKnownError("datetime_parsing", {"error": "not as RFC 3339 writes it"})
    return value


def _printable(text: str) -> str:
    """A machine that nobody knows may send what moves the cursor of whoever reads a list of machines."""
    return "".join(character for character in text if character.isprintable())[:SHOWN_CHARACTERS]


Labels = Annotated[dict[str, str], Field(max_length=64), AfterValidator(_short)]
Capacity = Annotated[int, Field(ge=0, le=2**53)]
Capacities = Annotated[dict[str, Capacity], Field(max_length=16)]
Shown = Annotated[str, Field(max_length=1000), AfterValidator(_printable)]
DurationText = Annotated[str, Field(max_length=40, examples=["30m"]), AfterValidator(_duration)]
NEVER_NULL = _NeverNull()  # of a field that may be left out, whose type has None for that
Moment = Annotated[datetime, BeforeValidator(_written_out)]
ZonedMoment = Annotated[AwareDatetime, BeforeValidator(_written_out)]

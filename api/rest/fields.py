"""Fields that the bodies of several routes share, each with its bounds."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

OPTIONAL_ID = r"^[a-z0-9-]*$"
HOST = r"^[A-Za-z0-9._-]*$"
SHOWN_CHARACTERS = 200


def _short(labels: dict[str, str]) -> dict[str, str]:
    for key, value in labels.items():
        if not key or len(key) > 63 or len(value) > 255:
            raise ValueError(f'label "{key[:63]}": keys have 1 to 63 characters, values up to 255')
    return labels


def _printable(text: str) -> str:
    """A machine that nobody knows may send what moves the cursor of whoever reads a list of machines."""
    return "".join(character for character in text if character.isprintable())[:SHOWN_CHARACTERS]


Labels = Annotated[dict[str, str], Field(max_length=64), AfterValidator(_short)]
Capacity = Annotated[int, Field(ge=0, le=2**53)]
Capacities = Annotated[dict[str, Capacity], Field(max_length=16)]
Shown = Annotated[str, Field(max_length=1000), AfterValidator(_printable)]

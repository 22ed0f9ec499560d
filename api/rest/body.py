"""Bodies of requests: what JSON writes as one kind of value is never taken for another.

Pydantic takes ``true`` for 1, ``"5"`` for 5 and 0 for false where it can. The document of the API says otherwise, and a
slip would do something that nobody asked for. Its own strict mode would refuse times and words of enumerations as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

from pydantic import BaseModel, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails

Place = tuple[int | str, ...]


class Body(BaseModel):
    """The base of every body that a route takes; its fields, and those of models in it, are held to their kinds."""

    @model_validator(mode="wrap")
    @classmethod
    def _has_the_kinds_of_json(cls, given: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        made = read(given)
        others = _others(given, made)
        if found := [InitErrorDetails(type=kind, loc=place, input=value) for kind, place, value in others]:
            raise ValidationError.from_exception_data(cls.__name__, found)
        return made


def _others(given: Any, made: Any, place: Place = ()) -> Iterator[tuple[str, Place, Any]]:
    """The values that were read as another kind than they were written, each as pydantic's error, place and value."""
    if (kind := _kind(made)) and not _is(kind, given):
        yield kind, place, given
    for part, value, read in _parts(given, made):
        yield from _others(value, read, (*place, part))


def _parts(given: Any, made: Any) -> Iterator[tuple[int | str, Any, Any]]:
    """The parts of a value as they were given and as they were read, by their names or numbers."""
    if isinstance(made, BaseModel):
        fields = type(made).model_fields.items()
        made = {field.alias or name: getattr(made, name) for name, field in fields}
    if isinstance(made, dict) and isinstance(given, dict):
        yield from ((key, given[key], made[key]) for key in given if key in made)
    elif isinstance(made, list) and isinstance(given, list):
        yield from ((index, value, read) for index, (value, read) in enumerate(zip(given, made, strict=False)))


def _kind(made: Any) -> str:
    if isinstance(made, bool):
        return "bool_type"
    return "int_type" if isinstance(made, int) else "float_type" if isinstance(made, float) else ""


def _is(kind: str, given: Any) -> bool:
    return isinstance(given, bool) == (kind == "bool_type") and isinstance(given, int | float)

"""The scalar types of the language, as pydantic annotations that read YAML's plain scalars and JSON's values.

Each accepts the value itself or a string holding ``${{ }}``, which is checked again after it is rendered.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from gamekeeper.domain.language.source import Plain, core_value
from gamekeeper.domain.language.units import parse_bytes, parse_duration

INT64_MAX = 2**63 - 1
NAME = re.compile(r"[a-z0-9-]{1,63}")
DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def has_template(value: object) -> bool:
    return isinstance(value, str) and "${{" in value


def wrong(code: str, message: str) -> PydanticCustomError:
    """A validation error whose message may hold braces, which pydantic would take for placeholders."""
    return PydanticCustomError("gk_" + code, "{text}", {"text": message})


def not_filled_in(text: str) -> str:
    """The words to write instead of Compose's ``${NAME}``; empty for a text without one."""
    return "${NAME} is not filled in here; write ${{ envs.NAME }} or ${{ args.NAME }}" if "${" in text else ""


def as_text(value: Any) -> str:
    """The text of a scalar as the user wrote it; ``true`` for JSON's true."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    raise wrong("type", f"must be text, got {kind_of(value)}")


def kind_of(value: Any) -> str:
    """The user's word for the type of a value."""
    names = {dict: "a mapping", list: "a list", type(None): "nothing", bool: "a boolean"}
    names |= {int: "an integer", float: "a number"}
    if isinstance(value, Plain):
        value = core_value(value)
    return names.get(type(value), f'"{value}"')


def _whole(value: Any) -> int | str:
    if has_template(value):
        return str(value)
    number = core_value(Plain(value)) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int):
        raise wrong("type", f"must be a whole number, got {kind_of(value)}")
    if abs(number) > INT64_MAX:
        raise wrong("range", "is beyond 2^63; use a smaller number")
    return number


def _flag(value: Any) -> bool | str:
    if has_template(value):
        return str(value)
    flag = core_value(value) if isinstance(value, Plain) else value
    if isinstance(flag, bool):
        return flag
    raise wrong("type", f"must be true or false, got {kind_of(value)}")


def _duration(value: Any) -> str:
    text = as_text(value)
    if not has_template(text):
        try:
            parse_duration(text)
        except ValueError as error:
            raise wrong("duration", str(error)) from None
    return text


def _size(value: Any) -> str:
    text = as_text(value)
    if text.startswith("-"):
        raise wrong("range", f"{text} is negative; use 0 or more")
    if not has_template(text):
        try:
            parse_bytes(text)
        except ValueError as error:
            raise wrong("size", str(error)) from None
    return text


def _pairs(value: Any) -> dict[str, str]:
    """Compose's two spellings of a mapping: ``{A: 1}`` or ``["A=1"]``."""
    if isinstance(value, dict):
        return {str(key): "" if item is None else as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        texts = [as_text(item) for item in value]
        return {key: rest for key, _, rest in (text.partition("=") for text in texts)}
    raise wrong("type", f"must be a mapping or a list of KEY=VALUE, got {kind_of(value)}")


def _environment(value: Any) -> dict[str, str | None]:
    """As ``_pairs``; what is named without a value is None."""
    if isinstance(value, dict):
        return {str(key): None if item is None else as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        parts = [as_text(item).partition("=") for item in value]
        return {key: rest if equals else None for key, equals, rest in parts}
    raise wrong("type", f"must be a mapping or a list of KEY=VALUE, got {kind_of(value)}")


def listed(value: Any) -> Any:
    """One value, where Compose also takes it instead of a list, as a list."""
    if value is None:
        raise wrong("type", "must be a list, got nothing; remove the key, or write [] for none")
    return value if isinstance(value, list) else [value]


_TEXT = {"type": ["string", "number", "boolean"]}
_PAIRS = {
    "anyOf": [
        {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}},
        {"type": "array", "items": {"type": "string"}},
    ]
}
Text = Annotated[str, BeforeValidator(as_text), WithJsonSchema(_TEXT)]
Whole = Annotated[
    int | str, BeforeValidator(_whole), WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string"}]})
]
Flag = Annotated[
    bool | str, BeforeValidator(_flag), WithJsonSchema({"anyOf": [{"type": "boolean"}, {"type": "string"}]})
]
Duration = Annotated[str, BeforeValidator(_duration), WithJsonSchema({"type": "string", "examples": ["5m", "1h30m"]})]
Size = Annotated[
    str,
    BeforeValidator(_size),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 0}], "examples": ["512m"]}),
]
Pairs = Annotated[dict[str, str], BeforeValidator(_pairs), WithJsonSchema(_PAIRS)]
Environment = Annotated[dict[str, str | None], BeforeValidator(_environment), WithJsonSchema(_PAIRS)]
Texts = Annotated[
    list[Text],
    BeforeValidator(listed),
    WithJsonSchema({"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}),
]
Json = Annotated[Any, BeforeValidator(core_value), PlainSerializer(lambda value: value)]


def as_label(text: str) -> str:
    """The nearest valid name: lower case, everything else a dash."""
    label = "".join(char if char.isascii() and char.isalnum() else "-" for char in text.lower())
    while "--" in label:
        label = label.replace("--", "-")
    return label.strip("-")[:63] or "my-name"

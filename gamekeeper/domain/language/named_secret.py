"""Secrets that a container names: each becomes a variable of it, or a file in memory, and never stands in the pipeline.

All spellings become one list, ``secrets`` of the container. What it holds are names: the agent asks for the values when
it makes the container.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema, field_validator, model_validator

from gamekeeper.domain.language.model import Model
from gamekeeper.domain.language.values import (
    Environment,
    Text,
    Whole,
    as_text,
    has_template,
    kind_of,
    listed,
    wrong,
)

SECRET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
REGISTRY = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?")
FOLDER = "/run/secrets"
MODE = "0444"
MAX_SECRETS = 64
MAX_ID = 2**31 - 1
_MODE = re.compile(r"0?[0-7]{3}")
_FOREIGN = {"source": "secret", "target": "path", "name": "secret", "file": "path"}


def _name(value: Any) -> str:
    text = as_text(value)
    if has_template(text):
        raise wrong("secret", "the name of a secret holds no template, so that one sees what is given away; write it")
    if not SECRET_NAME.fullmatch(text):
        message = f'"{text[:80]}" is no name of a secret'
        raise wrong("secret", f'{message}; write a-z, 0-9, ".", "_" and "-", up to 63, as s3-key')
    return text


SecretName = Annotated[str, BeforeValidator(_name), WithJsonSchema({"type": "string", "examples": ["s3-key"]})]


class NamedSecret(Model):
    """One secret of a container: as the variable ``env``, or else as a file at ``path``."""

    secret: SecretName
    env: Text | None = None
    path: Text | None = None
    mode: Text | None = None
    uid: Whole | None = None
    gid: Whole | None = None

    @model_validator(mode="before")
    @classmethod
    def _in_our_words(cls, value: Any) -> Any:
        for key in value if isinstance(value, dict) else ():
            if key in _FOREIGN:
                raise wrong("secret", f"{key} is {_FOREIGN[key]} here: write {{secret: NAME, path: {FOLDER}/NAME}}")
        return value

    @field_validator("env")
    @classmethod
    def _variable(cls, value: str | None) -> str | None:
        if value is not None and not VARIABLE.fullmatch(value):
            raise wrong("secret", f'"{value[:80]}" is no name of a variable; write letters, digits and "_"')
        return value

    @field_validator("path")
    @classmethod
    def _plain_path(cls, value: str | None) -> str | None:
        parts = (value or "/x").split("/")
        if value is not None and (parts[0] or len(parts) < 2 or {"", ".", ".."} & set(parts[1:])):
            raise wrong("secret", f'"{value[:80]}" is no path of a file; write one as {FOLDER}/s3-key')
        return value

    @field_validator("mode")
    @classmethod
    def _octal(cls, value: str | None) -> str | None:
        if value is not None and not _MODE.fullmatch(value):
            raise wrong("secret", f'mode "{value[:20]}" is not octal; write one as "0440"')
        return value

    @field_validator("uid", "gid")
    @classmethod
    def _number(cls, value: Any) -> Any:
        if value is not None and (not isinstance(value, int) or not 0 <= value <= MAX_ID):
            raise wrong("secret", "an owner is a number: 0 or more")
        return value

    @model_validator(mode="after")
    def _one_way(self) -> NamedSecret:
        if self.env is None:
            self.path = self.path or f"{FOLDER}/{self.secret}"
        elif self.path is not None:
            raise wrong("secret", f'"{self.secret}" has env and path; write an entry for each')
        elif (self.mode, self.uid, self.gid) != (None, None, None):
            raise wrong("secret", "mode, uid and gid are of a file; leave them out beside env")
        return self

    @property
    def place(self) -> str:
        """The variable or the path, as people read it."""
        return self.env or self.path or ""


class Pull(Model):
    """The credentials with which the image is pulled. They are of the image's own registry, which may be written out,
    so that no image of another one ever gets them."""

    secret: SecretName
    registry: Text | None = None

    @field_validator("registry")
    @classmethod
    def _host(cls, value: str | None) -> str | None:
        if value is not None and not REGISTRY.fullmatch(value):
            raise wrong("registry", f'"{value[:80]}" is no registry; write one as registry.example.org:5000')
        return value


def names_registry(image: str) -> bool:
    """True when nothing but the image's text says which registry it is of."""
    first, slash, _ = image.partition("${{")[0].partition("/")
    return not has_template(image) or bool(slash and (first == "localhost" or {".", ":"} & set(first)))


def _entry(value: Any) -> Any:
    return value if isinstance(value, dict | NamedSecret) else {"secret": value}


def _entries(value: Any) -> Any:
    entries = listed(value)
    if len(entries) > MAX_SECRETS:
        raise wrong("too_many", f"{len(entries)} secrets; a container names {MAX_SECRETS} at the most")
    return entries


Secrets = Annotated[
    list[Annotated[NamedSecret, BeforeValidator(_entry, json_schema_input_type=NamedSecret | str)]],
    BeforeValidator(_entries),
]


def taken_out(container: Any) -> Any:
    """The settings of a container whose variables of the form ``{secret: NAME}`` stand among its secrets."""
    environment = container.get("environment") if isinstance(container, dict) else None
    if not isinstance(environment, dict):
        return container
    found = {name: value["secret"] for name, value in environment.items() if _is_reference(value)}
    if not found:
        return container
    given = container.get("secrets", [])
    rest = {name: value for name, value in environment.items() if name not in found}
    entries = [{"secret": secret, "env": name} for name, secret in found.items()]
    return {**container, "environment": rest, "secrets": [*listed(given), *entries]}


def _is_reference(value: Any) -> bool:
    """True for a right one. Others are told where they stand."""
    return isinstance(value, dict) and set(value) == {"secret"} and bool(SECRET_NAME.fullmatch(str(value["secret"])))


def _without_references(value: Any) -> Any:
    """Raises for the value of a variable that is meant as a secret and is not written as one."""
    for name, item in value.items() if isinstance(value, dict) else ():
        if isinstance(item, dict):
            if set(item) == {"secret"}:
                _name(item["secret"])
            raise wrong("type", f"{name} must be text or {{secret: NAME}}, got {kind_of(item)}")
    return value


_REFERENCE = {"type": "object", "properties": {"secret": {"type": "string"}}, "required": ["secret"]}
_VALUE = {"anyOf": [{"type": ["string", "number", "boolean", "null"]}, _REFERENCE | {"additionalProperties": False}]}
ContainerEnvironment = Annotated[
    Environment,
    BeforeValidator(_without_references),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "object", "additionalProperties": _VALUE},
                {"type": "array", "items": {"type": "string"}},
            ]
        }
    ),
]


def check_together(secrets: list[NamedSecret], environment: dict[str, str | None]) -> None:
    """Raises for a variable or a path that is given twice."""
    seen: set[str] = set()
    for place in (item.place for item in secrets):
        if place in seen or place in environment:
            raise wrong("secret", f'"{place}" is given twice; a variable or a path has one value')
        seen.add(place)

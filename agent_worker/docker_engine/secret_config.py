"""Secrets of a container in the Engine API's words. Its label tells their names and places, and no value."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from agent_worker.mounts.secret_files import SecretFile
from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.named_secret import MODE, NamedSecret
from gamekeeper.errors import SecretError

NAMED = "gamekeeper.named_secrets"


def named_label(spec: Container) -> dict[str, str]:
    if not spec.secrets:
        return {}
    return {NAMED: json.dumps([item.model_dump(exclude_none=True) for item in spec.secrets])}


def named_by_label(labels: Mapping[str, str]) -> tuple[NamedSecret, ...]:
    """An image may carry any label: one that we can't have written names nothing."""
    try:
        return tuple(NamedSecret.model_validate(item) for item in json.loads(labels.get(NAMED) or "[]"))
    except (ValueError, TypeError, ValidationError):
        return ()


def secret_variables(named: Sequence[NamedSecret], values: Mapping[str, bytes]) -> dict[str, str]:
    """Raises SecretError for a value that no variable holds."""
    return {item.env: _text(item.secret, values[item.secret]) for item in named if item.env is not None}


def _text(name: str, value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise SecretError(
            f'the secret "{name}" is no text, which alone a variable holds', hint="give it as a file: secrets: [NAME]"
        )
    return text


def file_secrets(named: Sequence[NamedSecret]) -> list[NamedSecret]:
    return [item for item in named if item.path is not None]


def secret_files(named: Sequence[NamedSecret], values: Mapping[str, bytes]) -> list[SecretFile]:
    return [
        SecretFile(values[item.secret], int(item.mode or MODE, 8), int(item.uid or 0), int(item.gid or 0))
        for item in file_secrets(named)
    ]


def secret_mounts(named: Sequence[NamedSecret], paths: Sequence[str]) -> list[dict[str, Any]]:
    """One mount for each file, so that the container sees no other."""
    return [
        {"Type": "bind", "Source": path, "Target": item.path, "ReadOnly": True}
        for item, path in zip(file_secrets(named), paths, strict=True)
    ]


def variables_of(inspected: Mapping[str, Any], named: Sequence[NamedSecret]) -> dict[str, str]:
    """The values of the variables that are secrets, as the engine tells them."""
    wanted = {item.env for item in named if item.env is not None}
    pairs = (text.partition("=")[::2] for text in inspected["Config"].get("Env") or [])
    return {name: value for name, value in pairs if name in wanted}

"""The agent's identity: its node key, kept in a file of mode 0600, and the newest facts about its server."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ValidationError

from gamekeeper.errors import InvalidError


class Identity(BaseModel):
    """The Temporal fields let the agent go back to work while the api is away."""

    node_id: str
    node_key: str
    temporal_address: str = ""
    temporal_namespace: str = ""
    cancel_is_pushed: bool = False


def load_identity(path: Path) -> Identity | None:
    """None before the first registration. Raises InvalidError for a file that can't be read."""
    if not path.exists():
        return None
    try:
        return Identity.model_validate_json(path.read_text())
    except (OSError, ValidationError) as error:
        raise InvalidError(f"{path} can't be read as an identity: {error}", hint="enrol the node again") from error


def save_identity(path: Path, identity: Identity) -> None:
    """Replaces the file in one step, so that a kill leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(identity.model_dump_json())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)

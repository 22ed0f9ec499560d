"""The agent's identity: its node key, kept in a file of mode 0600, and the newest facts about its server."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ValidationError

from gamekeeper.errors import InvalidError
from gamekeeper.whole_file import write_whole


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
    """Raises UnavailableError when the disk takes no write; the old file then stays."""
    write_whole(path, identity.model_dump_json())

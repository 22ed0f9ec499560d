"""The agent's identity: its node key, its certificate, and the newest facts about its server.

They stand in the state folder, each readable by its owner alone: ``identity.json``, ``node.key`` (the agent's own,
which never leaves the machine), ``node.pem`` (its certificate) and ``roots.pem`` (the roots that its server must show).
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from gamekeeper.domain.language.plain_words import first_words
from gamekeeper.errors import InvalidError
from gamekeeper.whole_file import write_whole

IDENTITY, KEY, CERTIFICATE, ROOTS = "identity.json", "node.key", "node.pem", "roots.pem"
RENEWED_AFTER = 2 / 3  # of the lifetime


@dataclass(frozen=True)
class Credentials:
    """Key, certificate and trusted roots as PEM. ``lifetime`` is in seconds from ``issued_at`` (Unix seconds): it is
    measured by this machine's own clock, which may be far off the server's."""

    key: str
    chain: str
    roots: str
    issued_at: float
    lifetime: float

    def seconds_to_renewal(self) -> float:
        """A clock that was set back counts as one that was set forward: nobody knows then how old they are."""
        age = time.time() - self.issued_at
        return self.lifetime * RENEWED_AFTER - age if age >= 0 else 0.0

    @property
    def have_run_out(self) -> bool:
        return time.time() - self.issued_at >= self.lifetime


class Identity(BaseModel):
    """The Temporal fields let the agent go back to work while the api is away. An agent of the version before knew no
    ``link_port`` and has no ``credentials``. ``joined_by`` is the hash of the token or join key that it came by."""

    node_id: str
    node_key: str
    joined_by: str = ""
    link_port: int = 0
    link_ports: dict[str, int] = Field(default_factory=dict)  # by the server's address, where there are several
    gateway_port: int = 0
    gateway_address: str = ""
    certificate_lifetime: float = 0.0
    temporal_address: str = ""
    temporal_namespace: str = ""
    cancel_is_pushed: bool = False
    credentials: Credentials | None = Field(default=None, exclude=True)
    policy_template: dict[str, Any] | None = Field(default=None, exclude=True)

    @property
    def way_to_temporal(self) -> tuple[int, str, str]:
        return self.gateway_port, self.gateway_address, self.temporal_address

    @property
    def good_credentials(self) -> Credentials:
        """Raises InvalidError for an identity that has none, which has yet to join."""
        if self.credentials is None:
            raise InvalidError(f"node {self.node_id} has no certificate yet", hint="join it with --token")
        return self.credentials


def load_identity(folder: Path) -> Identity | None:
    """None before the first join. Raises InvalidError for a file that can't be read."""
    path = folder / IDENTITY
    if not path.exists():
        return None
    try:
        identity = Identity.model_validate_json(path.read_text())
        if identity.link_port and all((folder / name).exists() for name in (KEY, CERTIFICATE, ROOTS)):
            key, chain, roots = ((folder / name).read_text() for name in (KEY, CERTIFICATE, ROOTS))
            issued_at = (folder / CERTIFICATE).stat().st_mtime
            identity.credentials = Credentials(key, chain, roots, issued_at, identity.certificate_lifetime)
    except (OSError, ValidationError) as error:
        why = first_words(error) if isinstance(error, ValidationError) else error.strerror
        raise InvalidError(f"{path} can't be read as an identity: {why}", hint="enrol the node again") from error
    return identity


def save_identity(folder: Path, identity: Identity) -> None:
    """Raises UnavailableError when the disk takes no write; what it could not write stays as it was."""
    found = identity.credentials
    if found is not None:
        _write_if_new(folder / ROOTS, found.roots)
        if _write_if_new(folder / CERTIFICATE, found.chain):
            os.utime(folder / CERTIFICATE, (found.issued_at, found.issued_at))
    write_whole(folder / IDENTITY, identity.model_dump_json())


def _write_if_new(path: Path, text: str) -> bool:
    is_new = not path.exists() or path.read_text() != text
    if is_new:
        write_whole(path, text)
    return is_new

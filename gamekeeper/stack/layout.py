"""The files of a stack, below its state directory."""

from __future__ import annotations

import secrets
import shlex
import ssl
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from gamekeeper.certificates.pem import served_certificates, trusting_one_of
from gamekeeper.errors import InvalidError, UnavailableError
from gamekeeper.keys import API_KEY_PREFIX, new_key
from gamekeeper.stack.own_server import KEY, LOOPBACK, RECORD, dial_address, is_loopback, rest_url
from gamekeeper.whole_file import write_whole


class Ports(BaseModel):
    """Chosen once and kept, because agents and scripts remember them."""

    rest: int
    grpc: int
    gateway: int = 0  # chosen at the first start of a version that has one
    temporal: int
    temporal_ui: int


class Replacement(BaseModel):
    """A frozen process for which the supervisor started another: the newest one, and how many there were."""

    at: datetime
    silent_seconds: float
    count: int = 1

    def __str__(self) -> str:
        often = "" if self.count == 1 else f" ({self.count} times in all)"
        at = f"{self.at:%Y-%m-%d %H:%M:%S} UTC"
        return f"did not answer for {self.silent_seconds:.0f} s, and was replaced at {at}{often}"


class StackRecord(BaseModel):
    """``stack.json``: the terms of this stack's start. Written before any process starts: a kill loses nothing."""

    host: str = LOOPBACK  # as the user gave it
    address: str = LOOPBACK  # what it meant at this start: the processes listen there
    ports: Ports | None = None
    node: str | None = None
    temporal: str = ""
    database: str = ""
    policy_file: str = ""
    temporal_way: dict[str, str] = Field(default_factory=dict)  # TEMPORAL_* by name, hashed
    pids: dict[str, int] = Field(default_factory=dict)
    ready: bool = False
    replacements: dict[str, Replacement] = Field(default_factory=dict)  # by the process's name
    has_new_key: bool = False  # this start made one: the admin key of before had ended
    trouble: str = ""  # of a start that is ready without a part of it

    @property
    def rest_url(self) -> str:
        return rest_url(self.address, self.ports.rest) if self.ports else ""

    @property
    def is_tls(self) -> bool:
        """REST is HTTPS on every address but loopback."""
        return not is_loopback(self.address)

    @property
    def dial(self) -> str:
        """The address at which processes of this machine reach the stack."""
        return dial_address(self.address)


class StateDir:
    """Paths, and the record."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        self.record_file = self.root / RECORD
        self.key_file = self.root / KEY
        self.first_user_file = self.root / "first.user"
        self.ca_dir = self.root / "ca"
        self.rest_dir = self.ca_dir / "rest"
        self.ca_passphrase_file = self.root / "ca.passphrase"
        self.secrets_key_file = self.root / "secrets.key"
        self.payload_keys = self.root / "payloads.key"
        self.run_dir = self.root / "run"
        self.process_logs = self.root / "process-logs"
        self.database_url = f"sqlite+aiosqlite:///{self.root / 'gamekeeper.db'}"
        self.temporal_database = self.root / "temporal.db"
        self.step_logs = self.root / "logs"

    def agent_dir(self, node: str) -> Path:
        return self.root / "agents" / node

    def prepare(self) -> None:
        """Makes the directory where it is not there. Raises InvalidError when it can't be made or written, and for one
        that others of this machine may read."""
        try:
            for path in (self.root, self.run_dir, self.process_logs):
                path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise InvalidError(
                f"{self.root} can't be used: {error.strerror}", hint="give another --state-dir"
            ) from error
        if self.root.stat().st_mode & 0o077:
            raise InvalidError(
                f"others of this machine may look into {self.root}, which holds keys and databases",
                hint=f"chmod 700 {shlex.quote(str(self.root))}",
            )

    def load(self) -> StackRecord:
        try:
            return StackRecord.model_validate_json(self.record_file.read_text())
        except FileNotFoundError:
            return StackRecord()
        except OSError as error:
            raise InvalidError(f"{self.record_file} can't be read: {error.strerror}", hint="see its rights") from error
        except ValidationError as error:
            raise InvalidError(
                f"{self.record_file} is not a stack's record", hint="remove it, then run gamekeeper up"
            ) from error

    def trust(self, record: StackRecord) -> ssl.SSLContext | bool:
        """Checks the certificate of the stack's REST, for ``verify`` of httpx; False for plain HTTP.

        It is of the stack's own CA, whose every server is ours, or the one that REST was given.
        """
        if not record.is_tls:
            return False
        roots = self.ca_dir / "roots.pem"
        return trusting_one_of(served_certificates(self.rest_dir), roots.read_text() if roots.exists() else "")

    def save(self, record: StackRecord) -> None:
        write_whole(self.record_file, record.model_dump_json(indent=2))

    def ensure_admin_key(self) -> str:
        """The admin key, made at the first start; mode 0600. A file that holds none gets one.

        Raises UnavailableError on a full disk, and for a file that can't be read."""
        if not self.key_file.exists() or not self.admin_key():
            write_whole(self.key_file, new_key(API_KEY_PREFIX) + "\n")
        return self.admin_key()

    def admin_key(self) -> str:
        """The key of the last start. Raises UnavailableError where it can't be read: one that was made here and now
        would open nothing, because the api has not been told of it."""
        try:
            return self.key_file.read_text().strip()
        except (OSError, UnicodeError) as error:
            raise UnavailableError(
                f"the admin key can't be read: {error}",
                hint="gamekeeper down, then gamekeeper up, which makes a new one; containers go on",
            ) from error

    def ensure_ca_passphrase(self) -> None:
        """Makes the passphrase of the CA's key at the first start. Raises UnavailableError on a full disk."""
        if not self.ca_passphrase_file.exists():
            write_whole(self.ca_passphrase_file, secrets.token_urlsafe(32) + "\n")

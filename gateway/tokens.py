"""Binds task tokens and names to a node, with nothing to remember: all of it is computed from one secret.

Temporal's task tokens are plain and can be forged, so an agent never sees one. It gets ``HMAC(node, token) || token``,
which is good for that node and its enrolment alone. The same token always gives the same bytes: the SDK finds the
activity of a pushed cancel by comparing them.
"""

from __future__ import annotations

import hmac
import secrets
import uuid
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from gamekeeper.errors import InvalidError
from gamekeeper.whole_file import write_whole
from gateway.refusal import Reason, Refusal

MAC_BYTES = 32
MAX_TOKEN_BYTES = 4096
MIN_SECRET_CHARACTERS = 32


@dataclass(frozen=True)
class Caller:
    """The node behind a call, and the enrolment of its certificate."""

    node_id: str
    generation: int


class Kind(Enum):
    """Tokens of one kind are no good for calls of the other."""

    ACTIVITY = b"activity"
    NEXUS = b"nexus"


class Seal:
    """Wraps and unwraps. The secret must outlive the gateway, or all tasks under way are handed out again."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def wrap(self, kind: Kind, caller: Caller, token: bytes) -> bytes:
        return self._mac(kind, caller, token) + token

    def unwrap(self, kind: Kind, caller: Caller, wrapped: bytes) -> bytes:
        """Raises Refusal for a token that was not wrapped for this node's present enrolment."""
        mac, token = wrapped[:MAC_BYTES], wrapped[MAC_BYTES:]
        is_good = token and len(token) <= MAX_TOKEN_BYTES and hmac.compare_digest(mac, self._mac(kind, caller, token))
        if not is_good:
            raise Refusal(Reason.TOKEN, f"this task was not given to node {caller.node_id} in its present enrolment")
        return token

    def renamed(self, caller: Caller, name: str) -> str:
        """Another name, as a UUID, that only this node's name leads to: no node can name what belongs to another."""
        digest = self._digest(b"name", caller.node_id.encode(), name.encode())
        return str(uuid.UUID(bytes=digest[:16], version=4))

    def _mac(self, kind: Kind, caller: Caller, token: bytes) -> bytes:
        return self._digest(kind.value, caller.node_id.encode(), b"%d" % caller.generation, token)

    def _digest(self, *parts: bytes) -> bytes:
        """Lengths stand before the parts: no two lists of parts give the same bytes."""
        text = b"".join(b"%d:%b" % (len(part), part) for part in parts)
        return hmac.digest(self._secret, text, "sha256")


def ensure_secret(path: Path) -> bytes:
    """The secret in a file of mode 0600, made where there is none. Raises InvalidError, and UnavailableError when it
    can't be written."""
    if not path.exists():
        write_whole(path, secrets.token_hex(32) + "\n")
    try:
        text = path.read_text().strip()
    except (OSError, ValueError) as error:
        raise InvalidError(f"the gateway's secret in {path} can't be read: {error}") from error
    if len(text) < MIN_SECRET_CHARACTERS:
        raise InvalidError(
            f"the gateway's secret in {path} has less than {MIN_SECRET_CHARACTERS} characters",
            hint=f"make one: openssl rand -hex 32 > {path}",
        )
    return text.encode()

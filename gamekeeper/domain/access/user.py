"""Users: people and services that call under a name of their own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

MAX_USERS = 10_000
MAX_DISPLAY_NAME = 200
ME = "me"  # of a path or a query: whoever asks
FIRST_USER = "admin"
SETUP_LIFETIME = timedelta(days=7)  # of a one-time password that somebody else made


class UserKind(StrEnum):
    """A person signs in; a service has keys alone."""

    PERSON = "person"
    SERVICE = "service"


class UserState(StrEnum):
    """A user that is disabled opens nothing, by no key and no session."""

    ACTIVE = "active"
    DISABLED = "disabled"


class SessionHow(StrEnum):
    """The way by which a user signed in."""

    PASSWORD = "password"
    TOTP = "password, totp"
    RECOVERY_CODE = "password, recovery code"
    LINK = "link"
    PASSKEY = "passkey"
    OIDC = "oidc"


class SessionState(StrEnum):
    """Only an open session lets its holder call."""

    OPEN = "open"
    ENDED = "ended"
    EXPIRED = "expired"


def authenticator_context(user_id: str) -> bytes:
    """The words under which the secret of a user's authenticator is wrapped: in another user's row it opens nothing."""
    return f"gamekeeper authenticator {user_id}".encode()


@dataclass(frozen=True)
class SessionTerms:
    """The times that a session is good for: without use, and in all."""

    idle: timedelta = timedelta(hours=12)
    longest: timedelta = timedelta(days=30)

    def end(self, begun_at: datetime, used_at: datetime) -> datetime:
        return min(used_at + self.idle, begun_at + self.longest)

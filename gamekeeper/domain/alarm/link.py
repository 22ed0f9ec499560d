"""Links in messages: each does one thing to one alarm, for a while, and is signed. Nothing is kept of it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from gamekeeper.errors import NotFoundError

LINK_LIFETIME = timedelta(days=2)
LINK_SILENCE = timedelta(hours=4)
_DOMAIN = b"gamekeeper alarm link 1"


class LinkPurpose(StrEnum):
    """The one thing that a link does."""

    ACKNOWLEDGE = "acknowledge"
    SILENCE = "silence"


@dataclass(frozen=True)
class AlarmLink:
    alarm: str
    purpose: LinkPurpose
    channel: str
    expires_at: datetime


def link_key(work_key: bytes) -> bytes:
    """A key of their own, so that no other use of the secret makes links."""
    return hmac.digest(work_key, _DOMAIN, hashlib.sha256)


def make_token(key: bytes, link: AlarmLink) -> str:
    text = f"{link.alarm}/{link.purpose}/{link.channel}/{int(link.expires_at.timestamp())}".encode()
    return _coded(text + hmac.digest(key, text, hashlib.sha256))


def read_token(key: bytes, token: str, now: datetime) -> AlarmLink:
    """Raises NotFoundError for one that is not ours, or has run out: both look alike."""
    nothing = NotFoundError("there is no such link, or it has run out", hint="gamekeeper alarm ls")
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        text, given = raw[:-32], raw[-32:]
        if len(token) > 400 or not hmac.compare_digest(hmac.digest(key, text, hashlib.sha256), given):
            raise nothing
        alarm, purpose, channel, until = text.decode().split("/")
        link = AlarmLink(alarm, LinkPurpose(purpose), channel, datetime.fromtimestamp(int(until), UTC))
    except (binascii.Error, ValueError):
        raise nothing from None
    if now >= link.expires_at:
        raise nothing
    return link


def _coded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")

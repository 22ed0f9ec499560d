"""Channels: the ways by which people are told. What a channel is, what it is told, and what of it is secret."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from string import Template
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gamekeeper.domain.access.selector import Selector
from gamekeeper.domain.alarm.apprise import APPRISE_SCHEMES, check_apprise
from gamekeeper.domain.alarm.rule import RULE_ID, Duration
from gamekeeper.domain.alarm.selection import Selection
from gamekeeper.domain.alarm.severity import Severity
from gamekeeper.domain.language.units import parse_duration
from gamekeeper.errors import InvalidError

MAX_CHANNELS = 100
TEMPLATE_WORDS = ("title", "text", "rule", "severity", "object", "node", "since", "summary", "note", "link")
# U+0085 and U+FEFF are named because they are white space to some readers of a pattern and not to others.
_ADDRESS = r"^[^@\s\u0085\ufeff,<>]+@[^@\s\u0085\ufeff,<>]+$"
_PLACE = re.compile(r"\$(?:\$|\{?([A-Za-z_]*)\}?)")


class ChannelType(StrEnum):
    """HEARTBEAT is the dead man's switch: it tells that all is well, and silence is the alarm."""

    WEBHOOK = "webhook"
    MAIL = "mail"
    APPRISE = "apprise"
    HEARTBEAT = "heartbeat"


def _sound_template(text: str) -> str:
    for match in _PLACE.finditer(text):
        if (word := match.group(1)) is not None and word not in TEMPLATE_WORDS:
            known = ", ".join(f"${known}" for known in TEMPLATE_WORDS)
            raise ValueError(
                f'character {match.start() + 1}: there is no "${word}"; one of {known}, or $$ for a dollar'
            )
    return text


class ChannelSpec(BaseModel):
    """All of a channel that may be seen."""

    model_config = ConfigDict(extra="forbid")

    type: ChannelType = Field(description="The way by which it sends; `heartbeat` is the dead man's switch")
    severity: Severity = Field(default=Severity.WARNING, description="The least that it is told of")
    on: Selection = Field(default_factory=Selection, description="Objects whose alarms it is told of")
    rules: list[Annotated[str, Field(pattern=RULE_ID)]] = Field(
        default_factory=list, max_length=50, description="Alarms of these rules alone; all of them by default"
    )
    after: Duration = Field(
        default="0s", description="Told only of what nobody has acknowledged for so long: an escalation"
    )
    send_cleared: bool = Field(default=True, description="Tells of the end of what it was told of")
    burst: Annotated[int, Field(ge=1, le=100)] = Field(
        default=5, description="Messages a minute; what is more comes together in one, half a minute later"
    )
    template: Annotated[str, Field(max_length=4000), AfterValidator(_sound_template)] = Field(
        default="", description="Text of the message, with `$title`, `$summary` and others in it"
    )
    every: Duration = Field(default="1m", description="Of a heartbeat: the time between two")
    to: list[Annotated[str, Field(min_length=3, max_length=254, pattern=_ADDRESS)]] = Field(
        default_factory=list, max_length=20, description="Of mail: its readers"
    )
    sender: Annotated[str, Field(max_length=254, pattern=f"({_ADDRESS})|^$")] = Field(
        default="", description="Of mail: its sender"
    )
    enabled: bool = Field(default=True, description="False switches it off")


@dataclass(frozen=True)
class ReadChannel:
    """A channel, ready to be planned by."""

    name: str
    type: ChannelType
    severity: Severity
    selector: Selector
    rules: frozenset[str]
    after: timedelta
    every: timedelta
    send_cleared: bool
    burst: int


def read_channel(name: str, spec: ChannelSpec) -> ReadChannel:
    """Raises InvalidError for a selection that means nothing."""
    return ReadChannel(
        name=name,
        type=spec.type,
        severity=spec.severity,
        selector=spec.on.selector(),
        rules=frozenset(spec.rules),
        after=parse_duration(spec.after),
        every=max(parse_duration(spec.every), timedelta(seconds=10)),
        send_cleared=spec.send_cleared,
        burst=spec.burst,
    )


class ChannelSecret(BaseModel):
    """The sealed part: an address may hold a token, so all of it is one. ``key`` signs the messages of a webhook."""

    url: str
    key: str = ""


def check_url(spec: ChannelSpec, url: str) -> None:
    """Raises InvalidError for an address that the type of channel can't have."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise InvalidError(f"url: {error}", code="channel_url") from None
    wanted = {
        ChannelType.WEBHOOK: {"https", "http"},
        ChannelType.HEARTBEAT: {"https", "http"},
        ChannelType.MAIL: {"smtp", "smtps", "smtp+starttls"},
        ChannelType.APPRISE: APPRISE_SCHEMES,
    }[spec.type]
    if parts.scheme not in wanted:
        raise InvalidError(
            f'url: a channel of type {spec.type} has no "{parts.scheme[:20]}" address',
            hint=f"it begins with one of: {', '.join(f'{one}://' for one in sorted(wanted))}",
            code="channel_url",
        )
    if any(character.isspace() or not character.isprintable() for character in url):
        raise InvalidError("url: it holds a space or a character that is not printed", code="channel_url")
    if spec.type is ChannelType.APPRISE:
        check_apprise(url)
    else:
        _check_host(spec, parts)


def _check_host(spec: ChannelSpec, parts: SplitResult) -> None:
    try:
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise InvalidError(f"url: {error}", code="channel_url") from None
    if not has_host:
        raise InvalidError("url: it names no host", hint="write it as https://host/path", code="channel_url")
    if spec.type is not ChannelType.MAIL and (parts.username or parts.password):
        raise InvalidError("url: a name and a password in it are not sent", hint="leave them out", code="channel_url")


def shown_address(spec: ChannelSpec, url: str) -> str:
    """The part of an address that may be seen: never its path, its query, its user; of Apprise's the scheme alone."""
    parts = urlsplit(url)
    if spec.type is ChannelType.APPRISE:
        return f"{parts.scheme}://..."
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}" + ("/..." if parts.path not in ("", "/") or parts.query else "")


def check_spec(spec: ChannelSpec) -> None:
    """Raises InvalidError for parts that don't go together."""
    spec.on.selector()
    if spec.type is ChannelType.MAIL and not (spec.to and spec.sender):
        raise InvalidError("mail needs `to` and `sender`", code="channel_mail")
    if spec.type is not ChannelType.MAIL and (spec.to or spec.sender):
        raise InvalidError("only mail has `to` and `sender`", code="channel_mail")


def filled_in(template: str, words: dict[str, str]) -> str:
    """The text with its words. One that can't be filled in is sent as it is: an alarm must not be lost by a slip."""
    return Template(template).safe_substitute(words)

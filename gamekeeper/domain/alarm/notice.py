"""Notices: which channel is told of which alarm, when, and what comes together in a digest. Pure.

A cause is one message: children of an alarm are told by it, and to a channel that sees the children alone they come
together. Nobody hears of an end who did not hear of the beginning.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from gamekeeper.domain.access.target import Target
from gamekeeper.domain.alarm.channel import ChannelType, ReadChannel
from gamekeeper.domain.alarm.selection import covers
from gamekeeper.domain.alarm.severity import Severity

BURST_TIME = timedelta(minutes=1)
DIGEST_WAIT = timedelta(seconds=30)


class NoticeKind(StrEnum):
    """The kinds of messages to a channel."""

    RAISED = "raised"
    CLEARED = "cleared"
    ESCALATED = "escalated"
    DIGEST = "digest"
    TEST = "test"


@dataclass(frozen=True)
class Known:
    """An alarm as a notice is planned by it. ``targets`` are its object and the node that it is on; ``told`` are the
    channels that heard of it; ``is_muted`` and ``is_acknowledged`` keep it from being told."""

    id: str
    rule: str
    severity: Severity
    targets: tuple[Target, ...]
    raised_at: datetime
    parent: str | None = None
    told: frozenset[str] = frozenset()
    is_muted: bool = False
    is_acknowledged: bool = False


@dataclass(frozen=True)
class Notice:
    """A message to be sent to a channel, about these alarms: one, or the children of one cause."""

    channel: str
    kind: NoticeKind
    alarms: tuple[str, ...]


def wants(channel: ReadChannel, alarm: Known) -> bool:
    return (
        channel.type is not ChannelType.HEARTBEAT
        and alarm.severity.rank >= channel.severity.rank
        and (not channel.rules or alarm.rule in channel.rules)
        and covers(channel.selector, alarm.targets)
    )


def raised_notices(channel: ReadChannel, alarms: Mapping[str, Known], now: datetime) -> list[Notice]:
    """The most severe first, then the oldest."""
    kind = NoticeKind.ESCALATED if channel.after else NoticeKind.RAISED
    found: dict[str, list[Known]] = defaultdict(list)
    for alarm in alarms.values():
        if channel.name in alarm.told or alarm.is_muted or alarm.is_acknowledged:
            continue
        if now - alarm.raised_at < channel.after or not wants(channel, alarm):
            continue
        parent = alarms.get(alarm.parent) if alarm.parent else None
        if parent is None:
            found[alarm.id].append(alarm)
        elif not wants(channel, parent) and not parent.is_muted:
            found[parent.id].append(alarm)
    groups = sorted(found.values(), key=lambda group: (-group[0].severity.rank, group[0].raised_at, group[0].id))
    return [Notice(channel.name, kind, tuple(alarm.id for alarm in group)) for group in groups]


def cleared_notices(channels: Mapping[str, ReadChannel], ended: Iterable[Known]) -> Iterator[Notice]:
    """For the channels that heard of the beginning. What is muted is not told of, at its end neither."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for alarm in ended:
        for name in sorted(alarm.told):
            channel = channels.get(name)
            if channel is not None and channel.send_cleared and not alarm.is_muted:
                found[name, alarm.parent or alarm.id].append(alarm.id)
    for (name, _), alarms in found.items():
        yield Notice(name, NoticeKind.CLEARED, tuple(alarms))


@dataclass(frozen=True)
class Plan:
    """``single`` are sent at once, each as a message; ``together`` go into the channel's digest."""

    single: tuple[Notice, ...] = ()
    together: tuple[Notice, ...] = ()


def plan(channel: ReadChannel, notices: Sequence[Notice], sent_of_late: int) -> Plan:
    """``sent_of_late`` counts the messages of the channel within BURST_TIME."""
    room = max(0, channel.burst - sent_of_late)
    return Plan(tuple(notices[:room]), tuple(notices[room:]))

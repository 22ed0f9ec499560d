"""Messages of alarms: what, where, since when and why, with links to act. Each channel writes them its own way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from gamekeeper.domain.alarm.channel import filled_in
from gamekeeper.domain.alarm.notice import NoticeKind
from gamekeeper.domain.alarm.severity import Severity

SHOWN = 20
MAX_TEXT = 8000


class AlarmInWords(BaseModel):
    """One alarm in a message. ``children`` counts what it takes with it, ``names`` are some of them."""

    id: str
    rule: str
    name: str
    severity: Severity
    kind: str
    object: str
    node: str = ""
    run: str = ""
    summary: str = ""
    note: str = ""
    since: datetime
    children: int = 0
    names: list[str] = Field(default_factory=list)
    ended: str = ""

    @property
    def place(self) -> str:
        where = f"{self.kind} {self.object}".strip()
        return f"{where} on {self.node}" if self.node and self.kind != "node" else where


class Message(BaseModel):
    """``id`` is the same however often it is sent: a receiver that knows it throws it away."""

    id: str
    kind: NoticeKind
    at: datetime
    title: str
    text: str
    alarms: list[AlarmInWords] = Field(default_factory=list)
    counts: dict[str, int] = Field(default_factory=dict)
    links: dict[str, str] = Field(default_factory=dict)


_VERBS = {NoticeKind.RAISED: "", NoticeKind.ESCALATED: "Nobody answered: ", NoticeKind.CLEARED: "Over: "}


def message(
    notice_id: str, kind: NoticeKind, at: datetime, alarms: Sequence[AlarmInWords], total: Mapping[str, int]
) -> Message:
    """``total`` counts all alarms of a digest by their rules, of which ``alarms`` are the first."""
    title = _title(kind, alarms, total)
    text = "\n".join(_lines(kind, alarms, total))[:MAX_TEXT]
    return Message(id=notice_id, kind=kind, at=at, title=title, text=text, alarms=list(alarms), counts=dict(total))


def _title(kind: NoticeKind, alarms: Sequence[AlarmInWords], total: Mapping[str, int]) -> str:
    if kind is NoticeKind.TEST:
        return "A test of this channel"
    count = sum(total.values())
    if kind is NoticeKind.DIGEST or not alarms:
        worst = "critical, " if any(alarm.severity is Severity.CRITICAL for alarm in alarms) else ""
        return f"{count} alarms at once ({worst}{_by_rule(total)})"
    first = alarms[0]
    if len(alarms) > 1:
        return f"{_VERBS[kind]}{first.name}: {len(alarms)} {first.kind}s"
    more = f", and {first.children} on it unknown" if first.children and kind is not NoticeKind.CLEARED else ""
    return f"{_VERBS[kind]}{first.name}: {first.place}{more}"


def _by_rule(total: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {rule}" for rule, number in Counter(total).most_common(5))


def _lines(kind: NoticeKind, alarms: Sequence[AlarmInWords], total: Mapping[str, int]) -> list[str]:
    if kind is NoticeKind.TEST:
        return ["If you can read this, alarms reach you here."]
    lines = []
    for alarm in alarms[:SHOWN]:
        head = f"[{alarm.severity}] {alarm.name}: {alarm.place}"
        ended = f", ended {alarm.ended}" if alarm.ended else ""
        lines.append(f"{head}, since {alarm.since:%Y-%m-%d %H:%M:%S} UTC{ended}")
        lines += [f"  {part}" for part in (alarm.summary, alarm.note if not alarm.ended else "") if part]
        if alarm.children:
            more = ", ..." if alarm.children > len(alarm.names) else ""
            lines.append(f"  unknown meanwhile: {', '.join(alarm.names)}{more} ({alarm.children})")
    left = max(sum(total.values()), len(alarms)) - min(len(alarms), SHOWN)
    return [*lines, f"and {left} more: {_by_rule(total)}"] if left > 0 else lines


def templated(found: Message, template: str) -> Message:
    """The message with the text that the channel's owner wants."""
    if not template or found.kind in (NoticeKind.TEST, NoticeKind.DIGEST) or not found.alarms:
        return found
    first = found.alarms[0]
    words: dict[str, Any] = {
        "title": found.title,
        "text": found.text,
        "rule": first.rule,
        "severity": first.severity.value,
        "object": f"{first.kind} {first.object}".strip(),
        "node": first.node,
        "since": f"{first.since:%Y-%m-%d %H:%M:%S} UTC",
        "summary": first.summary,
        "note": first.note,
        "link": found.links.get("acknowledge", ""),
    }
    return found.model_copy(update={"text": filled_in(template, words)[:MAX_TEXT]})

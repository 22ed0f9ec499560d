"""Renders docs/events.md, the page of all kinds of events, from their meanings."""

from __future__ import annotations

from gamekeeper.domain.event.event_kind import SUBJECTS, EventKind

HEAD = """\
# Every kind of event

Written by `make pages` from `gamekeeper/domain/event/event_kind.py`. [The fleet](fleet.md) says how events are read and
followed. A filter takes a kind (`--kind node.offline`) or a subject (`--kind node`); one that is not here is refused.
"""


def render() -> str:
    parts = [HEAD]
    for subject in SUBJECTS:
        parts.append(f"## `{subject}`\n\n| kind | meaning |\n| --- | --- |")
        parts += [f"| `{kind.value}` | {kind.meaning} |" for kind in EventKind if kind.subject == subject]
        parts.append("")
    return "\n".join(parts)

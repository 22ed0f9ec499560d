"""``audit``: the operation log as a file, for whoever has to show later who did what."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from gamekeeper.cli.context import checked
from gamekeeper.errors import InvalidError


def audit(
    context: typer.Context,
    form: Annotated[str, typer.Option("--format", help="jsonl or csv")] = "jsonl",
    kind: Annotated[list[str] | None, typer.Option(help='"node.offline", or all of "node"; repeatable')] = None,
    actor: Annotated[str, typer.Option(help="Of one actor alone, as key:ci")] = "",
    node: str = "",
    instance: str = "",
    since: Annotated[str, typer.Option(help="30d for the last thirty days, or 2026-11-01T12:00:00Z")] = "",
    until: Annotated[str, typer.Option(help="As --since")] = "",
) -> None:
    """Print the whole operation log, oldest first, as JSON lines or CSV.

    Each line says who did what, from where, and what was before and after."""
    wanted = {"format": form, "kind": kind or [], "actor": actor, "node": node, "instance": instance}
    wanted |= {name: moment(text) for name, text in (("since", since), ("until", until)) if text}
    with context.obj.client(timeout=None) as client, client.stream("GET", "/events/export", params=wanted) as answer:
        if answer.is_error:
            answer.read()
            checked(answer)
        for piece in answer.iter_bytes():
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


def moment(text: str) -> str:
    """The time that ``text`` is, or that is so long ago. Raises InvalidError."""
    from gamekeeper.domain.language.units import parse_duration

    if "T" in text or text.count("-") == 2:
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            raise InvalidError(f"{text} is no time", hint="write it like 2026-11-01T12:00:00Z, or 30d") from None
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).isoformat()
    try:
        return (datetime.now(UTC) - parse_duration(text)).isoformat()
    except (ValueError, OverflowError):
        raise InvalidError(f"{text} is no time", hint="write it like 2026-11-01T12:00:00Z, or 30d") from None

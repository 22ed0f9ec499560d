"""``alarm``: what is wrong now, taken on, silenced and closed; and the rules by which alarms are raised."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from gamekeeper.cli.context import Context
from gamekeeper.cli.options import STDIN, CommentOption, JsonOption
from gamekeeper.cli.output import ago, print_fields, print_json, print_table, say
from gamekeeper.errors import InvalidError

AlarmArgument = Annotated[str, typer.Argument(metavar="ALARM", help="Its id")]
RuleArgument = Annotated[str, typer.Argument(metavar="RULE", help="Its id")]
ForOption = Annotated[str, typer.Option("--for", metavar="DURATION", help="How long, as 4h; it ends by itself")]


class States(StrEnum):
    """The alarms of a list."""

    OPEN = "open"
    PENDING = "pending"
    CLOSED = "closed"
    ALL = "all"


class Severities(StrEnum):
    """As in the domain, whose import would slow down every command."""

    WARNING = "warning"
    CRITICAL = "critical"


def list_alarms(
    context: typer.Context,
    state: Annotated[States, typer.Option(help="open are those that were raised and stand")] = States.OPEN,
    severity: Annotated[Severities | None, typer.Option(help="Only of this severity")] = None,
    rule: Annotated[str, typer.Option(help="Only of this rule")] = "",
    node: Annotated[str, typer.Option(help="Only of this node and what is on it")] = "",
    instance: Annotated[str, typer.Option(help="Only of this instance")] = "",
    as_json: JsonOption = False,
) -> None:
    """List alarms, the newest first. What a dead node takes with it is counted with the node's."""
    obj: Context = context.obj
    filters: dict[str, Any] = {"state": state.value, "limit": 500}
    given = {"severity": severity.value if severity else "", "rule": rule, "node": node, "instance": instance}
    items = obj.list_all("/alarms", filters | {name: value for name, value in given.items() if value})
    if as_json:
        print_json(items)
        return
    rows = [_row(item) for item in items if item["parent"] is None or instance]
    print_table(("ALARM", "SEVERITY", "STATE", "WHAT", "WHERE", "SINCE", "WHY"), rows)


def _row(alarm: dict[str, Any]) -> tuple[Any, ...]:
    state = alarm["state"]
    if alarm["muted"]:
        state += " (muted)"
    elif alarm["acknowledged_at"]:
        state += " (taken on)"
    more = f" and {alarm['children']} unknown" if alarm["children"] else ""
    since = ago(alarm["since"] or alarm["created_at"])
    return alarm["id"], alarm["severity"], state, alarm["name"], _place(alarm) + more, since, alarm["summary"]


def _place(alarm: dict[str, Any]) -> str:
    where = f"{alarm['kind']} {alarm['object_id']}".strip()
    return f"{where} on {alarm['node']}" if alarm["node"] and alarm["kind"] != "node" else where


def show(context: typer.Context, alarm: AlarmArgument, as_json: JsonOption = False) -> None:
    """Show one alarm, with what is unknown because of it."""
    found = context.obj.call("GET", f"/alarms/{alarm}")
    if as_json:
        print_json(found)
        return
    unknown = ", ".join(f"{child['kind']} {child['object_id']}" for child in found.pop("affected"))
    print_fields(found | {"labels": _labels(found["labels"]), "told": ", ".join(found["told"]), "unknown": unknown})


def acknowledge(context: typer.Context, alarm: AlarmArgument, comment: CommentOption = "") -> None:
    """Take an alarm on: nobody else is told of it any more, but of its end."""
    done = context.obj.call("POST", f"/alarms/{alarm}/acknowledge", json={"note": comment})
    say(f"alarm {alarm}: {done['name']} of {_place(done)} is taken on by {done['acknowledged_by']}")


def silence(
    context: typer.Context, alarm: AlarmArgument, lifetime: ForOption = "4h", comment: CommentOption = ""
) -> None:
    """Silence an alarm's rule on its object, for a while."""
    made = context.obj.call("POST", f"/alarms/{alarm}/silence", json={"for": lifetime, "reason": comment})
    say(f"silence {made['id']} until {made['until'][:16].replace('T', ' ')} UTC")


def close(context: typer.Context, alarm: AlarmArgument, comment: CommentOption = "") -> None:
    """Close a stale alarm. What still is so comes up again, as a new one."""
    done = context.obj.call("POST", f"/alarms/{alarm}/close", json={"reason": comment})
    say(f"alarm {alarm}: {done['name']} of {_place(done)} is closed")


def list_rules(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the rules of alarms: the default ones, and those of users."""
    items = context.obj.call("GET", "/alarm-rules")["items"]
    if as_json:
        print_json(items)
        return
    rows = [
        (
            item["id"],
            item["rule"]["severity"],
            _origin(item),
            _condition(item["rule"]),
            _labels(item["rule"]["on"]["labels"]),
        )
        for item in items
    ]
    print_table(("RULE", "SEVERITY", "FROM", "WHEN", "LABELS"), rows)


def _origin(item: dict[str, Any]) -> str:
    if not item["rule"]["enabled"]:
        return "off"
    if not item["is_default"]:
        return "own"
    return "default, changed" if item["is_changed"] else "default"


def _condition(rule: dict[str, Any]) -> str:
    return str(rule["when"]) or ", ".join(rule["events"])


def show_rule(context: typer.Context, rule: RuleArgument, as_json: JsonOption = False) -> None:
    """Show one rule as YAML, which `set-rule` takes."""
    found = context.obj.call("GET", f"/alarm-rules/{rule}")
    if as_json:
        print_json(found)
        return
    say(yaml.safe_dump(found["rule"], sort_keys=False, allow_unicode=True).rstrip())


def set_rule(
    context: typer.Context,
    rule: RuleArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="YAML of the rule; - reads standard input")],
) -> None:
    """Make a rule, or replace one. A mistake in it is told with its place."""
    body = _read(file)
    done = context.obj.call("PUT", f"/alarm-rules/{rule}", json=body)
    say(f"rule {rule}: {_condition(done['rule'])}")


def _read(file: Path) -> dict[str, Any]:
    try:
        text = typer.get_text_stream("stdin").read() if str(file) == STDIN else file.read_text()
        found = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidError(f"{file} can't be read: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise InvalidError(f"{file} holds no rule", hint="docs/alarms.md shows one")
    return found


def remove_rule(context: typer.Context, rule: RuleArgument) -> None:
    """Remove a rule of a user, or take the change of a default one back."""
    context.obj.call("DELETE", f"/alarm-rules/{rule}")
    say(f"removed rule {rule}")


def _labels(labels: dict[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in labels.items())

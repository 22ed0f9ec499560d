"""``instance``: list, show, edit, wait, remove, revisions and events of what stays up on nodes."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from gamekeeper.cli.context import Context
from gamekeeper.cli.instance_row import INSTANCE_COLUMNS, instance_row
from gamekeeper.cli.instance_schedule import print_schedules
from gamekeeper.cli.instance_wait import GONE, Watch, exact_instance, find_instance, finish, settle, state_words
from gamekeeper.cli.options import (
    ExactInstanceArgument,
    InstanceArgument,
    JsonOption,
    LabelsOption,
    NoWaitOption,
    pairs,
)
from gamekeeper.cli.output import ago, coloured, print_fields, print_json, print_table, printable, say
from gamekeeper.errors import InvalidError


def list_instances(
    context: typer.Context,
    node: str = "",
    state: Annotated[str, typer.Option(help="ready, stopped, crash_loop, failed, unknown, ...")] = "",
    label: Annotated[str, typer.Option(help="KEY=VALUE")] = "",
    pipeline: Annotated[str, typer.Option(help="Those that its steps ensure")] = "",
    as_json: JsonOption = False,
) -> None:
    """List instances: servers and desktops that stay up."""
    obj: Context = context.obj
    filters = {"node": node, "state": state, "label": label, "pipeline": pipeline, "limit": 500}
    items = obj.list_all("/instances", {key: value for key, value in filters.items() if value})
    if as_json:
        print_json(items)
        return
    rows = [(*instance_row(item), _why(item)) for item in items]
    print_table((*INSTANCE_COLUMNS, ""), rows)


def _why(item: dict[str, Any]) -> str:
    """The reason and the message of a state, and the action that goes on."""
    operation = item["operation"]
    goes_on = f"{operation['action']} by {operation['by']} goes on" if operation else ""
    why = ": ".join(filter(None, (item["reason"], item["message"])))
    return "; ".join(filter(None, (goes_on, why)))


def show(context: typer.Context, instance: InstanceArgument, as_json: JsonOption = False) -> None:
    """Show an instance: its state and why, its revision, its ports, its schedules, and what goes on."""
    obj: Context = context.obj
    found = find_instance(obj, instance)
    schedules = list(obj.call("GET", f"/instances/{found['id']}/schedules")["items"])
    if as_json:
        print_json(found | {"schedules": schedules})
        return
    print_instance(found)
    if schedules:
        print_schedules(schedules)


def print_instance(found: dict[str, Any]) -> None:
    about = f"instance {found['id']} on {found['node']}: {coloured(found['state'])}, since {ago(found['since'])}"
    say("; ".join(filter(None, (about, printable(_why(found))))))
    made = f"step {found['step']} of {found['pipeline']}, run {found['run']}" if found["pipeline"] else ""
    fields = {name: found[name] for name in ("name", "image", "digest", "group", "crash_count", "container_id")}
    fields |= {"revision": found["revision"], "desired": found["desired"], "ports": found["ports"], "made by": made}
    fields |= {"holds": [_held(port) for port in found["held_ports"]]}
    fields |= {"labels": [f"{key}={value}" for key, value in found["labels"].items()]}
    fields |= {"created": f"{ago(found['created_at'])} by {found['created_by']}", "expires": found["expires_at"]}
    print_fields({name: value for name, value in fields.items() if value not in ("", None, [])})


def _held(port: dict[str, Any]) -> str:
    last = port["number"] + port["count"] - 1
    numbers = f"{port['number']}-{last}" if port["count"] > 1 else str(port["number"])
    return f"{port['name']} at {numbers}/{port['protocol']}"


def edit(
    context: typer.Context,
    instance: ExactInstanceArgument,
    name: Annotated[str | None, typer.Option(help="For people")] = None,
    label: LabelsOption = None,
    pipeline: Annotated[
        str | None, typer.Option(help="The pipeline whose steps may update it: so one takes it over")
    ] = None,
    expires: Annotated[
        str, typer.Option(help="Stop it by itself after this time from now, as 2h; never for none")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Change what an instance is called and whose it is. Labels given replace all labels. It goes on meanwhile."""
    obj: Context = context.obj
    fields: dict[str, Any] = {"name": name, "pipeline": pipeline}
    fields = {key: value for key, value in fields.items() if value is not None}
    fields |= {"labels": pairs(label, "--label")} if label is not None else {}
    fields |= {"expires_at": _moment(expires)} if expires else {}
    if not fields:
        raise InvalidError("nothing is to be changed", hint="give --name, --label, --pipeline or --expires")
    changed = obj.call("PATCH", f"/instances/{exact_instance(obj, instance)['id']}", json=fields)
    if as_json:
        print_json(changed)
    else:
        print_instance(changed)


def _moment(text: str) -> str | None:
    """The time that is so long from now; None for ``never``."""
    from gamekeeper.domain.language.units import parse_duration

    if text == "never":
        return None
    try:
        return (datetime.now(UTC) + parse_duration(text)).isoformat()
    except ValueError as error:
        raise InvalidError(f"--expires {error}") from None


def wait(
    context: typer.Context,
    instance: InstanceArgument,
    state: Annotated[str, typer.Option(help="The state to wait for; by default any in which nothing goes on")] = "",
    as_json: JsonOption = False,
) -> None:
    """Wait until an instance has settled, or is in a state. The exit code is 1 when it is not as it is wished to be, or
    not in that state because it was deleted."""
    obj: Context = context.obj
    if state:
        _check_state(state)
    found = find_instance(obj, instance)
    watch = Watch(obj, found, quiet=as_json)
    if state:
        finish(watch.until(state), as_json, wanted=state)
    else:
        finish(watch.settled(), as_json)


def _check_state(state: str) -> None:
    from gamekeeper.domain.instance.state import InstanceState

    if state not in list(InstanceState):
        raise InvalidError(f'"{state}" is no state of an instance', hint=f"one of {', '.join(InstanceState)}")


def remove(
    context: typer.Context,
    instance: ExactInstanceArgument,
    volumes: Annotated[bool, typer.Option("--volumes", help="Its volumes too, with all that is in them")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask")] = False,
    no_wait: NoWaitOption = False,
    as_json: JsonOption = False,
) -> None:
    """Remove an instance: its process is asked to end, its containers go, its volumes stay unless you say otherwise.
    The exit code is 1 when one of those stays that should go: another container has it."""
    obj: Context = context.obj
    found = exact_instance(obj, instance)
    if not yes:
        _ask(found, volumes)
    parameters = {"volumes": volumes}

    def ask(path: str) -> Any:
        return obj.call("DELETE", path, params=parameters)

    ended = settle(obj, found, ask, no_wait=no_wait, as_json=as_json)
    finish(ended, as_json, failed=_what_stays(ended) if volumes else "")


def _what_stays(ended: dict[str, Any] | None) -> str:
    """Words on volumes that should have gone with it; empty where all have."""
    return state_words(ended) if ended is not None and ended["state"] == GONE and ended.get("reason") else ""


def _ask(found: dict[str, Any], volumes: bool) -> None:
    if not sys.stdin.isatty():
        raise InvalidError(f"instance {found['id']} would be removed without a question", hint="say so with --yes")
    about = "with its volumes and all that is in them" if volumes else "its volumes stay"
    question = f"remove instance {found['id']} on {found['node']}, which is {found['state']}? {about}"
    if not typer.confirm(question):
        raise InvalidError(f"instance {found['id']} stays")


def revisions(
    context: typer.Context,
    instance: InstanceArgument,
    number: Annotated[int | None, typer.Argument(metavar="REVISION", min=1, help="Show this one whole")] = None,
    diff: Annotated[int | None, typer.Option(min=1, help="What differs from this one, in words")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the revisions of an instance with what each changed, or show one."""
    obj: Context = context.obj
    found = find_instance(obj, instance)
    path = f"/instances/{found['id']}/revisions"
    if number is None:
        _print_revisions(obj.call("GET", path)["items"], as_json)
        return
    one = obj.call("GET", f"{path}/{number}", params={"diff": diff} if diff else {})
    if as_json or diff is None:
        print_json(one)
        return
    for line in one["changes"] or ["nothing differs"]:
        say(printable(line))


def _print_revisions(items: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(items)
        return
    rows = [
        (
            f"{item['revision']}{' *' if item['current'] else ''}",
            ago(item["created_at"]),
            item["created_by"],
            item["run"] or "",
            "; ".join(item["changes"]),
        )
        for item in items
    ]
    print_table(("REV", "CREATED", "BY", "RUN", "CHANGES"), rows)


def events(
    context: typer.Context,
    instance: InstanceArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show what happens from now on")] = False,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many of the newest")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Show what happened to an instance, and who did it; newest last."""
    from gamekeeper.cli.events import show_events

    found = find_instance(context.obj, instance)
    show_events(context.obj, {"instance": found["id"]}, follow=follow, limit=limit, as_json=as_json)

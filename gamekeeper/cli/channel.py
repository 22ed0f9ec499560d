"""``channel``: the ways by which people are told of alarms. An address comes from a file, from standard input or from
a prompt without echo, and never from the command line, which every user of the machine can read."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from gamekeeper.cli.alarm import Severities
from gamekeeper.cli.context import Context
from gamekeeper.cli.options import STDIN, JsonOption, LabelsOption, pairs
from gamekeeper.cli.output import ago, print_fields, print_json, print_table, say
from gamekeeper.errors import InvalidError, UnavailableError

TEST_SECONDS, LOOK_SECONDS = 15.0, 0.3
ChannelArgument = Annotated[str, typer.Argument(metavar="NAME")]


class Types(StrEnum):
    """The ways to send."""

    WEBHOOK = "webhook"
    MAIL = "mail"
    APPRISE = "apprise"
    HEARTBEAT = "heartbeat"


class Kinds(StrEnum):
    """The kinds of objects."""

    ALL = "all"
    NODE = "node"
    PIPELINE = "pipeline"
    INSTANCE = "instance"
    SERVER = "server"


def set_channel(
    context: typer.Context,
    name: ChannelArgument,
    kind: Annotated[
        Types, typer.Option("--type", help="How it sends; heartbeat is the dead man's switch")
    ] = Types.WEBHOOK,
    url_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The address is in this file; - reads standard input")
    ] = None,
    keep_url: Annotated[bool, typer.Option("--keep-url", help="The address stays as it is")] = False,
    severity: Annotated[Severities, typer.Option(help="The least that it is told of")] = Severities.WARNING,
    on: Annotated[Kinds, typer.Option(help="Only alarms of this kind of object")] = Kinds.ALL,
    object_id: Annotated[list[str] | None, typer.Option("--id", help="Only of this one, repeatable; or eu-*")] = None,
    label: LabelsOption = None,
    rule: Annotated[list[str] | None, typer.Option(help="Only alarms of this rule, repeatable")] = None,
    after: Annotated[str, typer.Option(metavar="DURATION", help="Only what nobody has taken on for so long")] = "0s",
    every: Annotated[str, typer.Option(metavar="DURATION", help="Of a heartbeat: the time between two")] = "1m",
    burst: Annotated[int, typer.Option(min=1, max=100, help="Messages a minute; what is more comes in one")] = 5,
    cleared: Annotated[bool, typer.Option(help="Tell of the end as well")] = True,
    to: Annotated[list[str] | None, typer.Option(help="Of mail: a reader, repeatable")] = None,
    sender: Annotated[str, typer.Option(help="Of mail: its sender")] = "",
    template: Annotated[str, typer.Option(help="Text of the message, as '$title: $summary'")] = "",
    new_key: Annotated[bool, typer.Option("--new-key", help="Make a new key that signs its messages")] = False,
    disabled: Annotated[bool, typer.Option("--disabled", help="Keep it, and tell it nothing")] = False,
) -> None:
    """Make a channel, or change it. A webhook's key is printed once, when it is made."""
    obj: Context = context.obj
    body: dict[str, Any] = {
        "type": kind.value,
        "severity": severity.value,
        "on": {"kind": on.value, "ids": object_id or [], "labels": pairs(label, "--label")},
        "rules": rule or [],
        "after": after,
        "every": every,
        "burst": burst,
        "send_cleared": cleared,
        "to": to or [],
        "sender": sender,
        "template": template,
        "new_key": new_key,
        "enabled": not disabled,
    }
    if not keep_url:
        body["url"] = _url(url_file)
    done = obj.call("PUT", f"/channels/{name}", json=body)
    say(f"channel {name}: {done['address']}")
    if done["key"]:
        say(f"its messages are signed by this key, which is not shown again: {done['key']}")


def _url(file: Path | None) -> str:
    try:
        if file is None:
            return str(typer.prompt("address", hide_input=True)).strip()
        text = typer.get_text_stream("stdin").read() if str(file) == STDIN else file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidError(f"the address can't be read: {error}") from error
    return text.strip()


def list_channels(context: typer.Context, as_json: JsonOption = False) -> None:
    """List channels, with how their last message went."""
    items = context.obj.call("GET", "/channels")["items"]
    if as_json:
        print_json(items)
        return
    rows = [
        (
            item["name"],
            item["spec"]["type"] if item["spec"]["enabled"] else f"{item['spec']['type']} (off)",
            item["address"],
            item["spec"]["severity"],
            ago(item["last_sent_at"]),
            item["last_error"],
        )
        for item in items
    ]
    print_table(("CHANNEL", "TYPE", "ADDRESS", "FROM", "LAST SENT", "TROUBLE"), rows)


def show(context: typer.Context, name: ChannelArgument, as_json: JsonOption = False) -> None:
    """Show one channel, without its address and key."""
    found = context.obj.call("GET", f"/channels/{name}")
    if as_json:
        print_json(found)
        return
    print_fields({key: value for key, value in found.items() if key != "spec"} | found["spec"])


def remove(context: typer.Context, name: ChannelArgument) -> None:
    """Remove a channel, with the log of its deliveries and what waits to be sent."""
    context.obj.call("DELETE", f"/channels/{name}")
    say(f"removed channel {name}")


def test(context: typer.Context, name: ChannelArgument) -> None:
    """Send a test message by the way of all others, and tell how it went."""
    obj: Context = context.obj
    made, deadline = obj.call("POST", f"/channels/{name}/test"), time.monotonic() + TEST_SECONDS
    while time.monotonic() < deadline:
        found = obj.call("GET", f"/channels/{name}/deliveries", params={"limit": 50})["items"]
        delivery = next((item for item in found if item["id"] == made["id"]), made)
        if delivery["state"] == "sent":
            say(f"sent: {delivery['tries'][-1]['outcome']}")
            return
        if delivery["attempts"]:
            raise UnavailableError(f"channel {name}: {delivery['last_error']}", hint="it is tried again for hours")
        time.sleep(LOOK_SECONDS)
    raise UnavailableError(
        f"channel {name}: nobody has sent it yet", hint="is the control_worker up? gamekeeper status"
    )


def deliveries(context: typer.Context, name: ChannelArgument, as_json: JsonOption = False) -> None:
    """List the newest messages to a channel, and how each went."""
    items = context.obj.call("GET", f"/channels/{name}/deliveries", params={"limit": 50})["items"]
    if as_json:
        print_json(items)
        return
    rows = [
        (item["id"], item["kind"], item["state"], item["attempts"], ago(item["created_at"]), item["last_error"])
        for item in items
    ]
    print_table(("DELIVERY", "KIND", "STATE", "TRIES", "MADE", "TROUBLE"), rows)

"""``instance``: create and update, from a file, from options, or from a file with options over it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gamekeeper.cli.context import Context
from gamekeeper.cli.instance_power import change
from gamekeeper.cli.instance_wait import Watch, exact_instance, finish
from gamekeeper.cli.instance_words import Words, document, fields_of
from gamekeeper.cli.options import (
    ExactInstanceArgument,
    JsonOption,
    LabelsOption,
    NoRevertOption,
    NoWaitOption,
    Strategy,
    StrategyOption,
    pairs,
)
from gamekeeper.cli.output import print_json, say
from gamekeeper.errors import InvalidError

FileOption = Annotated[Path | None, typer.Option("--file", "-f", help="YAML or JSON; - reads standard input")]
ImageOption = Annotated[str, typer.Option(help="Image to run")]
PortsOption = Annotated[
    list[str] | None, typer.Option("--port", "-p", help="HOST:CONTAINER[/udp], repeatable; in an update all of them")
]
EnvOption = Annotated[list[str] | None, typer.Option("--env", "-e", help="KEY=VALUE, repeatable")]
VolumesOption = Annotated[
    list[str] | None,
    typer.Option("--volume", "-v", help="NAME:/path is its own volume, /path:/path one of the node's; repeatable"),
]
MemoryOption = Annotated[str, typer.Option(help="Limit, as 2g")]
CpusOption = Annotated[str, typer.Option(help="Limit, as 1.5")]
RestartOption = Annotated[str, typer.Option(help="on-failure[:N], always or no: when it is started again by itself")]
StopCommandOption = Annotated[str, typer.Option("--stop-command", help="Line for its console that ends it, as stop")]
ReadyOption = Annotated[str, typer.Option("--ready-within", help="How long its start may take, as 2m")]
CommandArgument = Annotated[list[str] | None, typer.Argument(help="Behind --: the command of the container")]


def create(
    context: typer.Context,
    instance: Annotated[str, typer.Argument(metavar="[INSTANCE]", help="Its id: a-z, 0-9 and '-'")] = "",
    command: CommandArgument = None,
    file: FileOption = None,
    image: ImageOption = "",
    node: Annotated[str, typer.Option(help="Default: the only node")] = "",
    port: PortsOption = None,
    env: EnvOption = None,
    volume: VolumesOption = None,
    memory: MemoryOption = "",
    cpus: CpusOption = "",
    restart: RestartOption = "",
    stop_command: StopCommandOption = "",
    ready_within: ReadyOption = "",
    name: Annotated[str, typer.Option(help="For people")] = "",
    label: LabelsOption = None,
    group: Annotated[str, typer.Option(help="Instances of a group reach each other by their ids")] = "",
    expires: Annotated[str, typer.Option(help="Stop it by itself after this time, as 2h")] = "",
    stopped: Annotated[bool, typer.Option("--stopped", help="Make it, and start it later")] = False,
    idempotency_key: Annotated[str, typer.Option(help="The same key gives the same instance")] = "",
    no_wait: NoWaitOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make an instance and wait until it is ready. Options win over the file."""
    obj: Context = context.obj
    words = Words(image, command, port, env, volume, memory, cpus, restart, stop_command, ready_within)
    own: dict[str, Any] = {"id": instance, "node": node, "name": name, "group": group, "expires": expires}
    own |= {"labels": pairs(label, "--label"), "desired": "stopped" if stopped else ""}
    own = {key: value for key, value in own.items() if value}
    body = document(file, keep_text=not own and not words.are_given) if file is not None else {}
    body = fields_of(words, body) | own
    if file is None and not image:
        raise InvalidError("an instance needs an image", hint="give --image IMAGE, or a file with -f FILE")
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    made = obj.call("POST", "/instances", json=body, headers=headers)
    if no_wait:
        _print_made(made, as_json)
        return
    if not as_json:
        say(f"instance {made['id']} on {made['node']}")
    finish(Watch(obj, made, quiet=as_json, new=True).settled(), as_json)


def _print_made(made: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(made)
    else:
        say(f"instance {made['id']} on {made['node']}; see it come up: gamekeeper instance wait {made['id']}")


def update(
    context: typer.Context,
    instance: ExactInstanceArgument,
    command: CommandArgument = None,
    file: FileOption = None,
    image: ImageOption = "",
    port: PortsOption = None,
    env: EnvOption = None,
    volume: VolumesOption = None,
    memory: MemoryOption = "",
    cpus: CpusOption = "",
    restart: RestartOption = "",
    stop_command: StopCommandOption = "",
    ready_within: ReadyOption = "",
    strategy: StrategyOption = Strategy.RECREATE,
    no_revert: NoRevertOption = False,
    no_wait: NoWaitOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make the next revision of an instance and wait until it is ready. Options change the present one, or the file."""
    obj: Context = context.obj
    found = exact_instance(obj, instance)
    words = Words(image, command, port, env, volume, memory, cpus, restart, stop_command, ready_within)
    if file is None and not words.are_given:
        raise InvalidError("nothing is to be changed", hint="give --image or other options, or a file with -f FILE")
    body = document(file) if file is not None else _present(obj, found, words)
    body = fields_of(words, body) | {"auto_revert": not no_revert, "strategy": strategy.value}
    change(obj, found, "update", body, no_wait=no_wait, as_json=as_json)


def _present(obj: Context, found: dict[str, Any], words: Words) -> dict[str, Any]:
    """The parts of the present revision that the options change, because a part is given whole."""
    spec = obj.call("GET", f"/instances/{found['id']}/revisions/{found['revision']}")["spec"]
    return {part: spec[part] for part in words.parts if part in spec}

"""The command's root. Exit codes: 0 done, 1 a failed run, 2 a usage error, 3 a server that can't be reached."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from gamekeeper import __version__
from gamekeeper.cli import agent, ca, events, join_key, joins, node, pipeline, run_control, runs, schedule, stack
from gamekeeper.cli.context import Context
from gamekeeper.cli.output import print_error
from gamekeeper.errors import GamekeeperError, UnavailableError
from gamekeeper.stack.layout import default_state_dir

USAGE = 2
UNREACHABLE = 3


@dataclass(frozen=True)
class Group:
    """Commands below one word, as ``ls`` of ``gamekeeper node ls``."""

    help: str
    commands: Mapping[str, Callable[..., None]]


# Every command of the product, in the order of the help.
COMMANDS: Mapping[str, Callable[..., None]] = {
    "run": runs.run,
    "up": stack.up,
    "down": stack.down,
    "status": stack.status,
    "agent": agent.agent,
    "events": events.events,
}
GROUPS: Mapping[str, Group] = {
    "node": Group(
        "Machines that run containers.",
        {
            "ls": node.list_nodes,
            "show": node.show,
            "add": node.add,
            "edit": node.edit,
            "rm": node.remove,
            "enrol": node.enrol,
            "revoke": node.revoke,
        },
    ),
    "join-key": Group(
        "Keys by which machines become nodes.",
        {"make": join_key.make, "ls": join_key.list_keys, "rm": join_key.revoke},
    ),
    "joins": Group(
        "Machines that brought a join key, and wait for an approval.",
        {"ls": joins.list_joins, "approve": joins.approve, "refuse": joins.refuse, "rm": joins.remove},
    ),
    "ca": Group("The CA, by which nodes and commands know this control plane.", {"show": ca.show, "rotate": ca.rotate}),
    "runs": Group(
        "Runs of pipelines.",
        {
            "ls": runs.list_runs,
            "show": runs.show,
            "logs": runs.logs,
            "exec": runs.execute,
            "attach": runs.attach,
            "cancel": run_control.cancel,
            "pause": run_control.pause,
            "resume": run_control.resume,
            "approve": run_control.approve,
            "reject": run_control.reject,
            "retry": run_control.retry,
            "skip": run_control.skip,
            "fail": run_control.fail,
            "queue": run_control.queue,
            "rerun": run_control.rerun,
        },
    ),
    "pipeline": Group(
        "Pipelines: files and stored versions.",
        {
            "validate": pipeline.validate,
            "push": pipeline.push,
            "ls": pipeline.list_pipelines,
            "show": pipeline.show,
            "versions": pipeline.versions,
            "diff": pipeline.diff,
            "rm": pipeline.remove,
            "graph": pipeline.graph,
        },
    ),
    "schedule": Group(
        "Schedules of stored pipelines.",
        {
            "apply": schedule.apply,
            "ls": schedule.list_schedules,
            "show": schedule.show,
            "pause": schedule.pause,
            "resume": schedule.resume,
            "trigger": schedule.trigger,
            "backfill": schedule.backfill,
            "rm": schedule.remove,
        },
    ),
}


def _version(show: bool) -> None:
    if show:
        print(f"gamekeeper {__version__}")
        raise typer.Exit


def root(
    context: typer.Context,
    server: Annotated[
        str, typer.Option(envvar="GAMEKEEPER_SERVER", help="URL of the api; default: the stack of --state-dir")
    ] = "",
    api_key: Annotated[
        str,
        typer.Option(envvar="GAMEKEEPER_API_KEY", help="API key; default: the state directory's", show_default=False),
    ] = "",
    pin: Annotated[
        str,
        typer.Option(
            envvar="GAMEKEEPER_PIN", help="Pin of the CA of --server, as `gamekeeper ca show` prints it there"
        ),
    ] = "",
    state_dir: Annotated[
        Path | None, typer.Option(envvar="GAMEKEEPER_STATE_DIR", help="State directory of the embedded stack")
    ] = None,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,  # noqa: ARG001
) -> None:
    """Run game nodes: pipelines of containers on machines that host game servers."""
    context.obj = Context(server, api_key, state_dir or default_state_dir(), pin.strip())


def build() -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False, help=__doc__)
    app.callback()(root)
    for name, group in GROUPS.items():
        below = typer.Typer(no_args_is_help=True, help=group.help)
        for command, function in group.commands.items():
            below.command(command)(function)
        app.add_typer(below, name=name)
    for command, function in COMMANDS.items():
        app.command(command)(function)
    return app


def main() -> None:
    try:
        build()()
    except UnavailableError as error:
        print_error(error)
        sys.exit(UNREACHABLE)
    except GamekeeperError as error:
        print_error(error)
        sys.exit(USAGE)
    except BrokenPipeError:
        sys.exit(0)  # the reader of our output had enough

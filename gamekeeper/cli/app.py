"""The command's root. Exit codes: 0 done, 1 a failed run, 2 a bad request, 3 a server that can't be reached, 4 a thing
that is not there, 5 a refused key, 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import typer
from typer.main import get_command

from gamekeeper import __version__
from gamekeeper.cli.context import ApiError, Context
from gamekeeper.cli.lazy_group import SETTINGS, Command, Group, LazyGroup
from gamekeeper.cli.output import print_error, print_error_json
from gamekeeper.errors import GamekeeperError, InvalidError, NotFoundError, UnauthenticatedError, UnavailableError

USAGE = 2
UNREACHABLE = 3
UNKNOWN = 4
REFUSED = 5


# Every command of the product, in the order of the help.
COMMANDS: Mapping[str, Command] = {
    "run": Command("runs:run", "Run a pipeline."),
    "up": Command("stack:up", "Start Temporal, api, control_worker and this machine's agent, and keep them running."),
    "down": Command("stack:down", "Stop the stack."),
    "status": Command("stack:status", "Show each process of the stack: pid, addresses, health."),
    "agent": Command(
        "agent:agent",
        "Run this machine's agent until SIGTERM, which leaves its containers running.",
    ),
    "events": Command("events:events", "Show what happened to nodes, runs, steps and containers; newest last."),
}
GROUPS: Mapping[str, Group] = {
    "node": Group(
        "Machines that run containers.",
        {
            "ls": Command("node:list_nodes"),
            "show": Command("node:show"),
            "add": Command("node:add"),
            "edit": Command("node:edit"),
            "rm": Command("node:remove"),
            "enrol": Command("node:enrol"),
            "revoke": Command("node:revoke"),
        },
    ),
    "join-key": Group(
        "Keys by which machines become nodes.",
        {"make": Command("join_key:make"), "ls": Command("join_key:list_keys"), "rm": Command("join_key:revoke")},
    ),
    "joins": Group(
        "Machines that brought a join key, and wait for an approval.",
        {
            "ls": Command("joins:list_joins"),
            "approve": Command("joins:approve"),
            "refuse": Command("joins:refuse"),
            "rm": Command("joins:remove"),
        },
    ),
    "ca": Group(
        "The CA, by which nodes and commands know this control plane.",
        {"show": Command("ca:show"), "rotate": Command("ca:rotate")},
    ),
    "runs": Group(
        "Runs of pipelines.",
        {
            "ls": Command("runs:list_runs"),
            "show": Command("runs:show"),
            "wait": Command("runs:wait"),
            "logs": Command("runs:logs"),
            "exec": Command("runs:execute"),
            "attach": Command("runs:attach"),
            "cancel": Command("run_control:cancel"),
            "pause": Command("run_control:pause"),
            "resume": Command("run_control:resume"),
            "approve": Command("run_control:approve"),
            "reject": Command("run_control:reject"),
            "retry": Command("run_control:retry"),
            "skip": Command("run_control:skip"),
            "fail": Command("run_control:fail"),
            "queue": Command("run_control:queue"),
            "rerun": Command("run_control:rerun"),
        },
    ),
    "pipeline": Group(
        "Pipelines: files and stored versions.",
        {
            "validate": Command("pipeline:validate"),
            "push": Command("pipeline:push"),
            "ls": Command("pipeline:list_pipelines"),
            "show": Command("pipeline:show"),
            "versions": Command("pipeline:versions"),
            "diff": Command("pipeline:diff"),
            "rm": Command("pipeline:remove"),
            "graph": Command("pipeline:graph"),
        },
    ),
    "schedule": Group(
        "Schedules of stored pipelines.",
        {
            "apply": Command("schedule:apply"),
            "ls": Command("schedule:list_schedules"),
            "show": Command("schedule:show"),
            "pause": Command("schedule:pause"),
            "resume": Command("schedule:resume"),
            "trigger": Command("schedule:trigger"),
            "backfill": Command("schedule:backfill"),
            "rm": Command("schedule:remove"),
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
    context.obj = Context(server, api_key, state_dir, pin.strip())


class _Root(LazyGroup):
    table = MappingProxyType({**COMMANDS, **GROUPS})


def build() -> typer.Typer:
    app = typer.Typer(
        cls=_Root,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=SETTINGS,
        help=root.__doc__,
        epilog=__doc__.partition("root. ")[2],
    )
    app.callback()(root)
    return app


def main() -> None:
    words = sys.argv[1:]
    as_json = "--json" in words[: words.index("--")] if "--" in words else "--json" in words
    command: Any = get_command(build())
    try:
        sys.exit(command.main(words, prog_name="gamekeeper", standalone_mode=not as_json))
    except typer.TyperException as error:  # only with --json; without it they are shown in the library's own way
        print_error_json(InvalidError(error.format_message()))
        sys.exit(USAGE)
    except GamekeeperError as error:
        (print_error_json if as_json else print_error)(error)
        sys.exit(exit_code(error))


def exit_code(error: GamekeeperError) -> int:
    status = error.status if isinstance(error, ApiError) else 0
    if isinstance(error, UnavailableError):
        return UNREACHABLE
    if isinstance(error, NotFoundError) or status == 404:
        return UNKNOWN
    if isinstance(error, UnauthenticatedError) or status in (401, 403):
        return REFUSED
    return USAGE

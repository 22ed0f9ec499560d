"""The command's root. Exit codes: 0 done, 1 a failed run or a stack that is not well, 2 a bad request, 3 a server that
can't be reached or a stack that is down, 4 a thing that is not there, 5 a refused key, 130 interrupted.
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
from gamekeeper.cli.context import ApiError, Context, in_saved_context
from gamekeeper.cli.lazy_group import SETTINGS, Command, Group, LazyGroup
from gamekeeper.cli.output import print_error, print_error_json
from gamekeeper.errors import (
    ForbiddenError,
    GamekeeperError,
    InvalidError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)

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
        {
            "policy": Group(
                "Policy files of machines: what containers may do there.",
                {"check": Command("agent_policy:check"), "explain": Command("agent_policy:explain_policy")},
            )
        },
    ),
    "events": Command(
        "events:events", "Show what happened to nodes, runs, steps, instances and containers; newest last."
    ),
    "audit": Command("audit:audit", "Print the whole operation log, oldest first, as JSON lines or CSV."),
    "login": Command("login:login", "Sign in to a server, and use that session from now on."),
    "logout": Command("login:logout", "End the session of the current context, and forget it."),
    "whoami": Command("whoami:whoami", "Show who calls: the user or the key, as events name it, and its grants."),
}
GROUPS: Mapping[str, Group] = {
    "instance": Group(
        "Servers and desktops that stay up on nodes.",
        {
            "ls": Command("instance:list_instances"),
            "show": Command("instance:show"),
            "create": Command("instance_make:create"),
            "start": Command("instance_power:start"),
            "stop": Command("instance_power:stop"),
            "restart": Command("instance_power:restart"),
            "kill": Command("instance_power:kill"),
            "update": Command("instance_make:update"),
            "rollback": Command("instance_power:rollback"),
            "revisions": Command("instance:revisions"),
            "edit": Command("instance:edit"),
            "logs": Command("instance_console:logs"),
            "console": Command("instance_console:console"),
            "exec": Command("instance_console:execute"),
            "wait": Command("instance:wait"),
            "schedule": Group(
                "Times at which an instance is restarted, stopped or started, or gets a line typed into its console.",
                {
                    "ls": Command("instance_schedule:list_schedules"),
                    "show": Command("instance_schedule:show"),
                    "set": Command("instance_schedule:set_schedule"),
                    "pause": Command("instance_schedule:pause"),
                    "resume": Command("instance_schedule:resume"),
                    "trigger": Command("instance_schedule:trigger"),
                    "rm": Command("instance_schedule:remove"),
                },
            ),
            "top": Command("instance_top:top"),
            "events": Command("instance:events"),
            "rm": Command("instance:remove"),
        },
    ),
    "node": Group(
        "Machines that run containers.",
        {
            "ls": Command("node:list_nodes"),
            "show": Command("node:show"),
            "add": Command("node:add"),
            "edit": Command("node:edit"),
            "rm": Command("node:remove"),
            "fit": Command("node_fit:fit"),
            "cordon": Command("node_drain:cordon"),
            "uncordon": Command("node_drain:uncordon"),
            "drain": Command("node_drain:drain"),
            "enrol": Command("node:enrol"),
            "revoke": Command("node:revoke"),
        },
    ),
    "user": Group(
        "People and services that call under names of their own.",
        {
            "ls": Command("user:list_users"),
            "make": Command("user:make"),
            "show": Command("user:show"),
            "edit": Command("user:edit"),
            "disable": Command("user:disable"),
            "enable": Command("user:enable"),
            "rm": Command("user:remove"),
            "password": Command("user:password"),
            "quota": Command("quota:of_user"),
            "totp": Group(
                "An authenticator, whose codes your sign-in asks for beside the password.",
                {"on": Command("totp:on"), "off": Command("totp:off"), "codes": Command("totp:codes")},
            ),
            "passkey": Group(
                "Passkeys, by which users sign in. They are added in a browser.",
                {"ls": Command("passkey:list_passkeys"), "rm": Command("passkey:remove")},
            ),
            "link": Command("sign_in_link:make"),
            "recover": Command("user:recover"),
        },
    ),
    "identity": Group(
        "People at the OpenID provider who sign in as users here.",
        {
            "ls": Command("identity:list_identities"),
            "link": Command("identity:link"),
            "unlink": Command("identity:unlink"),
        },
    ),
    "session": Group(
        "Sessions of users who have signed in.",
        {"ls": Command("session:list_sessions"), "end": Command("session:end")},
    ),
    "context": Group(
        "Servers that you have signed in to.",
        {
            "ls": Command("server_context:list_contexts"),
            "use": Command("server_context:use"),
            "rm": Command("server_context:remove"),
        },
    ),
    "key": Group(
        "API keys, by which people and programs call.",
        {
            "ls": Command("key:list_keys"),
            "make": Command("key:make"),
            "show": Command("key:show"),
            "revoke": Command("key:revoke"),
            "rotate": Command("key:rotate"),
            "quota": Command("quota:of_key"),
        },
    ),
    "grant": Group(
        "What users and keys may do, and to which nodes, pipelines and instances.",
        {
            "make": Command("grant:make"),
            "ls": Command("grant:list_grants"),
            "show": Command("grant:show"),
            "rm": Command("grant:remove"),
        },
    ),
    "alarm": Group(
        "What is wrong now, and the rules by which alarms are raised.",
        {
            "ls": Command("alarm:list_alarms"),
            "show": Command("alarm:show"),
            "ack": Command("alarm:acknowledge"),
            "silence": Command("alarm:silence"),
            "close": Command("alarm:close"),
            "rules": Command("alarm:list_rules"),
            "rule": Command("alarm:show_rule"),
            "set-rule": Command("alarm:set_rule"),
            "rm-rule": Command("alarm:remove_rule"),
        },
    ),
    "channel": Group(
        "The ways by which people are told of alarms.",
        {
            "set": Command("channel:set_channel"),
            "ls": Command("channel:list_channels"),
            "show": Command("channel:show"),
            "test": Command("channel:test"),
            "deliveries": Command("channel:deliveries"),
            "rm": Command("channel:remove"),
        },
    ),
    "silence": Group(
        "Alarms that are muted for a while.",
        {
            "make": Command("silence:make"),
            "ls": Command("silence:list_silences"),
            "end": Command("silence:end"),
        },
    ),
    "window": Group(
        "Maintenance windows, in which alarms tell nobody.",
        {
            "set": Command("window:set_window"),
            "ls": Command("window:list_windows"),
            "rm": Command("window:remove"),
        },
    ),
    "secret": Group(
        "Secrets, which pipelines and instances name; no command shows a value.",
        {
            "set": Command("secret:set_secret"),
            "scope": Command("secret:scope"),
            "ls": Command("secret:list_secrets"),
            "show": Command("secret:show"),
            "restore": Command("secret:restore"),
            "destroy": Command("secret:destroy"),
            "rm": Command("secret:remove"),
            "rotate-key": Command("secret:rotate_key"),
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
    "payload-key": Group(
        "Keys that encrypt what goes through Temporal.",
        {
            "ls": Command("payload_key:list_keys"),
            "rotate": Command("payload_key:rotate"),
            "drop": Command("payload_key:drop"),
            "give-up": Command("payload_key:give_up"),
        },
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
        typer.Option(
            envvar="GAMEKEEPER_API_KEY",
            help="API key; default: that of the state directory, which is sent to this machine alone",
            show_default=False,
        ),
    ] = "",
    pin: Annotated[
        str,
        typer.Option(
            envvar="GAMEKEEPER_PIN", help="Pin of the CA of --server, as `gamekeeper ca show` prints it there"
        ),
    ] = "",
    state_dir: Annotated[
        str,
        typer.Option(
            envvar="GAMEKEEPER_STATE_DIR",
            metavar="PATH",
            help="State directory of the embedded stack",
            show_default=False,
        ),
    ] = "",
    named: Annotated[
        str,
        typer.Option(
            "--context",
            envvar="GAMEKEEPER_CONTEXT",
            help="A server that you have signed in to; default: the one of `gamekeeper context use`",
            show_default=False,
        ),
    ] = "",
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,  # noqa: ARG001
) -> None:
    """Run game nodes: pipelines of containers on machines that host game servers."""
    given = Context(server, api_key, Path(state_dir) if state_dir else None, pin.strip())
    context.obj = in_saved_context(given, named) if named or not (server or api_key) else given


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
    if isinstance(error, UnauthenticatedError | ForbiddenError) or status in (401, 403):
        return REFUSED
    return USAGE

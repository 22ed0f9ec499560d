"""The command's root. Exit codes: 0 done, 1 a failed run, 2 a usage error, 3 a server that can't be reached."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gamekeeper import __version__
from gamekeeper.cli import agent, events, node, pipeline, run_control, runs, schedule, stack
from gamekeeper.cli.context import Context
from gamekeeper.cli.output import print_error
from gamekeeper.errors import GamekeeperError, UnavailableError
from gamekeeper.stack.layout import default_state_dir

USAGE = 2
UNREACHABLE = 3

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False, help=__doc__)
app.add_typer(node.app, name="node")
app.add_typer(run_control.app, name="runs")  # which is that of runs.py, with more
app.add_typer(pipeline.app, name="pipeline")
app.add_typer(schedule.app, name="schedule")
app.command("run")(runs.run)
app.command("up")(stack.up)
app.command("down")(stack.down)
app.command("status")(stack.status)
app.command("agent")(agent.agent)
app.command("events")(events.events)


def _version(show: bool) -> None:
    if show:
        print(f"gamekeeper {__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    server: Annotated[
        str, typer.Option(envvar="GAMEKEEPER_SERVER", help="URL of the api; default: the stack of --state-dir")
    ] = "",
    api_key: Annotated[
        str,
        typer.Option(envvar="GAMEKEEPER_API_KEY", help="API key; default: the state directory's", show_default=False),
    ] = "",
    state_dir: Annotated[
        Path | None, typer.Option(envvar="GAMEKEEPER_STATE_DIR", help="State directory of the embedded stack")
    ] = None,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,  # noqa: ARG001
) -> None:
    """Run game nodes: pipelines of containers on machines that host game servers."""
    context.obj = Context(server, api_key, state_dir or default_state_dir())


def main() -> None:
    try:
        app()
    except UnavailableError as error:
        print_error(error)
        sys.exit(UNREACHABLE)
    except GamekeeperError as error:
        print_error(error)
        sys.exit(USAGE)
    except BrokenPipeError:
        sys.exit(0)  # the reader of our output had enough

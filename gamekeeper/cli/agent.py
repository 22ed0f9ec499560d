"""``agent``: this machine's agent, for a node of a control plane elsewhere."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import platformdirs
import typer


def agent(
    server: Annotated[str, typer.Option(envvar="GAMEKEEPER_AGENT_SERVER", help="HOST:PORT of the node link")],
    token: Annotated[
        str, typer.Option(envvar="GAMEKEEPER_AGENT_TOKEN", help="Enrolment token, needed the first time")
    ] = "",
    agent_dir: Annotated[
        Path | None, typer.Option("--state-dir", help="Where the agent keeps its identity, journal and spool")
    ] = None,
    policy: Annotated[Path | None, typer.Option(help="Policy file of this node", exists=True, dir_okay=False)] = None,
    temporal: Annotated[str, typer.Option(help="HOST:PORT of Temporal, where it differs from what is told")] = "",
    engine: Annotated[str, typer.Option(help="docker, or dummy for tests")] = "docker",
) -> None:
    """Run this machine's agent until SIGTERM, which leaves its containers running."""
    folder = agent_dir or platformdirs.user_data_path("gamekeeper-agent")
    settings = {
        "SERVER": server,
        "TOKEN": token,
        "STATE_DIR": str(folder.expanduser().absolute()),
        "POLICY_FILE": str(policy.absolute()) if policy else "",
        "TEMPORAL": temporal,
        "ENGINE": engine,
    }
    os.environ.update({f"GAMEKEEPER_AGENT_{name}": value for name, value in settings.items() if value})
    # The agent is its own program: it replaces this one, so that the command's libraries take none of its memory.
    os.execvp(sys.executable, [sys.executable, "-m", "agent_worker"])

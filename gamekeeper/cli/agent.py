"""``agent``: this machine's agent, for a node of a control plane elsewhere."""

from __future__ import annotations

import getpass
import json
import os
import sys
from pathlib import Path
from typing import Annotated

import platformdirs
import typer

from gamekeeper.cli.context import Context
from gamekeeper.errors import InvalidError
from gamekeeper.whole_file import write_whole

NODES_FILE = "simulated-nodes.json"


def agent(
    context: typer.Context,
    server: Annotated[
        str,
        typer.Option(
            envvar="GAMEKEEPER_AGENT_SERVER",
            help="The control plane as HOST or HOST:PORT of REST (7380), or several with commas",
        ),
    ],
    token: Annotated[
        str,
        typer.Option(
            envvar="GAMEKEEPER_AGENT_TOKEN",
            help="Join key or enrolment token, needed the first time; - reads it from standard input",
        ),
    ] = "",
    token_file: Annotated[
        Path | None, typer.Option(envvar="GAMEKEEPER_AGENT_TOKEN_FILE", help="File with it", dir_okay=False)
    ] = None,
    node: Annotated[
        str, typer.Option(envvar="GAMEKEEPER_AGENT_NODE", help="Name in place of the host name, for a join key")
    ] = "",
    agent_dir: Annotated[
        Path | None, typer.Option("--state-dir", help="Where the agent keeps its identity, journal and spool")
    ] = None,
    policy: Annotated[Path | None, typer.Option(help="Policy file of this node", exists=True, dir_okay=False)] = None,
    temporal: Annotated[str, typer.Option(help="HOST:PORT of Temporal, where it differs from what is told")] = "",
    engine: Annotated[str, typer.Option(help="docker, or dummy for tests")] = "docker",
    simulate: Annotated[
        int, typer.Option(min=0, max=10_000, help="Be so many made-up nodes (sim-0001 ...), with --engine dummy")
    ] = 0,
    compression: Annotated[str, typer.Option(help="gzip: smaller logs and metrics for more CPU")] = "",
    stop_containers: Annotated[
        bool, typer.Option("--stop-containers", help="SIGTERM also stops the node's containers")
    ] = False,
) -> None:
    """Run this machine's agent until SIGTERM, which leaves its containers running. But see --stop-containers."""
    folder = agent_dir or platformdirs.user_data_path("gamekeeper-agent")
    settings = {
        "SERVER": server,
        "TOKEN_FILE": _kept_secret(token) if token else str(token_file.absolute()) if token_file else "",
        "NODE": node,
        "STATE_DIR": str(folder.expanduser().absolute()),
        "POLICY_FILE": str(policy.absolute()) if policy else "",
        "TEMPORAL": temporal,
        "ENGINE": engine,
        "COMPRESSION": compression,
        "STOP_CONTAINERS": "true" if stop_containers else "",
    }
    if simulate:
        if engine != "dummy":
            raise InvalidError("--simulate is for made-up machines", hint="add --engine dummy")
        settings["SIMULATE_TOKENS"] = str(_enrol_simulated(context.obj, simulate, Path(settings["STATE_DIR"])))
    os.environ.pop("GAMEKEEPER_AGENT_TOKEN", None)
    os.environ.update({f"GAMEKEEPER_AGENT_{name}": value for name, value in settings.items() if value})
    # The agent is its own program: it replaces this one, so that the command's libraries take none of its memory.
    os.execvp(sys.executable, [sys.executable, "-m", "agent_worker"])


def _kept_secret(token: str) -> str:
    """A file in memory with the token, for the program that takes this one's place: so it stands in neither the
    arguments nor the environment of the agent, which `ps` shows."""
    descriptor = os.memfd_create("token", 0)
    os.write(descriptor, (_read_token() if token == "-" else token).encode())
    return f"/proc/self/fd/{descriptor}"


def _read_token() -> str:
    """On a terminal it is not shown."""
    if sys.stdin.isatty():
        return getpass.getpass("join key or token: ").strip()
    return sys.stdin.readline().strip()


def _enrol_simulated(obj: Context, count: int, folder: Path) -> Path:
    """Adds the nodes that are missing and makes a token for each that this folder has no identity of."""
    folder.mkdir(parents=True, exist_ok=True)
    identities = folder / "identities.json"
    enrolled = {item["node_id"] for item in (json.loads(identities.read_text()) if identities.exists() else [])}
    there = {node["id"] for node in obj.list_all("/nodes", {"limit": 500})}
    tokens: dict[str, str] = {}
    for node in (f"sim-{number:04d}" for number in range(1, count + 1)):
        if node not in there:
            obj.call("POST", "/nodes", json={"id": node, "labels": {"simulated": "true"}})
        is_enrolled = node in enrolled and node in there
        made = None if is_enrolled else obj.call("POST", f"/nodes/{node}/enrolment-tokens", json={"minutes": 60})
        tokens[node] = made["token"] if made else ""
    path = folder / NODES_FILE
    write_whole(path, json.dumps(tokens))
    return path

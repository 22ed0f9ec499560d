"""Makes and starts containers, and tells whose fault it is where the engine does not."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from docker.errors import APIError, NotFound

from agent_worker.docker_engine.connection import EngineConnection
from agent_worker.docker_engine.errors import explain, fault
from agent_worker.docker_engine.group_networks import GroupNetworks
from agent_worker.docker_engine.inspected import Made, made_from_inspect, parse_time
from gamekeeper.ports.container_engine import NameTakenError, StartError

REJOINS = 3  # somebody may remove it again meanwhile
COMMAND_CODES = (126, 127)  # found but not to be executed, and not found: as a shell says it


def create_named(connection: EngineConnection, config: dict[str, Any], name: str) -> Made:
    """Raises NameTakenError, for the name is the lock."""
    api = connection.api
    try:
        created = api.create_container_from_config(config, name)  # type: ignore[no-untyped-call]
        return look(connection, str(created["Id"]))
    except APIError as error:
        if error.status_code == 409 and "already in use" in explain(error):
            raise NameTakenError(name) from error
        raise


def check_free(connection: EngineConnection, name: str) -> None:
    """Raises NameTakenError where a container has the name."""
    with suppress(NotFound):
        if connection.api.inspect_container(name)["Name"] == f"/{name}":  # or its id begins so
            raise NameTakenError(name)


def is_up(connection: EngineConnection, container_id: str) -> bool:
    """True for a container with a process, which a start leaves alone."""
    return bool(connection.api.inspect_container(container_id)["State"]["Running"])


def look(connection: EngineConnection, container_id: str) -> Made:
    return made_from_inspect(connection.api.inspect_container(container_id))


def start_joined(connection: EngineConnection, groups: GroupNetworks, container_id: str) -> None:
    """Starts a container, in its group's network anew where that is gone. Raises StartError for its own command."""
    api = connection.api
    try:
        for is_last in (False,) * REJOINS + (True,):
            try:
                api.start(container_id)
                return
            except APIError as error:
                if is_last or not is_network_lost(error) or not groups.rejoin(container_id):
                    raise
    except APIError as error:
        state = api.inspect_container(container_id)["State"]
        if state["ExitCode"] in COMMAND_CODES:
            raise StartError(explain(error)) from error
        if parse_time(state["StartedAt"]) is None:
            raise fault(explain(error)) from error


def is_network_lost(error: APIError) -> bool:
    """True when no network has the name, or several."""
    text = explain(error)
    return "network" in text and any(words in text for words in ("not found", "is ambiguous"))

"""Removes a container until it is gone.

Docker refuses to remove what it is removing already, for an agent that was killed or for somebody else. Until that is
done the container has its name, its volumes and its network, so whoever asked must not go on to them.
"""

from __future__ import annotations

import asyncio

from agent_worker.docker_engine.connection import EngineConnection
from agent_worker.docker_engine.errors import GoneError
from gamekeeper.errors import GamekeeperError, UnavailableError

POLL_SECONDS = 0.1
PATIENCE_SECONDS = 10.0  # one that hangs in the kernel never ends
GOING = "already in progress"


async def remove_wholly(connection: EngineConnection, container_id: str) -> None:
    """With its anonymous volumes. Raises UnavailableError when an earlier removal goes on for too long."""
    clock = asyncio.get_running_loop().time
    end = clock() + PATIENCE_SECONDS
    while True:
        try:
            await connection.call(connection.api.remove_container, container_id, v=True)
            return
        except GoneError:
            return
        except GamekeeperError as error:
            if GOING not in str(error):
                raise
            if clock() > end:
                raise UnavailableError("an earlier removal of it has not come to its end") from error
        await asyncio.sleep(POLL_SECONDS)

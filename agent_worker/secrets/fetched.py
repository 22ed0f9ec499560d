"""Asks the control plane for the values of secrets, at the moment in which a container is made or started."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

from agent_worker.node_link.calls import LinkCalls
from gamekeeper.domain.container.container_key import ContainerKey
from gamekeeper.errors import LaterError, SecretError
from gamekeeper.ports.secret_source import SecretSource
from gamekeeper.rpc.convert import key_to_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb

PATIENCE_SECONDS = 10.0


class FetchedSecrets(SecretSource):
    """SecretSource over the node link."""

    def __init__(self, calls: LinkCalls) -> None:
        self._calls = calls

    async def values(self, key: ContainerKey, names: Collection[str]) -> Mapping[str, bytes]:
        """A server that has not written the step's beginning yet says so, and is asked again a moment later."""
        clock = asyncio.get_running_loop().time
        end = clock() + PATIENCE_SECONDS
        request = pb.GiveSecretsRequest(key=key_to_pb(key), names=sorted(set(names)))
        while True:
            try:
                values = dict((await self._calls.give_secrets(request)).values)
            except LaterError as error:
                if clock() + error.after_seconds > end:
                    raise
                await asyncio.sleep(error.after_seconds)
                continue
            if missing := set(request.names) - values.keys():
                raise SecretError(f"the control plane did not tell the secrets {', '.join(sorted(missing))}")
            return values

"""Search attributes of runs, for people who look in the Temporal web UI; our own lists never read them.

Who may start runs in a namespace need not have the right to add attributes to it (on Temporal Cloud nobody has it by
this way). Runs then go without, and a run's workflow changes those alone that it was started with.
"""

import math
import time
from collections.abc import Callable
from datetime import timedelta

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from gamekeeper.domain.run.run import RunState
from gamekeeper.errors import UnavailableError
from gamekeeper.logging import get_logger
from gamekeeper.temporal.goaway import past_goaway

log = get_logger(__name__)

PIPELINE = SearchAttributeKey.for_keyword("GamekeeperPipeline")
STATE = SearchAttributeKey.for_keyword("GamekeeperState")
NODES = SearchAttributeKey.for_keyword_list("GamekeeperNodes")


def of_run(pipeline: str, nodes: list[str]) -> TypedSearchAttributes:
    """The attributes that a run's workflow is started with."""
    return TypedSearchAttributes(
        [
            SearchAttributePair(PIPELINE, pipeline),
            SearchAttributePair(STATE, RunState.RUNNING.value),
            SearchAttributePair(NODES, nodes[:50]),
        ]
    )


_TYPES = {
    PIPELINE.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    STATE.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    NODES.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST,
}
_NO_RIGHT = (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED, RPCStatusCode.UNAUTHENTICATED)
_NO_ROOM = (RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.FAILED_PRECONDITION)
_CALL = timedelta(seconds=10)
ASK_AGAIN_SECONDS = 60.0


class SearchAttributes:
    """Those of one namespace. Once they are there, nobody asks again. ``clock`` gives seconds and never goes back."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._are_there = False
        self._ask_after = -math.inf

    async def ensure(self) -> None:
        """Adds the missing ones; without the right to, tells once how to add them.

        The dev server's own flag for it only works while its file does not exist yet. Raises UnavailableError when the
        server does not take them now.
        """
        try:
            missing = await self._missing()
            if missing and (refusal := await self._add(missing)):
                commands = " && ".join(_commands(self))
                log.warning("runs can't be searched for in Temporal (%s); to have that: %s", refusal, commands)
                self._ask_after = self._clock() + ASK_AGAIN_SECONDS
            else:
                self._are_there = True
        except RPCError as error:
            raise UnavailableError(f"Temporal does not take the search attributes: {error.message}") from error

    async def are_there(self) -> bool:
        """True where runs may be started with them. An answer of "no" is good for a minute."""
        if not self._are_there and self._clock() >= self._ask_after:
            try:
                self._are_there = not await self._missing()
            except RPCError as error:
                raise UnavailableError(f"Temporal does not answer: {error.message}") from error
            self._ask_after = self._clock() + ASK_AGAIN_SECONDS
        return self._are_there

    @property
    def namespace(self) -> str:
        return self._client.namespace

    async def _missing(self) -> set[str]:
        """Their names. Where nobody may list them, a search by each tells."""
        request = ListSearchAttributesRequest(namespace=self.namespace)
        try:
            listed = await past_goaway(
                lambda: self._client.operator_service.list_search_attributes(request, timeout=_CALL)
            )
        except RPCError as error:
            if error.status not in _NO_RIGHT:
                raise
            return {name for name in _TYPES if not await self._is_known(name)}
        return {name for name in _TYPES if name not in listed.custom_attributes}

    async def _is_known(self, name: str) -> bool:
        try:
            await self._client.count_workflows(f"{name} = 'none'", rpc_timeout=_CALL)
        except RPCError as error:
            if error.status is RPCStatusCode.INVALID_ARGUMENT:
                return False
            raise
        return True

    async def _add(self, missing: set[str]) -> str:
        """Temporal's refusal: without the right to, or where the namespace has as many as it may have. Else empty."""
        types = {name: kind for name, kind in _TYPES.items() if name in missing}
        request = AddSearchAttributesRequest(namespace=self.namespace, search_attributes=types)
        try:
            await past_goaway(lambda: self._client.operator_service.add_search_attributes(request, timeout=_CALL))
        except RPCError as error:
            if error.status not in (*_NO_RIGHT, *_NO_ROOM):
                raise
            return error.message or error.status.name
        return ""


def _commands(attributes: SearchAttributes) -> list[str]:
    create = f"temporal operator search-attribute create --namespace {attributes.namespace}"
    lists = f"{create} --type KeywordList --name {NODES.name}"
    return [f"{create} --type Keyword --name {PIPELINE.name} --name {STATE.name}", lists]

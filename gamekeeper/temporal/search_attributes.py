"""Search attributes of runs, for people who look in the Temporal web UI; our own lists never read them."""

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError

from gamekeeper.domain.run.run import RunState
from gamekeeper.errors import UnavailableError

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


async def ensure_search_attributes(client: Client) -> None:
    """Adds the missing ones. The dev server's own flag for it only works while its file does not exist yet.

    Raises UnavailableError when the server does not take them now.
    """
    try:
        await _add_missing(client)
    except RPCError as error:
        raise UnavailableError(f"Temporal does not take the search attributes: {error.message}") from error


async def _add_missing(client: Client) -> None:
    listed = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    missing = {name: kind for name, kind in _TYPES.items() if name not in listed.custom_attributes}
    if missing:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
        )

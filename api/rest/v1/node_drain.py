"""Routes that take a node out of work, and back."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import ConfigDict, Field

from api.dependencies import DrainsDep, NodesDep
from api.needs import needs
from api.problems import problems
from api.rest.body import Body
from api.rest.fields import DurationText
from api.rest.v1.node import Node, NodeId, shown_node
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.language.units import parse_duration
from gamekeeper.errors import NotFoundError

router = APIRouter(prefix="/nodes", tags=["nodes"])


class DrainRequest(Body):
    """The time that running steps are given."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"deadline": "30m"}]})

    deadline: DurationText = Field(default="10m", description="Running steps are stopped after this time")


@router.post("/{node_id}/cordon", responses=problems(NotFoundError), dependencies=[needs(Verb.POWER, ObjectKind.NODE)])
async def cordon_node(node_id: NodeId, drains: DrainsDep, nodes: NodesDep, response: Response) -> Node:
    """Mode `maintenance`: no new steps or instances, running ones go on. It ends a drain."""
    return await shown_node(await drains.cordon(node_id), nodes, response)


@router.post(
    "/{node_id}/uncordon", responses=problems(NotFoundError), dependencies=[needs(Verb.POWER, ObjectKind.NODE)]
)
async def uncordon_node(node_id: NodeId, drains: DrainsDep, nodes: NodesDep, response: Response) -> Node:
    """Mode `active`. It ends a drain; instances that a disabled node stopped start again."""
    return await shown_node(await drains.uncordon(node_id), nodes, response)


@router.post("/{node_id}/drain", responses=problems(NotFoundError), dependencies=[needs(Verb.POWER, ObjectKind.NODE)])
async def drain_node(
    node_id: NodeId, drains: DrainsDep, nodes: NodesDep, response: Response, body: DrainRequest | None = None
) -> Node:
    """Mode `maintenance` now, and `disabled` when no step runs there any more or at the deadline, whichever is first.
    A disabled node stops its instances. A further drain sets a new deadline."""
    deadline = parse_duration((body or DrainRequest()).deadline)
    return await shown_node(await drains.drain(node_id, deadline), nodes, response)

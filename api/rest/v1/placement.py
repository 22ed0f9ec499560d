"""The route that tries a placement."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from api.dependencies import CallerDep, PlacementsDep
from api.needs import Judged, SeenNodes, needs
from api.problems import SPEC
from api.rest.v1.instance import InstanceCreate
from api.rest.yaml_body import YamlRoute
from gamekeeper.domain.access.verb import ObjectKind, Verb

router = APIRouter(prefix="/placement", tags=["instances"], route_class=YamlRoute)


class Fit(BaseModel):
    """A node that would take the instance."""

    node: str = Field(description="Its id")
    ports: dict[str, int] = Field(description="First number of each port, by its name or its port in the container")
    gpus: dict[str, int] = Field(description="GPUs that it would get, by vendor")


class LeftOut(BaseModel):
    """A node that would not take it."""

    node: str = Field(description="Its id")
    why: str = Field(description="All reasons against it, in words")


class PlacementAnswer(BaseModel):
    """The answer of a placement that was tried. Nothing is promised by it."""

    fits: list[Fit] = Field(description="Nodes that would take it now, best first: the first one would get it")
    left_out: list[LeftOut] = Field(description="The other nodes, with the reasons against each")
    never: bool = Field(description="True when no node could take it even if it were empty")


@router.post("/try", responses=SPEC, dependencies=[needs(Verb.SEE, ObjectKind.NODE, judged=Judged.LIST)])
async def try_placement(
    body: InstanceCreate, request: Request, placements: PlacementsDep, caller: CallerDep, _: SeenNodes
) -> PlacementAnswer:
    """Answers where an instance would go among the nodes that the caller sees, and why not elsewhere. The body is that
    of a new instance; nothing is made or promised. 422 lists every problem of the body."""
    answer = await placements.attempt(body.submission(await request.body()), caller.access)
    return PlacementAnswer(
        fits=[
            Fit(node=fit.node, ports=dict(fit.ports), gpus={fit.gpu_vendor: fit.gpu_count} if fit.gpu_count else {})
            for fit in answer.fits
        ],
        left_out=[LeftOut(node=node, why=why) for node, why in answer.why],
        never=answer.never,
    )

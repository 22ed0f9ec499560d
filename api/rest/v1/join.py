"""The two routes without an API key, by which a machine becomes a node: the roots to check, and the join itself."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response, status
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from api.dependencies import JoinDep, ServicesDep
from api.problems import problems, text
from api.rest.body import Body
from api.rest.fields import HOST, OPTIONAL_ID, Shown
from api.services.access.joining import Joined, JoinService
from api.services.access.key_join import Machine
from gamekeeper.db.models import JoinRow
from gamekeeper.domain.node.join import JoinReason
from gamekeeper.errors import PreconditionError, UnauthenticatedError

router = APIRouter(tags=["join"])

PEM_TYPE = "application/x-pem-file"
_CSR = "-----BEGIN CERTIFICATE REQUEST-----\n...\n-----END CERTIFICATE REQUEST-----\n"
_EXAMPLE: JsonDict = {"token": "gkj_SECRET.PIN", "csr": _CSR, "protocol_version": 3, "host": "gpu-01"}
ASK_AGAIN_SECONDS = 5


class MachineFacts(BaseModel):
    """The machine as it describes itself, for the operator who approves it. It may lie."""

    os: Shown = ""
    kernel: Shown = ""
    architecture: Shown = ""
    cpu_model: Shown = ""
    cpu_count: int = Field(default=0, ge=0, le=2**31)
    memory_bytes: int = Field(default=0, ge=0, le=2**53)
    agent_version: Shown = ""


class JoinRequest(Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    token: str = Field(
        default="",
        max_length=200,
        description="Enrolment token or join key. Empty with the header `Authorization: Bearer NODE KEY`, by which a "
        "node whose certificate ran out gets a new one.",
    )
    csr: str = Field(max_length=4096, description="Request for a certificate of a P-256 key, as PEM")
    protocol_version: int = Field(ge=0, le=10_000, description="Version of the node link that the agent speaks")
    host: str = Field(
        default="", max_length=253, pattern=HOST, description="The machine's host name, for a join key's name pattern"
    )
    node_id: str = Field(
        default="",
        max_length=63,
        pattern=OPTIONAL_ID,
        description="The id that the agent has already: a token or join key that gives another one is refused, and not "
        "spent",
    )
    facts: MachineFacts = Field(default_factory=MachineFacts)


class JoinAnswer(BaseModel):
    node_id: str
    node_key: str = Field(description="Shown this once, for a token; empty otherwise")
    certificate: str = Field(description="The node's certificate and what leads from it to the roots, as PEM")
    roots: str = Field(description="The roots that the node is to trust, as PEM")
    lifetime_seconds: int = Field(description="How long the certificate is good; renew it at two thirds")
    link_port: int = Field(description="Port of the node link, on the host that this was asked of")
    gateway_port: int = Field(description="Port of the gateway there; 0 where there is none")
    policy: dict[str, Any] | None = Field(description="The join key's template of a node policy")

    @classmethod
    def of(cls, joined: Joined) -> JoinAnswer:
        return cls(**vars(joined))


class JoinWaits(BaseModel):
    """The machine is to ask again, with the same key of its own, until an operator has decided."""

    join: str = Field(
        description="Id of the join: the short fingerprint of the machine's key", examples=["3f2a-91bc-7d10-44e9"]
    )
    node_id: str = Field(description="The id that the machine is to have")
    reason: JoinReason
    ask_again_seconds: int = ASK_AGAIN_SECONDS


@router.get("/roots", response_class=Response, responses=text(PEM_TYPE, "The roots"))
async def get_roots(joining: JoinDep) -> Response:
    """The roots of this control plane's CA, as PEM. They prove nothing: compare them with a token's pin."""
    return Response(joining.roots, media_type=PEM_TYPE)


@router.post("/join", response_model=JoinAnswer, responses={202: {"model": JoinWaits}, **problems(PreconditionError)})
async def join_node(
    body: JoinRequest,
    joining: JoinDep,
    services: ServicesDep,
    request: Request,
    authorization: Annotated[str, Header(max_length=200, include_in_schema=False)] = "",
) -> JoinAnswer | JSONResponse:
    """A certificate for a machine with an enrolment token or a join key, or for a node with its key.

    202 where an operator has to approve the machine first: by `POST /joins/{join}/approve`.
    """
    address = request.client.host if request.client else ""
    try:
        found = await _asked(body, joining, authorization, address)
    except UnauthenticatedError:
        services.rates.wrong(address)
        raise
    if isinstance(found, JoinRow):
        waits = JoinWaits(join=found.id, node_id=found.node_id, reason=JoinReason(found.reason))
        return JSONResponse(waits.model_dump(mode="json"), status.HTTP_202_ACCEPTED)
    return JoinAnswer.of(found)


async def _asked(body: JoinRequest, joining: JoinService, authorization: str, address: str) -> Joined | JoinRow:
    if body.token or not authorization:
        return await joining.join(
            token=body.token,
            csr=body.csr,
            protocol_version=body.protocol_version,
            machine=Machine(
                host=body.host,
                node_id=body.node_id,
                address=address[:64],
                facts=body.facts.model_dump(),
            ),
        )
    return await joining.return_by_key(
        authorization=authorization, csr=body.csr, protocol_version=body.protocol_version
    )

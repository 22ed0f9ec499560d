"""The two routes without an API key, by which a machine becomes a node: the roots to check, and the join itself."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from api.dependencies import JoinDep
from api.problems import problems
from api.services.access.joining import Joined
from gamekeeper.errors import PreconditionError

router = APIRouter(tags=["join"])

PEM_TYPE = "application/x-pem-file"
_CSR = "-----BEGIN CERTIFICATE REQUEST-----\n...\n-----END CERTIFICATE REQUEST-----\n"
_EXAMPLE: JsonDict = {"token": "gke_SECRET.PIN", "csr": _CSR, "protocol_version": 2}


class JoinRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    token: str = Field(
        default="",
        max_length=200,
        description="Enrolment token. Empty with the header `Authorization: Bearer NODE KEY`, by which a node whose "
        "certificate ran out gets a new one.",
    )
    csr: str = Field(max_length=4096, description="Request for a certificate of a P-256 key, as PEM")
    protocol_version: int = Field(ge=0, le=10_000, description="Version of the node link that the agent speaks")


class JoinAnswer(BaseModel):
    node_id: str
    node_key: str = Field(description="Shown this once, for a token; empty otherwise")
    certificate: str = Field(description="The node's certificate and what leads from it to the roots, as PEM")
    roots: str = Field(description="The roots that the node is to trust, as PEM")
    lifetime_seconds: int = Field(description="How long the certificate is good; renew it at two thirds")
    link_port: int = Field(description="Port of the node link, on the host that this was asked of")
    gateway_port: int = Field(description="Port of the gateway there; 0 where there is none")

    @classmethod
    def of(cls, joined: Joined) -> JoinAnswer:
        return cls(**vars(joined))


@router.get("/roots", response_class=Response)
async def get_roots(joining: JoinDep) -> Response:
    """The roots of this control plane's CA, as PEM. They prove nothing: compare them with a token's pin."""
    return Response(joining.roots, media_type=PEM_TYPE)


@router.post("/join", responses=problems(PreconditionError))
async def join(
    body: JoinRequest, joining: JoinDep, authorization: Annotated[str, Header(max_length=200)] = ""
) -> JoinAnswer:
    """A certificate for a machine with an enrolment token, or for a node with its key."""
    if body.token or not authorization:
        found = await joining.join(token=body.token, csr=body.csr, protocol_version=body.protocol_version)
    else:
        found = await joining.return_by_key(
            authorization=authorization, csr=body.csr, protocol_version=body.protocol_version
        )
    return JoinAnswer.of(found)

"""Routes of the CA: its roots, and its rotation."""

from __future__ import annotations

from datetime import datetime, timedelta

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from api.dependencies import AuthorityDep
from api.needs import needs
from api.problems import problems
from api.rest.body import Body
from api.services.access.authority import AuthorityState
from gamekeeper.certificates.authority import OVERLAP
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.errors import ConflictError

router = APIRouter(prefix="/ca", tags=["ca"])

_EXAMPLE: JsonDict = {"overlap_days": OVERLAP.days}


class Root(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    name: str
    pin: str = Field(description="SHA-256 of the certificate as base64url, as tokens carry it and `--pin` takes it")
    fingerprint: str = Field(description="The same SHA-256 as other tools show it")
    made_at: datetime
    not_after: datetime
    trusted_until: datetime = Field(description="The end of the overlap for a root that was rotated out")
    signs: bool = Field(description="True for the root to which new certificates lead")


class Authority(BaseModel):
    roots: list[Root] = Field(description="All roots that are trusted, the newest first")
    outside: bool = Field(description="True when another CA signed this one; it can't be rotated here")
    nodes_behind: list[str] = Field(
        description="Nodes that have not been seen with a certificate of the newest root while older ones are trusted. "
        "One that stays away until those are out needs a new enrolment token."
    )

    @classmethod
    def of(cls, state: AuthorityState) -> Authority:
        roots = [Root.model_validate(root) for root in state.roots]
        return cls(roots=roots, outside=state.is_outside, nodes_behind=state.behind)


class Rotation(Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    overlap_days: int = Field(default=OVERLAP.days, ge=1, le=365, description="Days that the root of now stays trusted")
    again: bool = Field(default=False, description="Rotates although an older root is still trusted")


@router.get("", dependencies=[needs(Verb.SEE, ObjectKind.SERVER)])
async def get_ca(authority: AuthorityDep) -> Authority:
    """The roots, and who does not know the newest one yet."""
    return Authority.of(await authority.state())


@router.post("/rotate", responses=problems(ConflictError), dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)])
async def rotate_ca(authority: AuthorityDep, body: Rotation | None = None) -> Authority:
    """Makes a new root. Servers have certificates that lead to both roots when this is answered, connected agents renew
    theirs within a minute, and tokens that were given out go on working while the older root is trusted."""
    wanted = body or Rotation()
    return Authority.of(await authority.rotate(timedelta(days=wanted.overlap_days), again=wanted.again))

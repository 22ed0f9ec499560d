"""The route that tells a sign-in page which ways there are. It needs no key, and tells nothing else."""

from __future__ import annotations

from enum import StrEnum

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.dependencies import ServicesDep

router = APIRouter(tags=["sessions"])


class WayKind(StrEnum):
    """A kind of sign-in."""

    PASSWORD = "password"
    PASSKEY = "passkey"
    OIDC = "oidc"


class SignInWay(BaseModel):
    kind: WayKind
    title: str = Field(description="Words for its button; empty where the page knows them")
    url: str = Field(description="Where a browser begins it; empty for one that the page does itself")


class SignInWays(BaseModel):
    ways: list[SignInWay]


@router.get("/sign-in")
async def list_sign_in_ways(services: ServicesDep) -> SignInWays:
    """Tells which ways to sign in there are."""
    ways = [SignInWay(kind=WayKind.PASSWORD, title="", url="")]
    if services.people.passkey_sign_ins.is_set_up:
        ways.append(SignInWay(kind=WayKind.PASSKEY, title="", url=""))
    if (oidc := services.people.oidc) is not None:
        url = f"{oidc.public_url}/api/v1/sign-in/oidc"
        ways.append(SignInWay(kind=WayKind.OIDC, title=oidc.button, url=url))
    return SignInWays(ways=ways)

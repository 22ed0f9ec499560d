"""Routes of authenticators: one's own, and for an admin the end of somebody else's."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response, status
from pydantic import BaseModel, ConfigDict, Field

from api.dependencies import CallerDep, SecondFactorDep
from api.needs import needs, needs_a_key
from api.problems import problems
from api.rest.body import Body
from api.rest.v1.user import UserId
from api.services.access.second_factor import Proof
from gamekeeper.domain.access.password import MAX_BYTES
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.errors import ConflictError, NotFoundError, TooOftenError

router = APIRouter(tags=["users"])

MAX_CODE = 64


class PasswordAndCode(Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"password": "four words of mine"}]})

    password: str = Field(max_length=MAX_BYTES, description="The password of now")
    code: str = Field(
        default="",
        max_length=MAX_CODE,
        description="A code, or a recovery code, where there is an authenticator already",
    )


class FirstCode(Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"code": "492039"}]})

    code: str = Field(max_length=MAX_CODE, description="The code that the new authenticator shows")


class NewAuthenticator(BaseModel):
    secret: str = Field(description="Its secret, to be typed; shown this once")
    uri: str = Field(description="The same as `otpauth://` URI, for a QR code")


class RecoveryCodes(BaseModel):
    codes: list[str] = Field(description="Shown this once")


@router.post("/users/me/totp", responses=problems(ConflictError, TooOftenError), dependencies=[needs_a_key()])
async def create_authenticator(
    body: PasswordAndCode, request: Request, response: Response, caller: CallerDep, second: SecondFactorDep
) -> NewAuthenticator:
    """Begins with a new authenticator. It counts once its first code has confirmed it, and takes the place of one of
    before."""
    response.headers["Cache-Control"] = "no-store"
    secret, uri = await second.enrol(caller, Proof(body.password, body.code), _address(request))
    return NewAuthenticator(secret=secret, uri=uri)


@router.post("/users/me/totp/confirm", responses=problems(ConflictError), dependencies=[needs_a_key()])
async def approve_authenticator(
    body: FirstCode, response: Response, caller: CallerDep, second: SecondFactorDep
) -> RecoveryCodes:
    """Turns the new authenticator on: each sign-in asks for a code from now on."""
    response.headers["Cache-Control"] = "no-store"
    return RecoveryCodes(codes=await second.confirm(caller, body.code))


@router.post(
    "/users/me/totp/remove",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(ConflictError, TooOftenError),
    dependencies=[needs_a_key()],
)
async def remove_authenticator(
    body: PasswordAndCode, request: Request, caller: CallerDep, second: SecondFactorDep
) -> None:
    """Turns one's authenticator off, with its recovery codes."""
    await second.remove(caller, Proof(body.password, body.code), _address(request))


@router.post("/users/me/recovery-codes", responses=problems(ConflictError, TooOftenError), dependencies=[needs_a_key()])
async def create_recovery_codes(
    body: PasswordAndCode, request: Request, response: Response, caller: CallerDep, second: SecondFactorDep
) -> RecoveryCodes:
    """Makes ten recovery codes, in the place of those of before."""
    response.headers["Cache-Control"] = "no-store"
    return RecoveryCodes(codes=await second.new_codes(caller, Proof(body.password, body.code), _address(request)))


@router.delete(
    "/users/{user_id}/totp",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(NotFoundError, ConflictError),
    dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)],
)
async def remove_authenticator_of(user_id: UserId, caller: CallerDep, second: SecondFactorDep) -> None:
    """Turns the authenticator of a user off who has lost it, with its recovery codes."""
    await second.remove_of(caller, user_id)


def _address(request: Request) -> str:
    return request.client.host if request.client else ""

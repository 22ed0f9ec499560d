"""Routes of passkeys: one's own, and for an admin those of others."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response, status
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.dependencies import SAFE_ID, CallerDep, OwnPasswordsDep, PasskeysDep
from api.needs import needs, needs_a_key
from api.problems import problems
from api.rest.body import Body
from api.rest.proof import EXAMPLE_OF_NEW, NewCredential, OwnProofGiven, PasskeyOptions, Ticket
from api.rest.v1.user import UserId
from api.services.access.passkey_use import Answered
from gamekeeper.db.models import PasskeyRow
from gamekeeper.domain.access.caller import Caller
from gamekeeper.domain.access.passkey import MAX_PASSKEY_NAME, passkey_name
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.errors import ConflictError, InvalidError, NotFoundError, TooOftenError

router = APIRouter(tags=["users"])

PasskeyId = Annotated[
    str, Path(max_length=16, pattern=SAFE_ID, description="Id of the passkey", examples=["1f7a90c2b3d45e68"])
]
Name = Annotated[str, Field(min_length=1, max_length=MAX_PASSKEY_NAME), AfterValidator(passkey_name)]


class PasskeyCreate(Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE_OF_NEW]})

    name: Name = Field(description="A name for you, as that of the device; no other passkey of yours has it")
    ticket: Ticket
    credential: NewCredential = Field(description="The browser's answer, as its `toJSON()` writes it")


class PasskeyChange(Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "phone"}]})

    name: Name = Field(description="The name from now on")


class Passkey(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str = Field(description="Its id, which is no secret")
    user_id: str = Field(description="The user who signs in by it")
    name: str = Field(description="The name that its user has given it")
    rp_id: str = Field(
        description="The host name that it belongs to; of another one than the server's it opens nothing"
    )
    is_synced: bool = Field(description="True where a key ring may bring it to other devices")
    created_at: datetime
    last_used_at: datetime | None = Field(description="When it was last used; null when it never was")
    last_used_from: str = Field(description="The address of that use")

    @classmethod
    def of(cls, row: PasskeyRow) -> Passkey:
        return cls.model_validate(row)


class PasskeyList(BaseModel):
    items: list[Passkey]


@router.post("/users/me/passkeys/options", responses=problems(ConflictError), dependencies=[needs_a_key()])
async def create_passkey_options(
    body: OwnProofGiven, request: Request, response: Response, caller: CallerDep, passkeys: PasskeysDep
) -> PasskeyOptions:
    """Begins with a new passkey: options for `navigator.credentials.create`."""
    response.headers["Cache-Control"] = "no-store"
    return PasskeyOptions.of(await passkeys.begin(caller, body.proof(caller.session_id), _address(request)))


@router.post("/users/me/passkeys/proof-options", responses=problems(ConflictError), dependencies=[needs_a_key()])
async def create_proof_options(response: Response, caller: CallerDep, passkeys: PasskeysDep) -> PasskeyOptions:
    """Begins a proof of who asks, by one of one's own passkeys: options for `navigator.credentials.get`."""
    response.headers["Cache-Control"] = "no-store"
    return PasskeyOptions.of(await passkeys.begin_proof(caller))


@router.post(
    "/users/me/passkeys",
    status_code=status.HTTP_201_CREATED,
    responses=problems(ConflictError),
    dependencies=[needs_a_key()],
)
async def create_passkey(body: PasskeyCreate, response: Response, caller: CallerDep, passkeys: PasskeysDep) -> Passkey:
    """Adds the passkey that an authenticator has made; it signs in from now on."""
    answered = Answered(body.ticket, body.credential.model_dump(by_alias=True), caller.session_id)
    row = await passkeys.add(caller, body.name, answered)
    response.headers["Location"] = f"/api/v1/users/me/passkeys/{row.id}"
    return Passkey.of(row)


@router.get("/users/me/passkeys", dependencies=[needs_a_key()])
async def list_own_passkeys(caller: CallerDep, passkeys: PasskeysDep) -> PasskeyList:
    """One's own passkeys, the oldest first."""
    return PasskeyList(items=[Passkey.of(row) for row in await passkeys.of_user(_own(caller))])


@router.patch(
    "/users/me/passkeys/{passkey_id}",
    responses=problems(NotFoundError, ConflictError),
    dependencies=[needs_a_key()],
)
async def change_own_passkey(
    passkey_id: PasskeyId, body: PasskeyChange, caller: CallerDep, passkeys: PasskeysDep
) -> Passkey:
    """Gives one of one's own passkeys another name."""
    return Passkey.of(await passkeys.rename(caller, passkey_id, body.name))


@router.post(
    "/users/me/passkeys/{passkey_id}/remove",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(NotFoundError, ConflictError, TooOftenError),
    dependencies=[needs_a_key()],
)
async def remove_own_passkey(
    passkey_id: PasskeyId, body: OwnProofGiven, request: Request, caller: CallerDep, passkeys: PasskeysDep
) -> None:
    """Removes one of one's own passkeys, and ends one's other sessions. The last way to sign in stays."""
    await passkeys.remove(caller, passkey_id, body.proof(caller.session_id), _address(request))


@router.post(
    "/users/me/password/remove",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(ConflictError, TooOftenError),
    dependencies=[needs_a_key()],
)
async def remove_password(body: OwnProofGiven, request: Request, caller: CallerDep, passwords: OwnPasswordsDep) -> None:
    """Removes one's password and one's authenticator: passkeys alone sign in from now on. Ends one's other sessions."""
    await passwords.remove(caller, body.proof(caller.session_id), _address(request))


@router.get(
    "/users/{user_id}/passkeys",
    responses=problems(NotFoundError),
    dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)],
)
async def list_passkeys_of(user_id: UserId, passkeys: PasskeysDep) -> PasskeyList:
    """Passkeys of a user, the oldest first."""
    return PasskeyList(items=[Passkey.of(row) for row in await passkeys.of_user(user_id)])


@router.delete(
    "/users/{user_id}/passkeys",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(NotFoundError, ConflictError),
    dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)],
)
async def remove_passkeys_of(user_id: UserId, caller: CallerDep, passkeys: PasskeysDep) -> None:
    """Removes all passkeys of a user who has lost them, and ends its sessions."""
    await passkeys.remove_of(caller, user_id)


@router.delete(
    "/users/{user_id}/passkeys/{passkey_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(NotFoundError, ConflictError),
    dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)],
)
async def remove_passkey_of(user_id: UserId, passkey_id: PasskeyId, caller: CallerDep, passkeys: PasskeysDep) -> None:
    """Removes a passkey of a user who has lost it, and ends its sessions."""
    await passkeys.remove_of(caller, user_id, passkey_id)


def _own(caller: Caller) -> str:
    if not caller.user_id:
        raise InvalidError("this key is nobody's, and has no passkeys", hint="ask for those of a user, by its id")
    return caller.user_id


def _address(request: Request) -> str:
    return request.client.host if request.client else ""

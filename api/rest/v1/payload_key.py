"""Routes of the keys that encrypt what goes through Temporal."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, status
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from api.dependencies import PayloadKeysDep
from api.needs import needs
from api.problems import problems
from api.rest.body import Body
from api.services.access.payload_key import KeyUse
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.errors import ConflictError, NotFoundError
from gamekeeper.payload_keys.ring import ID_PATTERN, PayloadKeyState

router = APIRouter(prefix="/payload-keys", tags=["payload keys"])

DELAY_SECONDS = 60
MAX_DELAY_SECONDS = 7 * 86_400
KeyId = Annotated[str, Path(max_length=40, pattern=ID_PATTERN, examples=["20261130-0f9a33c1"])]
_EXAMPLE: JsonDict = {"delay_seconds": DELAY_SECONDS}


class PayloadKey(BaseModel):
    id: str = Field(description="Its id, as payloads name it")
    state: PayloadKeyState = Field(
        description="`writes` encrypts what is new, `waits` will, `reads` did; `given_up` was lost, or given up"
    )
    made_at: datetime = Field(description="When it was made")
    writes_from: datetime = Field(description="When it begins, or began, to encrypt")
    wrote_until: datetime | None = Field(description="Nothing was encrypted with it after that; null while it writes")
    given_up_at: datetime | None = Field(description="When it was given up; null until then")
    given_up_by: str = Field(description="Who gave it up; empty until then")
    histories: int | None = Field(
        description="Histories in Temporal that began before `wrote_until`, and may need the key; null while it writes"
    )
    open: list[str] = Field(description="The first of those that have not ended, by the ids of their workflows")

    @classmethod
    def of(cls, use: KeyUse) -> PayloadKey:
        key = use.key
        return cls(
            id=key.id,
            state=use.state,
            made_at=key.made_at,
            writes_from=key.writes_from,
            wrote_until=use.wrote_until,
            given_up_at=key.given_up_at,
            given_up_by=key.given_up_by,
            histories=use.histories,
            open=list(use.open),
        )


class PayloadTrouble(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    reader: str = Field(description="The process that could not read it")
    subject: str = Field(description="The workflow that it belongs to; empty where that is not known")
    key_id: str = Field(description="The key that the payload names, which may not be there")
    message: str = Field(description="What is wrong, and what to do")
    first_at: datetime = Field(description="When it was met first")
    last_at: datetime = Field(description="When it was met last")


class PayloadKeyList(BaseModel):
    items: list[PayloadKey] = Field(description="The newest first")
    troubles: list[PayloadTrouble] = Field(description="What processes could not decrypt in the last minutes")


class PayloadKeyRotation(Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    delay_seconds: int = Field(
        default=DELAY_SECONDS,
        ge=0,
        le=MAX_DELAY_SECONDS,
        description="Seconds that the new key waits before it encrypts. Processes that share the file read it within "
        "one; give as long as a copy takes where they have copies of their own.",
    )


@router.get("", dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)])
async def list_payload_keys(keys: PayloadKeysDep) -> PayloadKeyList:
    """The keys, without their secrets, and what could not be read for want of one."""
    items = [PayloadKey.of(use) for use in await keys.list_all()]
    return PayloadKeyList(items=items, troubles=[PayloadTrouble.model_validate(row) for row in await keys.troubles()])


@router.post("/rotate", responses=problems(ConflictError), dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)])
async def rotate_payload_key(keys: PayloadKeysDep, body: PayloadKeyRotation | None = None) -> PayloadKey:
    """Makes a new key, which encrypts what is new after its delay. Runs go on, with the keys of before."""
    wanted = body or PayloadKeyRotation()
    return PayloadKey.of(await keys.rotate(timedelta(seconds=wanted.delay_seconds)))


@router.delete(
    "/{key_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(NotFoundError, ConflictError),
    dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)],
)
async def delete_payload_key(key_id: KeyId, keys: PayloadKeysDep) -> None:
    """Drops a key that no history in Temporal needs any more; 409 says how many still may."""
    await keys.drop(key_id)


@router.post(
    "/{key_id}/give-up", responses=problems(ConflictError), dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)]
)
async def revoke_payload_key(key_id: KeyId, keys: PayloadKeysDep) -> PayloadKey:
    """Gives a key up, also one that is lost already: what it encrypted can't be read ever again, and runs that need it
    fail in words. Where it was the one that encrypts, a new one takes its place at once."""
    return PayloadKey.of(await keys.give_up(key_id))

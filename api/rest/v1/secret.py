"""Routes of secrets. A value goes in and never comes out: there is no answer that holds one."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Path, Response, status
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from pydantic.config import JsonDict

from api.dependencies import Cursor, IfMatch, Limit, SecretKeysDep, SecretsDep
from api.needs import Judged, needs
from api.problems import problems
from api.rest.body import Body
from api.rest.items import shown_item, shown_items
from api.rest.unshown_body import UnshownBodyRoute
from api.services.secret.key_rotation import RotationState
from api.services.secret.secret import SecretChange, SeenSecret
from gamekeeper.db.models import SecretRow, SecretVersionRow
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.secret.name import MAX_NAME, SECRET_NAME, name_trouble
from gamekeeper.domain.secret.reference import FileReference, Reference, VaultReference
from gamekeeper.domain.secret.scope import SecretScope
from gamekeeper.domain.secret.value import SecretValue
from gamekeeper.domain.secret.version import VersionState, version_state
from gamekeeper.errors import ConflictError, InvalidError, NotFoundError, PreconditionError

router = APIRouter(tags=["secrets"], route_class=UnshownBodyRoute)

MAX_TEXT = 131_072  # of a value as base64; the value itself is bounded in bytes
_EXAMPLE: JsonDict = {"value": "correct horse", "scope": {"pipelines": ["deploy-*"], "nodes": ["edge-*"]}}
_ADMIN = needs(Verb.ADMIN, ObjectKind.SERVER)
_WRITER = needs(Verb.EDIT, ObjectKind.PIPELINE, judged=Judged.ALL)


def _sound(name: str) -> str:
    if trouble := name_trouble(name):
        raise ValueError(trouble)
    return name


def _bounded(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) > MAX_TEXT:
        raise ValueError(f"has more than the limit of {MAX_TEXT} characters")
    return value


SecretName = Annotated[
    str,
    AfterValidator(_sound),
    Path(
        description="Name of the secret",
        json_schema_extra={"pattern": SECRET_NAME, "maxLength": MAX_NAME},
        examples=["s3-key"],
    ),
]
Version = Annotated[int, Path(ge=1, le=2**31 - 1)]
Value = Annotated[SecretStr, AfterValidator(_bounded), Field(json_schema_extra={"maxLength": MAX_TEXT})]


class Encoding(StrEnum):
    TEXT = "text"
    BASE64 = "base64"


class SecretSet(Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    value: Value | None = Field(
        default=None,
        description="The value, of 1 to 65,536 bytes. A new secret needs this, `vault` or `file`; left out, the value "
        "stays as it is",
    )
    encoding: Encoding = Field(default=Encoding.TEXT, description="How `value` is written")
    vault: VaultReference | None = Field(default=None, description="A Vault keeps the value, there")
    file: FileReference | None = Field(default=None, description="The folder of the api keeps the value, there")
    scope: SecretScope | None = Field(default=None, description="Who may name it; left out, it stays as it is")
    description: str | None = Field(default=None, max_length=200, description="For people; left out, it stays")

    def change(self) -> SecretChange:
        """Raises InvalidError for several values, and for one that is no base64."""
        given = [item for item in (self.value, self.vault, self.file) if item is not None]
        if len(given) > 1:
            raise InvalidError("give one of value, vault and file", code="secret_value")
        content: SecretValue | Reference | None = None
        if self.value is not None:
            content = self._bytes(self.value)
        elif given:
            content = Reference(vault=self.vault, file=self.file)
        return SecretChange(content, self.scope, self.description)

    def _bytes(self, value: SecretStr) -> SecretValue:
        if self.encoding is Encoding.TEXT:
            return SecretValue(value.get_secret_value().encode())
        try:
            return SecretValue(base64.b64decode("".join(value.get_secret_value().split()), validate=True))
        except (binascii.Error, ValueError):
            raise InvalidError("the value is no base64", hint="or give encoding text", code="secret_value") from None


class SecretVersion(BaseModel):
    number: int = Field(description="Its number, from 1; no number comes twice")
    state: VersionState = Field(description="`current` is in use, `earlier` can be restored, `destroyed` is gone")
    reference: str | None = Field(description="The place in another store that keeps the value; null for our own")
    key_id: str = Field(description="The master key under which it is; empty where there is none")
    created_by: str = Field(description="Who set it")
    created_at: datetime
    destroyed_by: str = Field(description="Who destroyed it; empty where nobody has")
    destroyed_at: datetime | None = Field(description="When it was destroyed; null where it was not")

    @classmethod
    def of(cls, row: SecretVersionRow, current: int) -> SecretVersion:
        reference = None if row.reference is None else str(Reference.model_validate(row.reference))
        fields = row.model_dump(include=cls.model_fields.keys() - {"reference"})
        state = version_state(row.number, current=current, is_destroyed=row.destroyed_at is not None)
        return cls(**fields, state=state, reference=reference)


class SecretSummary(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    name: str = Field(description="Its name, as pipelines write it")
    description: str = Field(description="For people")
    scope: SecretScope = Field(description="Who may name it; an empty one lets nobody")
    current: int = Field(description="Number of the version that is in use")
    version: int = Field(description="Counts its changes; also the ETag")
    created_by: str
    created_at: datetime
    updated_by: str = Field(description="Who changed it last")
    updated_at: datetime
    last_used_at: datetime | None = Field(description="When it was last given to a step or an instance, to the minute")
    last_used_by: str = Field(description="The step or instance, and its node; empty where nobody has used it")

    @classmethod
    def of(cls, row: SecretRow) -> SecretSummary:
        return cls.model_validate(row)


class Secret(SecretSummary):
    versions: list[SecretVersion] = Field(description="Its versions, the newest first")
    used_by: list[str] = Field(description="Some of the instances and runs that name it now")


class SecretList(BaseModel):
    items: list[SecretSummary]
    next_cursor: str | None = None


class SecretKeyRotation(BaseModel):
    key_id: str = Field(description="Id of the new master key")
    rewrapped: int = Field(description="Versions that are under the new key now")
    left: list[str] = Field(description="Versions that no key opens")
    forgotten: list[str] = Field(description="Ids of earlier keys that nothing needs any more")

    @classmethod
    def of(cls, state: RotationState) -> SecretKeyRotation:
        return cls(key_id=state.key_id, rewrapped=state.rewrapped, left=state.left, forgotten=state.forgotten)


def _shown(seen: SeenSecret, response: Response) -> Secret:
    """The secret with its ETag."""

    def show(row: SecretRow) -> Secret:
        versions = [SecretVersion.of(version, row.current) for version in seen.versions]
        return Secret(**SecretSummary.of(row).model_dump(), versions=versions, used_by=list(seen.users))

    response.headers["ETag"] = f'"{seen.row.version}"'
    return shown_item(seen.row, show, f'the secret "{seen.row.name}"')


@router.get("/secrets", dependencies=[_WRITER])
async def list_secrets(secrets: SecretsDep, cursor: Cursor = None, limit: Limit = 100) -> SecretList:
    """Secrets by their names, without their values."""
    page = await secrets.page(cursor=cursor, limit=limit)
    items = shown_items(secrets.odd_rows, page.rows, SecretSummary.of, key="name")
    return SecretList(items=items, next_cursor=page.next_cursor)


@router.get("/secrets/{name}", responses=problems(NotFoundError), dependencies=[_WRITER])
async def get_secret(name: SecretName, secrets: SecretsDep, response: Response) -> Secret:
    """One secret with its versions, without their values. Its `ETag` is what `If-Match` of a change takes."""
    return _shown(await secrets.get(name), response)


@router.put(
    "/secrets/{name}",
    responses=problems(ConflictError, PreconditionError) | {201: {"model": Secret, "description": "The secret is new"}},
    dependencies=[_ADMIN],
)
async def set_secret(
    name: SecretName, body: SecretSet, secrets: SecretsDep, if_match: IfMatch, response: Response
) -> Secret:
    """Makes a secret, or changes the fields that are given. Each value makes a version, and the newest is in use."""
    seen, is_new = await secrets.set(name, body.change(), if_match)
    response.status_code = status.HTTP_201_CREATED if is_new else status.HTTP_200_OK
    response.headers["Location"] = f"/api/v1/secrets/{name}"
    return _shown(seen, response)


@router.delete(
    "/secrets/{name}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(NotFoundError, ConflictError, PreconditionError),
    dependencies=[_ADMIN],
)
async def delete_secret(name: SecretName, secrets: SecretsDep, if_match: IfMatch, force: bool = False) -> None:
    """Removes a secret and all its versions. 409 names those who use it, unless forced."""
    await secrets.delete(name, if_match, force=force)


@router.post(
    "/secrets/{name}/versions/{version}/restore",
    responses=problems(NotFoundError, ConflictError, PreconditionError),
    dependencies=[_ADMIN],
)
async def restore_secret_version(
    name: SecretName, version: Version, secrets: SecretsDep, if_match: IfMatch, response: Response
) -> Secret:
    """Makes a new version with the value of an earlier one."""
    return _shown(await secrets.restore(name, version, if_match), response)


@router.delete(
    "/secrets/{name}/versions/{version}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(NotFoundError, ConflictError, PreconditionError),
    dependencies=[_ADMIN],
)
async def destroy_secret_version(name: SecretName, version: Version, secrets: SecretsDep, if_match: IfMatch) -> None:
    """Destroys the value of a version that is not in use; its number stays."""
    await secrets.destroy(name, version, if_match)


@router.post("/secret-key/rotate", responses=problems(ConflictError), dependencies=[_ADMIN])
async def rotate_secret_key(keys: SecretKeysDep) -> SecretKeyRotation:
    """Makes a new master key, wraps the keys of all versions anew, and forgets the earlier master keys. What is
    broken off goes on by itself."""
    return SecretKeyRotation.of(await keys.rotate())

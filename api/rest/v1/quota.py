"""Routes of quotas: what the instances of a user, or of a key that is nobody's, may be and hold together."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from api.dependencies import CallerDep, QuotasDep
from api.needs import needs
from api.problems import problems
from api.rest.body import Body
from api.rest.v1.key import KeyId
from api.rest.v1.user import UserId
from api.services.access.quota import QuotaState
from gamekeeper.domain.access.grant import HolderKind
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.instance.quota import MAX_CPUS, MAX_INSTANCES, MAX_MEMORY_BYTES, MAX_PORTS
from gamekeeper.errors import ConflictError, NotFoundError

router = APIRouter(tags=["quotas"])


class QuotaChange(Body):
    """The limits to set, null for no limit; those that are not given stay as they are."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"instances": 3, "cpus": 4, "memory_bytes": 8589934592}]}
    )

    instances: Annotated[int, Field(ge=0, le=MAX_INSTANCES)] | None = Field(
        default=None, description="Instances that are not deleted, whether they run or not"
    )
    cpus: Annotated[float, Field(ge=0, le=MAX_CPUS, allow_inf_nan=False)] | None = Field(
        default=None, description="CPUs that they hold; one without limits counts as 0.1"
    )
    memory_bytes: Annotated[int, Field(ge=0, le=MAX_MEMORY_BYTES)] | None = Field(
        default=None, description="Memory that they hold; one without limits counts as 128 MiB"
    )
    ports: Annotated[int, Field(ge=0, le=MAX_PORTS)] | None = Field(
        default=None, description="Ports of nodes that they hold: each number of each protocol is one"
    )


class QuotaItem(BaseModel):
    """A limit, and what is used of it."""

    limit: float | None = Field(description="Null for no limit")
    used: float = Field(description="What the instances hold now")


class WholeQuotaItem(BaseModel):
    """A limit in whole numbers, and what is used of it."""

    limit: int | None = Field(description="Null for no limit")
    used: int = Field(description="What the instances hold now")


class Quota(BaseModel):
    """Limits for all instances of one owner, each with what they hold of it."""

    instances: WholeQuotaItem = Field(description="Instances that are not deleted, whether they run or not")
    cpus: QuotaItem = Field(description="CPUs that they hold")
    memory_bytes: WholeQuotaItem = Field(description="Memory that they hold")
    ports: WholeQuotaItem = Field(description="Ports of nodes that they hold")

    @classmethod
    def of(cls, state: QuotaState) -> Quota:
        quota, use = state.quota, state.use
        return cls(
            instances=WholeQuotaItem(limit=quota.instances, used=use.instances),
            cpus=QuotaItem(limit=quota.cpus, used=round(use.cpus, 6)),
            memory_bytes=WholeQuotaItem(limit=quota.memory_bytes, used=use.memory_bytes),
            ports=WholeQuotaItem(limit=quota.ports, used=use.ports),
        )


@router.get(
    "/users/{user_id}/quota", responses=problems(NotFoundError), dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)]
)
async def get_user_quota(user_id: UserId, quotas: QuotasDep) -> Quota:
    """The quota of a user, and what its instances hold of it: those that it made by a session, by its keys, and by
    its runs."""
    return Quota.of(await quotas.of(HolderKind.USER, user_id))


@router.patch(
    "/users/{user_id}/quota", responses=problems(NotFoundError), dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)]
)
async def change_user_quota(user_id: UserId, body: QuotaChange, caller: CallerDep, quotas: QuotasDep) -> Quota:
    """Sets limits of a user. One below what is used stops nothing: there is nothing more until it is less."""
    changes = body.model_dump(exclude_unset=True)
    return Quota.of(await quotas.change(caller, HolderKind.USER, user_id, changes))


@router.get(
    "/keys/{key_id}/quota",
    responses=problems(NotFoundError, ConflictError),
    dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)],
)
async def get_key_quota(key_id: KeyId, quotas: QuotasDep) -> Quota:
    """The quota of a key that is nobody's. 409 for a key of a user, which makes its user's instances."""
    return Quota.of(await quotas.of(HolderKind.KEY, key_id))


@router.patch(
    "/keys/{key_id}/quota",
    responses=problems(NotFoundError, ConflictError),
    dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)],
)
async def change_key_quota(key_id: KeyId, body: QuotaChange, caller: CallerDep, quotas: QuotasDep) -> Quota:
    """Sets limits of a key that is nobody's. 409 for a key of a user."""
    changes = body.model_dump(exclude_unset=True)
    return Quota.of(await quotas.change(caller, HolderKind.KEY, key_id, changes))

"""Routes of users, and of one's own password."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response, status
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.dependencies import SAFE_ID, CallerDep, Cursor, Limit, OwnPasswordsDep, UsersDep
from api.needs import needs, needs_a_key
from api.problems import problems
from api.rest.body import Body
from api.rest.fields import Shown
from api.rest.items import shown_items
from api.rest.proof import PasskeyAnswer
from api.services.access.proving import OwnProof
from api.services.access.user import NewUser
from gamekeeper.db.models import UserRow
from gamekeeper.domain.access.password import MAX_BYTES
from gamekeeper.domain.access.role import Role
from gamekeeper.domain.access.user import UserKind, UserState
from gamekeeper.domain.access.user_name import MAX_NAME, user_name
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.errors import ConflictError, NotFoundError

router = APIRouter(tags=["users"])

UserId = Annotated[str, Path(max_length=16, pattern=SAFE_ID, examples=["9c1e44a0b7d25f83"])]
Name = Annotated[str, Field(max_length=4 * MAX_NAME), AfterValidator(user_name)]


class UserCreate(Body):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "mia", "display_name": "Mia", "role": "operator"}]}
    )

    name: Name = Field(
        description="One word of letters and digits of any script, as events name it; no other user has it or one that "
        "looks like it"
    )
    display_name: Shown = ""
    kind: UserKind = Field(default=UserKind.PERSON, description="A person signs in; a service calls by keys alone")
    role: Role = Field(default=Role.VIEWER, description="What it may do: see docs/access.md")
    password: str = Field(
        default="",
        max_length=MAX_BYTES,
        description="The first password of a person. Empty makes one that is good for one sign-in, and shows it once.",
    )
    must_change: bool = Field(default=True, description="Whether the first sign-in has to replace the given password")


class UserChange(Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"state": "disabled"}]})

    display_name: Shown | None = None
    role: Role | None = None
    state: UserState | None = Field(
        default=None, description="A disabled user opens nothing: its keys and sessions end within 5 s"
    )


class PasswordChange(Body):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"old_password": "k7xpd-m3q8a-vh2ny", "new_password": "four words of mine"}]},
    )

    old_password: str = Field(default="", max_length=MAX_BYTES, description="The password of now")
    passkey: PasskeyAnswer | None = Field(
        default=None, description="Instead of it: an answer to `POST /api/v1/users/me/passkeys/proof-options`"
    )
    new_password: str = Field(max_length=MAX_BYTES, description="The password from now on, of 10 characters at least")


class User(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    display_name: str
    kind: str
    role: str = Field(description="What it may do; one that this version does not know may do nothing")
    state: str
    has_password: bool = Field(description="False of a service, and of who signs in by other ways alone")
    has_totp: bool = Field(description="Whether the sign-in asks for a code of an authenticator as well")
    must_change: bool = Field(description="Whether the next sign-in has to replace the password")
    password_until: datetime | None = Field(description="The end of a one-time password")
    created_by: str
    created_at: datetime
    last_sign_in_at: datetime | None
    last_sign_in_from: str = Field(description="The address of that sign-in")

    @classmethod
    def of(cls, row: UserRow) -> User:
        return cls.model_validate(row)


class NewUserAnswer(User):
    one_time_password: str = Field(description="Shown this once; empty where none was made")


class UserList(BaseModel):
    items: list[User]
    next_cursor: str | None = None


@router.post(
    "/users",
    status_code=status.HTTP_201_CREATED,
    responses=problems(ConflictError),
    dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)],
)
async def create_user(body: UserCreate, caller: CallerDep, users: UsersDep, response: Response) -> NewUserAnswer:
    """Makes a user. The one-time password is good for 7 days."""
    row, password = await users.make(caller, NewUser(**body.model_dump()))
    response.headers["Location"] = f"/api/v1/users/{row.id}"
    return _with_password(row, password)


@router.get("/users", dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)])
async def list_users(users: UsersDep, cursor: Cursor = None, limit: Limit = 100) -> UserList:
    """Users in order of their ids."""
    page = await users.page(cursor=cursor, limit=limit)
    return UserList(items=shown_items(users.odd_rows, page.rows, User.of), next_cursor=page.next_cursor)


@router.post(
    "/users/me/password",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(ConflictError),
    dependencies=[needs_a_key()],
)
async def change_password(
    body: PasswordChange, request: Request, caller: CallerDep, passwords: OwnPasswordsDep
) -> None:
    """Replaces the password of who is signed in, and ends its other sessions."""
    address = request.client.host if request.client else ""
    passkey = body.passkey.answered(caller.session_id) if body.passkey is not None else None
    proof = OwnProof(body.old_password, passkey=passkey)
    await passwords.change(caller, proof, body.new_password, address)


@router.get("/users/{user_id}", responses=problems(NotFoundError), dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)])
async def get_user(user_id: UserId, users: UsersDep) -> User:
    """One user."""
    return User.of(await users.get(user_id))


@router.patch(
    "/users/{user_id}",
    responses=problems(NotFoundError, ConflictError),
    dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)],
)
async def change_user(user_id: UserId, body: UserChange, caller: CallerDep, users: UsersDep) -> User:
    """Changes a user; what is left out stays. The last who may let others in stays an admin."""
    return User.of(await users.change(caller, user_id, **body.model_dump(exclude_none=True)))


@router.delete(
    "/users/{user_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(NotFoundError, ConflictError),
    dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)],
)
async def remove_user(user_id: UserId, caller: CallerDep, users: UsersDep) -> None:
    """Removes a user with its keys and sessions. The last who may let others in stays."""
    await users.remove(caller, user_id)


@router.post(
    "/users/{user_id}/password-reset",
    responses=problems(NotFoundError, ConflictError),
    dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)],
)
async def reset_password(user_id: UserId, caller: CallerDep, users: UsersDep) -> NewUserAnswer:
    """Gives a person a one-time password, which is shown this once, and ends its sessions."""
    return _with_password(*await users.reset(caller, user_id))


def _with_password(row: UserRow, password: str) -> NewUserAnswer:
    fields: dict[str, Any] = User.of(row).model_dump()
    return NewUserAnswer(**fields, one_time_password=password)

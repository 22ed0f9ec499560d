"""The first user, an admin, whom `gamekeeper up` makes for somebody at a terminal: its password is printed there once.

Where the output goes to a file or a log, nobody is made: a password does not belong there. `gamekeeper user recover`
makes one at any time.
"""

from __future__ import annotations

import httpx

from gamekeeper.domain.access.role import Role
from gamekeeper.domain.access.user import FIRST_USER
from gamekeeper.errors import UnavailableError
from gamekeeper.passwords import make_password
from gamekeeper.stack.layout import StackRecord, StateDir
from gamekeeper.whole_file import write_whole

SECONDS = 10.0


def make_first_user(state: StateDir, record: StackRecord) -> str:
    """Its password; empty where there is a user, or ever was one. Raises UnavailableError."""
    if state.first_user_file.exists():
        return ""
    password = make_password()
    try:
        with httpx.Client(
            base_url=f"{record.rest_url}/api/v1",
            headers={"Authorization": f"Bearer {state.admin_key()}"},
            timeout=SECONDS,
            verify=state.trust(record),
            trust_env=False,
        ) as client:
            is_made = not _users(client) and _make(client, password)
    except httpx.TransportError as error:
        raise UnavailableError(f"the api does not answer: {error}") from error
    write_whole(state.first_user_file, FIRST_USER + "\n")  # whoever removes it later does not get it back by a start
    return password if is_made else ""


def _users(client: httpx.Client) -> bool:
    answer = client.get("/users", params={"limit": 1})
    _check(answer)
    return bool(answer.json()["items"])


def _make(client: httpx.Client, password: str) -> bool:
    """False where another start was first."""
    body = {"name": FIRST_USER, "role": Role.ADMIN, "password": password, "must_change": False}
    answer = client.post("/users", json=body)
    if answer.status_code == httpx.codes.CONFLICT:
        return False
    _check(answer)
    return True


def _check(answer: httpx.Response) -> None:
    if answer.is_error:
        raise UnavailableError(f"the first user can't be made: HTTP {answer.status_code}")

"""Makes this machine a node of its own stack, through the same REST calls that an operator would make.

The key goes to the stack alone: no proxy of the environment is asked.
"""

from __future__ import annotations

import time
from contextlib import suppress

import httpx

from gamekeeper.domain.node.node import NodeStatus
from gamekeeper.errors import UnavailableError
from gamekeeper.stack.layout import StackRecord, StateDir
from gamekeeper.whole_file import write_whole


def wait_ready(state: StateDir, record: StackRecord, seconds: float) -> None:
    """Returns when the api says that it is ready. Raises UnavailableError with what it says instead."""
    deadline = time.monotonic() + seconds
    said = "nothing"
    while time.monotonic() < deadline:
        try:
            answer = httpx.get(f"{record.rest_url}/readyz", timeout=5, verify=state.trust(record), trust_env=False)
            if answer.status_code == 200:
                return
            said = answer.text[:300]
        except httpx.HTTPError as error:
            said = str(error)
        time.sleep(0.1)
    raise UnavailableError(f"the api is not ready after {seconds:.0f} s; it says: {said}")


def ensure_node(state: StateDir, record: StackRecord, node: str) -> None:
    """Creates the node where there is none, and leaves a fresh token for an agent that has no good identity.

    An identity is of a removed node where the node is there and was never seen: somebody else made it again. A living
    agent that is refused reads the token. Raises UnavailableError; the same call may work later.
    """
    with httpx.Client(
        base_url=f"{record.rest_url}/api/v1",
        headers={"Authorization": f"Bearer {state.admin_key()}"},
        timeout=30,
        verify=state.trust(record),
        trust_env=False,
    ) as client:
        identity = state.agent_dir(node) / "identity.json"
        if _create_if_missing(client, node):
            identity.unlink(missing_ok=True)
        if not identity.exists():
            answer = _asked(client, "POST", f"/nodes/{node}/enrolment-tokens", {})
            if answer.is_error:
                raise UnavailableError(f"node {node} gets no enrolment token: {answer.text[:300]}")
            identity.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_whole(identity.with_name("token"), answer.json()["token"])


def _create_if_missing(client: httpx.Client, node: str) -> bool:
    """True when no agent was this node yet. One that is there costs no write: a full disk must not stop a restart."""
    found = _asked(client, "GET", f"/nodes/{node}")
    if found.status_code == 200:
        return bool(found.json()["status"] == NodeStatus.NEVER_SEEN)
    created = _asked(client, "POST", "/nodes", {"id": node, "description": "enrolled by gamekeeper up"})
    if created.status_code not in (201, 409):
        raise UnavailableError(f"node {node} can't be created: {created.text[:300]}")
    return created.status_code == 201


def _asked(client: httpx.Client, method: str, path: str, body: object = None) -> httpx.Response:
    try:
        answer = client.request(method, path, json=body)
    except httpx.TransportError as error:
        raise UnavailableError(f"the api does not answer: {error}") from error
    if answer.status_code == 401:
        raise UnavailableError(
            "the admin key of this stack was revoked or ran out",
            hint="gamekeeper down, then gamekeeper up, which makes a new one; containers go on",
        )
    return answer


def online_epoch(state: StateDir, record: StackRecord, node: str) -> int:
    """The number of the session by which the node is online; 0 where it is not. An api that hangs costs a second."""
    with suppress(httpx.TransportError, UnavailableError):
        headers, verify = {"Authorization": f"Bearer {state.admin_key()}"}, state.trust(record)
        url = f"{record.rest_url}/api/v1/nodes/{node}"
        answer = httpx.get(url, headers=headers, timeout=1, verify=verify, trust_env=False)
        if answer.status_code == 200 and answer.json()["status"] == NodeStatus.ONLINE:
            return int(answer.json()["epoch"])
    return 0


def wait_online(state: StateDir, record: StackRecord, node: str, after: int, seconds: float) -> None:
    """Returns when the node is online by a session after ``after``. Raises UnavailableError when it is not in time.

    A node stays online for its lease when its agent has gone: the session before would be taken for the new one, and
    the policy of the agent before for the new one's.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if online_epoch(state, record, node) > after:
            return
        time.sleep(0.1)
    raise UnavailableError(f"node {node} is not online after {seconds:.0f} s")

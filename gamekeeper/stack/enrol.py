"""Makes this machine a node of its own stack, through the same REST calls that an operator would make."""

from __future__ import annotations

import time

import httpx

from gamekeeper.errors import UnavailableError
from gamekeeper.stack.layout import StackRecord, StateDir, write_private


def wait_ready(record: StackRecord, seconds: float) -> None:
    """Returns when the api says that it is ready. Raises UnavailableError with what it says instead."""
    deadline = time.monotonic() + seconds
    said = "nothing"
    while time.monotonic() < deadline:
        try:
            answer = httpx.get(f"{record.rest_url}/readyz", timeout=5)
            if answer.status_code == 200:
                return
            said = answer.text[:300]
        except httpx.HTTPError as error:
            said = str(error)
        time.sleep(0.1)
    raise UnavailableError(f"the api is not ready after {seconds:.0f} s; it says: {said}")


def ensure_node(state: StateDir, record: StackRecord, node: str) -> None:
    """Creates the node where there is none, and leaves a fresh token for an agent that has no identity yet."""
    with httpx.Client(
        base_url=f"{record.rest_url}/api/v1",
        headers={"Authorization": f"Bearer {state.ensure_admin_key()}"},
        timeout=30,
    ) as client:
        created = client.post("/nodes", json={"id": node, "description": "enrolled by gamekeeper up"})
        if created.status_code not in (201, 409):
            raise UnavailableError(f"node {node} can't be created: {created.text[:300]}")
        folder = state.agent_dir(node)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if created.status_code == 201:
            (folder / "identity.json").unlink(missing_ok=True)  # of a node that was removed since
        if not (folder / "identity.json").exists():
            answer = client.post(f"/nodes/{node}/enrolment-tokens", json={})
            answer.raise_for_status()
            write_private(folder / "token", answer.json()["token"])


def wait_online(state: StateDir, record: StackRecord, node: str, seconds: float) -> None:
    """Returns when the node is online. Raises UnavailableError when it is not in time."""
    headers = {"Authorization": f"Bearer {state.ensure_admin_key()}"}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = httpx.get(f"{record.rest_url}/api/v1/nodes/{node}", headers=headers, timeout=5)
        if answer.status_code == 200 and answer.json()["status"] == "online":
            return
        time.sleep(0.1)
    raise UnavailableError(f"node {node} is not online after {seconds:.0f} s")

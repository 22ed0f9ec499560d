"""The folder /workspace of a run, to which any user may write.

Docker's new volumes are root's alone. Opening one takes two calls that carry archives, each of which costs the engine a
process of its own (40 ms). So it is done for the first container whose user may need it, and never for root's.

Only the mode changes: owner and time are what an earlier step made of them. A mode that is neither Docker's own nor
open is somebody's decision, and stays. All goes through the Engine API: the agent may run on another file system than
its engine.
"""

from __future__ import annotations

import io
import tarfile
from contextlib import closing
from typing import Any

from docker.api.client import APIClient
from docker.utils import decode_json_header

from agent_worker.docker_engine.create_config import WORKSPACE
from agent_worker.docker_engine.owner_labels import LABEL

OPENS = LABEL + "opens"  # labels a container that is there for its volume alone
_ANYBODY_WRITES = 0o002
_SHOWN_TO_ALL = 0o205  # the owner writes and anybody reads, as in a new volume


def open_to_all(api: APIClient, container_id: str, volume: str) -> None:
    """Opens the workspace of a container that was not started, where it is as Docker makes it."""
    with closing(_get(api, container_id, api.head)) as answer:
        mode = decode_json_header(answer.headers["x-docker-container-path-stat"])["mode"]
    if mode & _ANYBODY_WRITES or mode & _SHOWN_TO_ALL != _SHOWN_TO_ALL:
        return
    inspected = api.inspect_container(container_id)
    if not inspected["HostConfig"].get("ReadonlyRootfs"):
        _open(api, container_id)
        return
    # The engine puts nothing into a read-only root, and /workspace itself is an entry of the root.
    labels = {name: inspected["Config"]["Labels"][name] for name in (f"{LABEL}node", f"{LABEL}run")}
    config = {
        "Image": inspected["Image"],
        "Cmd": ["true"],
        "Labels": labels | {OPENS: volume},
        "HostConfig": {"Binds": [f"{volume}:{WORKSPACE}"], "NetworkMode": "none"},
    }
    beside = api.create_container_from_config(config)["Id"]  # type: ignore[no-untyped-call]
    try:
        _open(api, beside)
    finally:
        api.remove_container(beside, v=True)


def _open(api: APIClient, container_id: str) -> None:
    """Puts the folder's own entry back with another mode; what is in it stays as it is."""
    with (
        closing(_get(api, container_id, api.get)) as answer,
        tarfile.open(fileobj=answer.raw, mode="r|") as archive,
    ):
        entry = archive.next()
    assert entry is not None
    entry.name = WORKSPACE.removeprefix("/")
    entry.mode |= 0o777
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as opened:
        opened.addfile(entry)
    api.put_archive(container_id, "/", buffer.getvalue())


def _get(api: APIClient, container_id: str, method: Any) -> Any:
    """The folder's answer: its state in a header, and by GET an archive that is read no further than needed."""
    url = f"{api.base_url}/v{api.api_version}/containers/{container_id}/archive"
    headers = {"Accept-Encoding": "identity"}
    answer = method(url, params={"path": WORKSPACE}, headers=headers, stream=True, timeout=api.timeout)
    api._raise_for_status(answer)  # type: ignore[attr-defined]
    return answer

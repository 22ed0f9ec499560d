"""The file ``$STEP_OUTPUT`` in a container: put there before its start, read when it has ended.

It lies on an anonymous volume, so that it is there with a read-only root and goes with its container. The Engine API
carries it both ways as a tar archive: the agent may run on another file system than its engine.
"""

from __future__ import annotations

import io
import tarfile
from typing import Any

from docker.api.client import APIClient
from docker.errors import NotFound

from agent_worker.docker_engine.create_config import OUTPUTS_FILE, OUTPUTS_FOLDER
from gamekeeper.domain.language.outputs import MAX_BYTES, VARIABLE
from gamekeeper.errors import InvalidError

_TAR_BYTES = MAX_BYTES + 64 * 1024  # with its headers and padding


def put_empty(api: APIClient, container_id: str) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(OUTPUTS_FILE)
        entry.mode = 0o666
        archive.addfile(entry)
    api.put_archive(container_id, OUTPUTS_FOLDER, buffer.getvalue())


def read(api: APIClient, container_id: str) -> bytes:
    """Raises InvalidError for a file that is too large, and for anything that is no file."""
    try:
        pieces, _ = api.get_archive(container_id, f"{OUTPUTS_FOLDER}/{OUTPUTS_FILE}")
    except NotFound:
        return b""
    data = b""
    for piece in pieces:
        data += piece
        if len(data) > _TAR_BYTES:
            raise InvalidError(f"${VARIABLE} is over {MAX_BYTES // 1024} KiB", hint="hand large things on as files")
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        member: Any = archive.extractfile(archive.next() or tarfile.TarInfo())
        if member is None:
            raise InvalidError(f"${VARIABLE} is not a file any more")
        return bytes(member.read())

"""The three files that a machine needs to become a node. They hold no secret and need no key.

``join.sh`` is run by the line that the command prints, which knows its digest. It asks for the note and the archive.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path as FilePath
from typing import Annotated

import anyio
from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import PlainTextResponse
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.dependencies import SAFE_ID, BundlesDep
from api.problems import Responses, problems, text
from api.services.access.bundle import DOWNLOAD_SECONDS, BundleService
from gamekeeper.errors import InvalidError, NotFoundError, UnavailableError

router = APIRouter(tags=["join"])

JOIN_SCRIPT = (FilePath(__file__).parent / "join.sh").read_bytes()
NOTE_SUFFIX = ".txt"
_CHUNK = 64 * 1024
_FILE: Responses = {
    200: {"content": {"application/gzip": {}, "text/plain": {}}, "description": "The note, or the archive"}
}


@router.get("/join.sh", response_class=Response, responses=text("text/x-shellscript", "The script"))
async def get_join_script() -> Response:
    """The script that makes a machine a node, for `sh`. The line that runs it checks it first."""
    return Response(JOIN_SCRIPT, media_type="text/x-shellscript")


@router.get(
    "/agent/{file}",
    response_class=Response,
    responses={**_FILE, **problems(NotFoundError, InvalidError, UnavailableError)},
)
async def get_agent_file(
    file: Annotated[str, Path(max_length=200, pattern=SAFE_ID)], bundles: BundlesDep, request: Request
) -> Response:
    """`ARCHITECTURE.txt`: the name, SHA-256, version and needed glibc of the archive for it. Its name: the archive."""
    if file.endswith(NOTE_SUFFIX):
        return PlainTextResponse(await asyncio.to_thread(bundles.note, file.removesuffix(NOTE_SUFFIX)))
    path = await asyncio.to_thread(bundles.archive, file)
    address = request.client.host if request.client else ""
    return _Download(path, (await anyio.Path(path).stat()).st_size, bundles, address)


class _Download(StreamingResponse):
    """An archive, read piece by piece, within a bounded time."""

    def __init__(self, path: FilePath, size: int, bundles: BundleService, address: str) -> None:
        super().__init__(_pieces(path, size), media_type="application/gzip", headers={"Content-Length": str(size)})
        self._bundles = bundles
        self._address = address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._bundles.download(self._address), suppress(TimeoutError):
            async with asyncio.timeout(DOWNLOAD_SECONDS):  # a reader who is slower is cut off
                await super().__call__(scope, receive, send)


async def _pieces(path: FilePath, size: int) -> AsyncIterator[bytes]:
    async with await anyio.open_file(path, "rb") as file:
        while size > 0 and (piece := await file.read(min(_CHUNK, size))):
            size -= len(piece)
            yield piece

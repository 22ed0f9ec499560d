"""A container that was removed is gone, though somebody else began with it."""

from __future__ import annotations

import asyncio
import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from agent_worker.docker_engine import DockerEngine
from gamekeeper.errors import UnavailableError
from tests.factories import make_new_container, make_owner

GOING = {"message": "removal of container abc is already in progress"}
GONE = {"message": "No such container: abc"}


class Model(socketserver.ThreadingUnixStreamServer):
    """An engine that removes a container all the time, until it was asked ``left`` times."""

    daemon_threads = True
    left = 0

    def get_request(self) -> tuple[Any, Any]:
        request, _ = super().get_request()
        return request, ("engine", 0)


class Handler(BaseHTTPRequestHandler):
    server: Model

    def do_GET(self) -> None:
        self.answer(200, {"ApiVersion": "1.41"})

    def do_DELETE(self) -> None:
        self.server.left -= 1
        self.answer(*((404, GONE) if self.server.left < 0 else (409, GOING)))

    def answer(self, code: int, body: dict[str, str]) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def model(tmp_path: Path) -> Iterator[Model]:
    with Model(str(tmp_path / "engine"), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield server
        server.shutdown()


def of(model: Model) -> DockerEngine:
    return DockerEngine("model", f"unix://{model.server_address!s}")


async def test_a_removal_that_is_under_way_is_waited_for(model: Model) -> None:
    model.left = 3
    engine = of(model)
    await engine.remove("abc")
    assert model.left == -1
    engine.close()


async def test_a_removal_that_hangs_is_told(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may hang in the kernel for ever."""
    monkeypatch.setattr("agent_worker.docker_engine.removing.PATIENCE_SECONDS", 0.5)
    model.left = 1_000_000
    engine = of(model)
    with pytest.raises(UnavailableError, match="an earlier removal of it has not come to its end"):
        await engine.remove("abc")
    engine.close()


async def test_who_asks_second_goes_on_when_it_is_gone(docker_engine: DockerEngine, test_image: str) -> None:
    owner = make_owner(node=docker_engine._node)
    many = ["sh", "-c", "mkdir /many && cd /many && seq 5000 | xargs touch"]
    made = await docker_engine.create(make_new_container(owner, image=test_image, command=many))
    await docker_engine.start(made)
    await docker_engine.wait(made)

    async def remove() -> object:
        await docker_engine.remove(made)
        return await docker_engine.find(made)

    assert await asyncio.gather(*[remove() for _ in range(4)]) == [None] * 4

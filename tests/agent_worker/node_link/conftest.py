"""An authority, and servers of REST, for agents that stand alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.certificates import TestAuthority
from tests.fixtures.rest_server import RestServer, Serve


@pytest.fixture
def pki(tmp_path: Path) -> TestAuthority:
    return TestAuthority(tmp_path / "ca")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    made: list[RestServer] = []

    def start(roots: str, tls: TestAuthority | None) -> RestServer:
        server = RestServer(roots, tls, tmp_path)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made.append(server)
        return server

    yield start
    for server in made:
        server.shutdown()
        server.server_close()

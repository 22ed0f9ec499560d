"""The newest start of an engine: by its own word, its process, or its pid file."""

from __future__ import annotations

import http.server
import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from docker.api.client import APIClient

from agent_worker.docker_engine import engine_start
from agent_worker.docker_engine.engine_start import EngineStart, process_start
from agent_worker.docker_engine.inspected import parse_time
from agent_worker.docker_engine.new_connection import answers_anew
from gamekeeper.errors import UnavailableError


class Listener(socketserver.ThreadingUnixStreamServer):
    """Somebody who listens in the engine's place, as systemd does. ``told`` is its default network, if it has one."""

    daemon_threads = True
    told: dict[str, Any] | None = None

    def get_request(self) -> tuple[Any, Any]:
        return super().get_request()[0], ("", 0)


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Listener)
        body = json.dumps(self.server.told or {"message": "network bridge not found"}).encode()
        self.send_response(200 if self.server.told else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


@contextmanager
def listening(path: Path, told: dict[str, Any] | None = None) -> Iterator[str]:
    with Listener(str(path), Answer) as server:
        server.told = told
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"unix://{path}"
        finally:
            server.shutdown()


def start_at(address: str) -> EngineStart:
    return EngineStart(lambda: APIClient(base_url=address, version="1.41"), address)


def test_the_engine_says_it(tmp_path: Path) -> None:
    with listening(tmp_path / "s", {"Name": "bridge", "Created": "2026-11-29T10:00:00.41+09:00"}) as address:
        start = start_at(address)
        assert start.under(1) == datetime(2026, 11, 29, 1, 0, 0, 410_000, tzinfo=UTC)
    assert start.under(1) is not None, "no question for what is known"
    with pytest.raises(UnavailableError):  # another stream, so another start may have been
        start.under(2)


LISTEN = """
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print(flush=True)
listener.accept()
"""


def test_an_engine_without_its_network_is_known_by_its_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(tmp_path / "s") as address:
        assert start_at(address).under(0) is None, "it is not the engine that listens"
    before = datetime.now(UTC)
    with subprocess.Popen([sys.executable, "-c", LISTEN, str(tmp_path / "engine")], stdout=subprocess.PIPE) as engine:
        after = datetime.now(UTC)
        assert engine.stdout is not None
        engine.stdout.readline()
        monkeypatch.setattr(engine_start, "ENGINE", psutil.Process(engine.pid).name())
        began = process_start(f"unix://{tmp_path / 'engine'}")
        engine.kill()
    assert began is not None
    tick = timedelta(milliseconds=10)  # of the kernel
    assert before - tick <= began <= after + tick


def test_an_engine_behind_another_s_socket_is_known_by_its_pid_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid_file = tmp_path / "pid"
    pid_file.touch()
    os.utime(pid_file, (1000, 1000))
    with listening(tmp_path / "s") as address:
        monkeypatch.setattr(engine_start, "PID_FILES", {address: pid_file})
        assert process_start(address) == datetime.fromtimestamp(1000, UTC)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "ssh://there", "unix:///nowhere"])
def test_of_what_is_not_on_this_machine_no_process_is_seen(address: str) -> None:
    assert process_start(address) is None


@pytest.mark.parametrize(
    ("address", "answers"), [("tcp://127.0.0.1:9", False), ("unix:///nowhere", False), ("ssh://there", True)]
)
def test_nobody_answers_where_nobody_listens(address: str, answers: bool) -> None:
    """An address that can not be asked counts as there."""
    assert answers_anew(address) is answers


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-29T23:08:00.459695483Z", 0.459695),
        ("2026-11-29T23:08:00Z", 0.0),
        ("2026-11-30T08:08:00.4+09:00", 0.4),
    ],
)
def test_times_of_any_zone(text: str, seconds: float) -> None:
    whole = datetime(2026, 11, 29, 23, 8, tzinfo=UTC)
    found = parse_time(text)
    assert found is not None
    assert (found - whole).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "0001-01-01T00:00:00Z"])
def test_no_time(text: str) -> None:
    assert parse_time(text) is None

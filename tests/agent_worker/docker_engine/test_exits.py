"""A clean end is heard of before the engine's teardown, and says what the engine says afterwards."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from docker.api.client import APIClient

from agent_worker.docker_engine import DockerEngine, new_connection
from agent_worker.docker_engine.exits import ExitWatch
from agent_worker.docker_engine.owner_labels import LABEL, LIMITED
from tests.factories import make_key, make_new_container, make_owner
from tests.hang import HANG_SECONDS

LONG_AGO = 1_700_000_000_000_000_000


async def run_job(engine: DockerEngine, image: str, command: str, step: str, **spec: Any) -> str:
    owner = make_owner(node=engine._node, key=make_key(step=step))
    container = await engine.create(make_new_container(owner, image=image, command=["sh", "-c", command], **spec))
    await engine.start(container)
    await asyncio.wait_for(engine.wait(container), HANG_SECONDS)
    return container


async def test_what_is_heard_is_what_the_engine_says_later(docker_engine: DockerEngine, test_image: str) -> None:
    await run_job(docker_engine, test_image, "true", "first")  # the events are listened to from here on
    begin = datetime.now(UTC)
    container = await run_job(docker_engine, test_image, "sleep 0.3", "second")
    end = datetime.now(UTC)
    heard = await docker_engine.find(container)
    docker_engine._known.ended.clear()
    docker_engine._watch.forget(container)
    read = await docker_engine.find(container)
    assert heard is not None
    assert read is not None
    for name in ("id", "name", "image", "status", "owner", "exit_code", "digest", "ports", "oom_killed", "created_at"):
        assert getattr(heard, name) == getattr(read, name), name
    assert heard.started_at is not None
    assert heard.finished_at is not None
    assert begin <= heard.started_at < heard.finished_at <= end


async def test_what_the_engine_told_while_nobody_listened_is_heard_later(
    docker_engine: DockerEngine, test_image: str
) -> None:
    """A busy machine starts the thread late: a container that had been out of memory by then was never told so."""
    may_connect = threading.Event()

    def connect() -> APIClient:
        assert may_connect.wait(HANG_SECONDS)
        return docker_engine._connection.connect()

    watch = ExitWatch(connect, docker_engine._connection.address, f"{LABEL}node={docker_engine._node}")
    changed = asyncio.Event()
    watch.on_change(changed.set)
    container = await run_job(docker_engine, test_image, "exit 7", "early")
    may_connect.set()
    try:
        async with asyncio.timeout(HANG_SECONDS):
            while watch.last_exit_code(container) is None:
                await changed.wait()
                changed.clear()
        assert watch.last_exit_code(container) == 7
        assert watch._streams == 1
    finally:
        watch.close()


async def test_what_was_made_is_forgotten_with_its_container(docker_engine: DockerEngine, test_image: str) -> None:
    kept = await run_job(docker_engine, test_image, "true", "kept")
    removed = await run_job(docker_engine, test_image, "true", "removed")
    docker_engine._api.remove_container(await run_job(docker_engine, test_image, "true", "foreign"))
    await docker_engine.remove(removed)
    await docker_engine.list_owned()
    assert list(docker_engine._known.made) == [kept]


async def test_a_failure_is_read_from_the_engine(docker_engine: DockerEngine, test_image: str) -> None:
    container = await run_job(docker_engine, test_image, "sleep 0.2; exit 4", "fails")
    info = await docker_engine.find(container)
    assert info is not None
    assert info.exit_code == 4


async def test_a_published_port_is_free_when_the_job_is_over(docker_engine: DockerEngine, test_image: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    for step in ("one", "two", "three"):
        await run_job(docker_engine, test_image, "sleep 0.2", step, ports=[f"127.0.0.1:{port}:80"])


def event(action: str, container: str = "c1", **attributes: str) -> dict[str, Any]:
    return {"id": container, "Action": action, "timeNano": LONG_AGO, "Actor": {"Attributes": attributes}}


@pytest.mark.parametrize(
    ("events", "is_clean"),
    [
        ([event("start"), event("die", exitCode="0")], True),
        ([event("start"), event("die", exitCode="1")], False),
        ([event("start"), event("oom"), event("die", exitCode="0")], False),
        ([event("start"), event("die", exitCode="0", **{LIMITED: "memory"})], False),
        ([event("die", exitCode="0")], False),
        ([event("start"), event("die", exitCode="0"), event("start")], False),
    ],
)
async def test_only_a_whole_and_clean_life_counts(events: list[dict[str, Any]], is_clean: bool) -> None:
    watch = ExitWatch(lambda: pytest.fail("not needed"), "none", "label")
    for item in events:
        watch._note(item)
    expected = watch.expect("c1")
    assert expected.done() is is_clean
    expected.cancel()


@pytest.mark.parametrize(
    ("actions", "was"),
    [
        (["start", "oom", "die"], True),
        (["start", "die", "oom"], True),  # the kernel's word came late
        (["start", "die"], False),
        (["start", "oom", "die", "start"], False),
    ],
)
async def test_a_kill_for_memory_belongs_to_the_start_in_which_it_came(actions: list[str], was: bool) -> None:
    watch = ExitWatch(lambda: pytest.fail("not needed"), "none", "label")
    for action in actions:
        watch._note(event(action, exitCode="137"))
    assert watch.was_oom("c1") is was


@pytest.mark.parametrize(
    ("later", "told"),
    [
        ([event("destroy")], False),
        ([], None),
        ([event("destroy", "c2")], None),
        ([event("start") | {"timeNano": LONG_AGO + 10**9}, event("destroy")], True),
        ([None, event("destroy")], True),  # the stream broke off, and what was told meanwhile is not known
    ],
)
async def test_a_start_before_a_removal_is_heard_of(later: list[dict[str, Any] | None], told: bool | None) -> None:
    watch = ExitWatch(lambda: pytest.fail("not needed"), "none", "label")
    watch._note(event("start"))
    mark = watch.newest_start("c1")
    for item in later:
        if item is None:
            watch._note_stream()
        else:
            watch._note(item)
    assert watch.was_started_since("c1", mark) is told


async def test_what_nobody_asks_for_does_not_pile_up() -> None:
    watch = ExitWatch(lambda: pytest.fail("not needed"), "none", "label")
    for number in range(5000):
        watch._note(event("start", f"c{number}"))
        watch._note(event("die", f"c{number}", exitCode="0"))
    assert not watch.expect("c0").done()
    assert watch.expect("c4999").done()
    assert len(watch._exits) <= 2000


async def test_no_error_ends_the_hearing_of_events(
    docker_engine: DockerEngine, test_image: str, caplog: pytest.LogCaptureFixture
) -> None:
    failures = [ValueError("not of the engine's kind")]

    def connect() -> APIClient:
        if failures:
            raise failures.pop()
        return docker_engine._connection.connect()

    watch = ExitWatch(connect, docker_engine._connection.address, f"{LABEL}node={docker_engine._node}")
    changed = asyncio.Event()
    watch.on_change(changed.set)
    try:
        await run_job(docker_engine, test_image, "exit 3", "crash")
        await asyncio.wait_for(changed.wait(), HANG_SECONDS)
    finally:
        watch.close()
    assert "asked for anew" in caplog.text


class SlowEngine:
    """Takes every connection, and answers from the moment on that it is told to."""

    def __init__(self, path: Path) -> None:
        self.address = f"unix://{path}"
        self.answers = threading.Event()
        self.asked = 0
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                asking, _ = self._listening.accept()
                with asking:
                    question = asking.recv(1000)
                    self.asked += b"/_ping" in question
                    if self.asked > 2:
                        self.answers.set()
                    if self.answers.is_set():
                        status = b"200 OK" if b"/_ping" in question else b"404 Not Found"
                        asking.sendall(b"HTTP/1.0 " + status + b"\r\nContent-Length: 0\r\n\r\n")
                    else:
                        asking.recv(1)  # until the other side goes

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.fixture
def slow_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowEngine]:
    monkeypatch.setattr(new_connection, "ANSWER_SECONDS", 0.05)
    made = SlowEngine(tmp_path / "s")
    yield made
    made.close()


def watch_of(engine: SlowEngine) -> ExitWatch:
    return ExitWatch(lambda: APIClient(base_url=engine.address, version="1.41"), engine.address, "none")


def test_an_engine_that_is_busy_ended_nothing(slow_engine: SlowEngine) -> None:
    """Else a server that crashes on a busy machine would be no crash, and nor would any be that came after it."""
    watch, moment = watch_of(slow_engine), datetime.now(UTC)
    assert not watch.ended_with_engine(moment, moment)
    assert slow_engine.asked == 3
    assert watch._lost is None


def test_an_engine_that_goes_down_behind_a_socket_that_stays_ended_its_servers(slow_engine: SlowEngine) -> None:
    """As with systemd, which keeps the socket: nobody answers, and then its events end."""
    watch, moment = watch_of(slow_engine), datetime.now(UTC)
    threading.Timer(0.05, lambda: setattr(watch, "_lost", datetime.now(UTC))).start()
    slow_engine.asked = -1000
    assert watch.ended_with_engine(moment, moment)

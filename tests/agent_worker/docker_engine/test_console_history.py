"""Consoles that begin with the lines before, on a real engine: at any moment there is no gap, and nothing twice."""

from __future__ import annotations

import asyncio
import random

import pytest

from agent_worker.docker_engine import DockerEngine
from agent_worker.docker_engine.joining import UNKNOWN
from gamekeeper.domain.log.log import LogStream
from gamekeeper.domain.run.console import ConsoleHistory, ConsoleRequest, ConsoleSize
from gamekeeper.ports.engine_console import EngineConsole
from tests.factories import make_key, make_new_container, make_owner
from tests.hang import HANG_SECONDS

PAD = " " + "x" * 60
COUNT = f'i=0; while true; do i=$((i + 1)); echo "$i{PAD}"; done'
BURSTS = f"i=0; while true; do seq -s '{PAD}\n' $((i + 1)) $((i + 200)); i=$((i + 200)); done"
BOTH = f'i=0; while true; do i=$((i + 1)); echo "$i{PAD}"; echo "$i{PAD}" >&2; done'
SLOWLY = 'i=0; while true; do i=$((i + 1)); echo "$i"; sleep 0.01; done'


async def running(engine: DockerEngine, image: str, script: str, **spec: object) -> str:
    new = make_new_container(make_owner(node=engine._node), image=image, command=["sh", "-c", script], **spec)
    made = await engine.create(new)
    await engine.start(made)
    return made


async def opened(engine: DockerEngine, container_id: str, history: int = 20) -> EngineConsole:
    request = ConsoleRequest("id", make_key(), (), tty=False, size=ConsoleSize(), history=history)
    async with asyncio.timeout(HANG_SECONDS):
        return await engine.open_console(container_id, request)


async def shown(console: EngineConsole, lines: int, *streams: LogStream) -> dict[LogStream, list[int]]:
    """The numbers of the whole lines of each stream, of so many lines at least. None of one that says itself that it
    is not sure: on a machine that is held up, the log may not say enough in time."""
    text = dict.fromkeys(streams, b"")
    async with asyncio.timeout(HANG_SECONDS):
        while min(part.count(b"\n") for part in text.values()) < lines:
            piece = await console.read()
            assert piece is not None
            if piece.data == UNKNOWN:
                return {}
            text[piece.stream] += piece.data
    return {stream: [int(line.split()[0]) for line in part.split(b"\n")[:-1]] for stream, part in text.items()}


async def until(console: EngineConsole, wanted: bytes) -> bytes:
    text = b""
    async with asyncio.timeout(HANG_SECONDS):
        while wanted not in text:
            piece = await console.read()
            assert piece is not None, text
            text += piece.data
    return text


def assert_a_run(numbers: list[int]) -> None:
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


@pytest.mark.parametrize(
    ("script", "tty", "streams", "lines"),
    [
        (COUNT, False, 1, 500),
        (COUNT, True, 1, 500),
        (BURSTS, False, 1, 500),
        (SLOWLY, False, 1, 25),
        (BOTH, False, 2, 500),
    ],
    ids=["one by one", "terminal", "at once", "slowly", "two streams"],
)
async def test_fifty_who_come_at_any_moment_see_one_run_of_numbers(
    docker_engine: DockerEngine, test_image: str, script: str, tty: bool, streams: int, lines: int
) -> None:
    container_id = await running(docker_engine, test_image, script, tty=tty)
    chance, sure = random.Random(script), 0
    for _ in range(50):
        await asyncio.sleep(chance.random() / 50)
        console = await opened(docker_engine, container_id)
        try:
            found = await shown(console, lines, *list(LogStream)[:streams])
        finally:
            await console.close()
        sure += bool(found)
        for numbers in found.values():
            assert_a_run(numbers)
    assert sure


async def test_lines_that_are_like_each_other_are_there_as_often_as_they_were_written(
    docker_engine: DockerEngine, test_image: str
) -> None:
    container_id = await running(
        docker_engine, test_image, "echo tick; while read line; do echo tick; done", stdin_open=True
    )
    for number in range(1, 20):
        console = await opened(docker_engine, container_id, 100)
        await console.write(b"\n")
        await docker_engine.type_in(container_id, b"\n")
        text = b"".join([await until(console, b"tick\n" * 3 if number == 1 else b"tick\n")])
        async with asyncio.timeout(HANG_SECONDS):
            while text.count(b"tick\n") < 1 + 2 * number:
                piece = await console.read()
                assert piece is not None
                text += piece.data
        assert text == b"tick\n" * (1 + 2 * number)
        await console.close()


async def test_a_prompt_without_a_newline_comes_at_once_in_a_terminal(
    docker_engine: DockerEngine, test_image: str
) -> None:
    script = 'echo hello; while printf "name? "; read name; do echo "it is $name"; done'
    container_id = await running(docker_engine, test_image, script, tty=True, stdin_open=True)
    console = await opened(docker_engine, container_id)
    await console.write(b"a\n")
    await until(console, b"it is a\r\nname? ")
    later = await opened(docker_engine, container_id)
    assert await until(later, b"it is a\r\n") == b"hello\r\nname? a\r\nit is a\r\n"
    await later.write(b"b\n")
    await until(later, b"it is b\r\nname? ")
    await until(console, b"it is b\r\nname? ")
    for opened_one in (console, later):
        await opened_one.close()


async def test_a_process_that_ends_behind_its_history(docker_engine: DockerEngine, test_image: str) -> None:
    """Its whole log and its end, though the last line has none of its own."""
    script = "seq 1 2000; read line; seq 2001 4000; printf 4001; exit 3"
    for _ in range(5):
        container_id = await running(docker_engine, test_image, script, stdin_open=True)
        console = await opened(docker_engine, container_id, 5000)
        await console.write(b"\n")
        text = b""
        async with asyncio.timeout(HANG_SECONDS):
            while (piece := await console.read()) is not None:
                text += piece.data
        assert [int(line) for line in text.split()] == list(range(1, 4002))
        assert await console.exit_code() == 3
        await console.close()
        await docker_engine.remove(container_id)


async def test_lines_that_the_engine_cuts_in_parts(docker_engine: DockerEngine, test_image: str) -> None:
    """Each has a number at both ends; of the first one there may be its last part alone."""
    script = (
        "n=0; y=$(head -c 40000 /dev/zero | tr '\\0' y); while true; do n=$((n + 1)); echo $n $y $n; sleep 0.01; done"
    )
    container_id = await running(docker_engine, test_image, script)
    for _ in range(5):
        console = await opened(docker_engine, container_id, 9)
        text = b""
        try:
            while text.count(b"\n") < 8:
                piece = await console.read()
                assert piece is not None
                text += piece.data
        finally:
            await console.close()
        lines = [line.split() for line in text.split(b"\n")[1:-1]]
        assert {len(line) for line in lines} == {3}
        assert {len(line[1]) for line in lines} == {40000}
        assert_a_run([int(number) for line in lines for number in (line[0],)])
        assert [line[0] for line in lines] == [line[2] for line in lines]


@pytest.mark.parametrize(
    ("lines", "history", "is_whole"),
    [(20, 5, False), (20, 100, True), (1500, 1000, False), (1500, 1200, False), (1500, 2000, True)],
)
async def test_whether_the_container_wrote_more_is_told(
    docker_engine: DockerEngine, test_image: str, lines: int, history: int, is_whole: bool
) -> None:
    container_id = await running(docker_engine, test_image, f"seq 1 {lines}; sleep 600")
    await until(await opened(docker_engine, container_id, 3000), b"\n%d\n" % lines)
    console = await opened(docker_engine, container_id, history)
    info = await docker_engine.find(container_id)
    assert info is not None
    assert info.created_at is not None
    created = int(info.created_at.timestamp() * 1e6) * 1000
    assert console.history == ConsoleHistory(created if is_whole else 0)
    expected = b"".join(b"%d\n" % number for number in range(1 if is_whole else lines - history + 1, lines + 1))
    assert await until(console, b"\n%d\n" % lines) == expected
    await console.close()

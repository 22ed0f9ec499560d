"""The cost of masking secret values in logs: ``make bench-masking``.

    alone    the masker by itself, over texts of several kinds, in MB/s
    path     a container writes 1 GiB, from its stdout through the engine and the follower into the spool, with no value
             and with 200 in turns; the spool is emptied as by an uploader

The text is that of a busy server: times, levels, words, JSON, ids in hex and tokens of base64. Each thousandth line has
a value, in one of the encodings that are looked for. A line has a KiB, as those of ``make bench-logs``.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import json
import resource
import statistics
import tarfile
import tempfile
import time
import urllib.parse
import uuid
from collections.abc import Sequence
from pathlib import Path

import docker
from rich.console import Console
from rich.table import Table

from agent_worker.docker_engine import DockerEngine
from agent_worker.logs.log_follower import LogFollower
from agent_worker.logs.spool import Spool
from agent_worker.masking.masker import ValueMasker, mask
from agent_worker.secrets.held import SecretsOfContainers
from gamekeeper.backoff import jittered
from gamekeeper.domain.container.container_key import ContainerKey
from gamekeeper.domain.language.container import Container
from gamekeeper.ports.container_engine import NewContainer
from scripts.base_image import ensure_base_image
from tests.factories import make_key, make_owner

VALUES = 200
TEXT_BYTES = 32 * 1024 * 1024
CHUNK_BYTES = 512 * 1024
LINE_BYTES = 1024
WORDS = "player joined the arena with a ping of map loaded in chunk saved request from user took no error".split()


def make_values(count: int) -> list[bytes]:
    """As keys and passwords are: from 16 to 64 letters."""
    return [base64.b64encode(uuid.uuid4().bytes * 4)[: 16 + place % 49] for place in range(count)]


def encoded(value: bytes, place: int) -> bytes:
    ways = (
        value,
        base64.b64encode(value),
        value.hex().encode(),
        urllib.parse.quote(value).encode(),
        json.dumps(value.decode()).encode(),
    )
    return ways[place % len(ways)]


def make_text(size: int, values: Sequence[bytes]) -> bytes:
    lines, done, place = [], 0, 0
    while done < size:
        place += 1
        key = uuid.uuid4()
        words = " ".join(WORDS[(place * step) % len(WORDS)] for step in range(1, 9))
        line = f"2026-01-01T00:{place // 60 % 60:02}:{place % 60:02}.{place % 1000:03}Z INFO [{place}] "
        while len(line) < LINE_BYTES - 256:
            token = base64.b64encode(key.bytes).decode()
            line += f'{words} {{"id":"{key}","port":{place % 65536},"token":"{token}"}} {key.hex} '
        data = line.encode() + (encoded(values[place % len(values)], place) if place % 1000 == 0 else b"") + b"\n"
        lines.append(data)
        done += len(data)
    return b"".join(lines)


def speed(masker: ValueMasker, text: bytes) -> float:
    """MB of text in a second of CPU, the best of three: other work on the machine counts less then."""
    chunks = [text[at : at + CHUNK_BYTES] for at in range(0, len(text), CHUNK_BYTES)]
    took = []
    for _ in range(3):
        begun = time.process_time()
        for chunk in chunks:
            mask(masker, chunk)
        took.append(time.process_time() - begun)
    return len(text) / 1e6 / min(took)


def alone(console: Console) -> None:
    values = make_values(VALUES)
    texts = {
        "a server's log": make_text(TEXT_BYTES // 4, values),
        "lines of x": (b"x" * 1023 + b"\n") * (TEXT_BYTES // 4096),
        "base64": base64.b64encode(b"".join(uuid.uuid4().bytes for _ in range(TEXT_BYTES // 100))),
    }
    table = Table("values", "forms", "compiled in", *(f"{name}, MB/s" for name in texts))
    for count in (1, 20, VALUES):
        masker = ValueMasker(values[:count])
        begun = time.process_time()
        masker.spans(values[0])
        compiled = time.process_time() - begun
        speeds = [f"{speed(masker, text):.0f}" for text in texts.values()]
        table.add_row(str(count), str(len(masker._forms)), f"{1000 * compiled:.0f} ms", *speeds)
    console.print(table)


class LogPath:
    """A container's log on its way, up to a spool that is emptied as it fills."""

    def __init__(self, engine: DockerEngine, node: str, image: str, text: bytes, repeats: int) -> None:
        self._engine = engine
        self._image = image
        self._node = node
        self._text = text
        self._repeats = repeats

    async def seconds(self, values: Sequence[bytes]) -> tuple[float, float]:
        """Seconds from the start to the end of the log, and those of this process's CPU."""
        key = make_key(run_id=uuid.uuid4().hex[:12])
        script = f"i=0; while [ $i -lt {self._repeats} ]; do cat /text; i=$((i+1)); done"
        spec = Container(image=self._image, command=["sh", "-c", script])
        new = NewContainer(make_owner(key=key, node=self._node), spec, secrets=len(values))
        container_id = await self._engine.create(new)
        await asyncio.to_thread(self._engine._api.put_archive, container_id, "/", _archive(self._text))
        with tempfile.TemporaryDirectory() as folder:
            spool = Spool(Path(folder) / "spool.db", reserve_bytes=0)
            secrets = SecretsOfContainers()
            if values:
                secrets.hold(key.container_name, values)
            follower = LogFollower(self._engine, spool, secrets)
            emptying = asyncio.create_task(_empty(spool, key))
            begun, cpu = time.perf_counter(), _cpu()
            await self._engine.start(container_id)
            follower.follow(key, container_id, until_removed=False, one_file=True)
            await follower.drain(key, 3600)
            await emptying
            took = time.perf_counter() - begun, _cpu() - cpu
            spool.close()
        await self._engine.remove(container_id)
        return took


def _archive(text: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("text")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    return buffer.getvalue()


async def _empty(spool: Spool, key: ContainerKey) -> None:
    while not await asyncio.to_thread(spool.is_settled, key):
        await asyncio.to_thread(spool.has_data.wait, 1.0)
        while chunks := await asyncio.to_thread(spool.pending, 3 * 1024 * 1024):
            await asyncio.to_thread(spool.acknowledge, {key: chunks[-1].last_seq}, chunks[0].life)
        await asyncio.sleep(jittered(0.2))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def path(console: Console, size: int, rounds: int) -> None:
    values = make_values(VALUES)
    text = make_text(TEXT_BYTES, values)
    repeats = max(1, size // len(text))
    node = f"bench-{uuid.uuid4().hex[:8]}"
    engine = DockerEngine(node)
    way = LogPath(engine, node, ensure_base_image(docker.from_env()), text, repeats)
    took: dict[str, list[tuple[float, float]]] = {"no values": [], f"{VALUES} values": []}
    for _ in range(rounds):
        for name, given in zip(took, ([], values), strict=True):
            took[name].append(await way.seconds(given))
    engine.close()
    table = Table("a log", "size", "took", "MB/s", "CPU of the agent's part")
    speeds = []
    for name, of_rounds in took.items():
        seconds, cpu = (statistics.median(item[index] for item in of_rounds) for index in (0, 1))
        speeds.append(repeats * len(text) / 1e6 / seconds)
        size_mb = f"{repeats * len(text) / 1e6:.0f} MB"
        table.add_row(name, size_mb, f"{seconds:.1f} s", f"{speeds[-1]:.1f}", f"{cpu:.1f} s")
    console.print(table)
    console.print(f"with {VALUES} values: {speeds[1] / speeds[0]:.2f} of the speed without (at least 0.80)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--alone", action="store_true", help="the masker by itself, and nothing else")
    arguments = parser.parse_args()
    console = Console(width=110)
    alone(console)
    if not arguments.alone:
        asyncio.run(path(console, arguments.mib * 1024 * 1024, arguments.rounds))


if __name__ == "__main__":
    main()

"""Noise on the WebSockets of consoles: odd queries, texts, bytes and frames that no library sends, to ``exec``,
``attach`` and ``console`` of containers that run.

Allowed is every close that says whose fault it was. 1011, 4500 and an HTTP status of 500 are faults, and so is an
unforeseen error in the log, or a console that does not open when the noise is over.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from random import Random
from typing import Any
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus

from fuzz.messages import TEXTS
from fuzz.noise import Noise, watched_log
from fuzz.target import NODE, target
from tests.fixtures.api import ADMIN_KEY, ApiUnderTest
from tests.hang import HANG_SECONDS

AT_ONCE = 4
ANSWER_SECONDS = 0.2  # for a console, which has no end of its own
CLOSE_SECONDS = 1.0  # after a frame that is none, nobody may answer a close
MOST_PIECES = 20  # of one console
HUGE = (70_000, 1 << 20, 20 << 20)
FAULTS = (1011, 4500)
CONTROLS: tuple[Any, ...] = (
    {"resize": {"columns": 80, "rows": 24}},
    {"resize": {"columns": 0, "rows": -1}},
    {"resize": {"columns": 10**30, "rows": "x"}},
    {"resize": None},
    {"end_of_input": True},
    {"end_of_input": "yes"},
    {"exit_code": 0},
    {"viewers": ["x"]},
    [],
    None,
    1e999,
)
CLOSES = (1000, 1001, 1002, 1003, 1007, 1009, 1012, 3000, 4000, 4401, 4999)


class Noisy:
    """One client after another; what they do comes of the seed."""

    def __init__(self, address: str, paths: list[str], seed: str, noise: Noise) -> None:
        self._address, self._paths = address, paths
        self._random, self._noise, self._seed = Random(seed), noise, seed

    async def make(self, count: int) -> None:
        for number in range(count):
            if self._noise.is_enough:
                return
            self._noise.messages += 1
            try:
                async with asyncio.timeout(HANG_SECONDS):
                    await (self._bad_handshake() if self._random.random() < 0.1 else self._console(number))
            except TimeoutError:
                self._noise.faults.append(f"a console hangs (number {number} of seed {self._seed})")

    async def _console(self, number: int) -> None:
        """Opens one, sends noise, and looks at how it is closed."""
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"} if self._random.random() < 0.95 else {}
        path = self._path()
        try:
            connection = await connect(
                f"ws://{self._address}/api/v1{path}",
                additional_headers=headers,
                max_size=None,
                close_timeout=CLOSE_SECONDS,
                proxy=None,
            )
        except InvalidStatus as error:
            self._told(error.response.status_code, f"{path} (number {number} of seed {self._seed})")
            return
        except (InvalidHandshake, OSError) as error:
            self._noise.count(type(error).__name__)
            return
        try:
            with suppress(ConnectionClosed, OSError, RuntimeError):  # of a transport that has ended, the last one
                for _ in range(self._random.randint(0, MOST_PIECES)):
                    await self._send(connection)
            with suppress(ConnectionClosed, TimeoutError, OSError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    async for _ in connection:
                        pass
        finally:
            connection.transport.abort()
        self._told(connection.close_code or 0, f"{path} (number {number} of seed {self._seed})")

    def _told(self, code: int, where: str) -> None:
        self._noise.count(str(code) if code else "open")
        if code in FAULTS or code in (500, 501, 502, 504):
            self._noise.faults.append(f"{where} is answered with {code}")

    async def _send(self, connection: ClientConnection) -> None:
        way = self._random.randrange(10)
        if way < 3:
            size = self._random.choice((0, 1, 100, 5000)) if self._random.random() < 0.98 else self._random.choice(HUGE)
            channel = bytes([self._random.choice((0, 0, 0, 1, 2, 255))])
            await connection.send(channel + self._random.randbytes(size) if size < HUGE[0] else channel + bytes(size))
        elif way < 5:
            await connection.send(json.dumps(self._random.choice(CONTROLS)))
        elif way < 6:
            await connection.send(self._random.choice(TEXTS))
        elif way < 7:
            await connection.send([self._random.choice(TEXTS) for _ in range(self._random.randint(1, 5))])
        elif way < 8:
            await connection.ping(self._random.randbytes(self._random.randint(0, 125)))
        elif way < 9:
            connection.transport.write(self._frame())
        else:
            await self._close(connection)

    def _frame(self) -> bytes:
        """Any opcode, reserved bits, with or without a mask, of a length that is true or not."""
        body = self._random.randbytes(self._random.randint(0, 130))
        length = len(body) if self._random.random() < 0.5 else self._random.choice((0, 125, 126, 127, 200))
        told = bytes([min(127, length) | self._random.choice((0, 0x80))])
        more = self._random.randbytes(self._random.choice((0, 2, 8)))
        return bytes([self._random.randrange(256)]) + told + more + body

    async def _close(self, connection: ClientConnection) -> None:
        if self._random.random() < 0.5:
            connection.transport.write(bytes((0x88, 0x80 | 2, 0, 0, 0, 0)) + self._random.randbytes(2))
        else:
            async with asyncio.timeout(HANG_SECONDS):
                await connection.close(self._random.choice(CLOSES), self._random.choice(("", "x", "ä" * 60)))

    def _path(self) -> str:
        path = self._random.choice(self._paths)
        if self._random.random() < 0.05:
            path = path.replace("arena", self._random.choice(("nope", "%00", "a%2Fb", "ä", "..", "a" * 300)))
        query: list[tuple[str, str]] = []
        if path.endswith("/exec") and self._random.random() < 0.9:
            words = self._random.choices(TEXTS, k=self._random.randint(1, 3))
            query += [("command", word[:1000]) for word in words]
        known = ("tty", "columns", "rows") if path.endswith("/exec") else ("history",) * path.endswith("/console")
        for name in (*known, "other"):
            if self._random.random() < (0.15 if name in known else 0.02):
                query.append(
                    (name, self._random.choice(("1", "true", "80", "0", "-1", "x", "9" * 30, "10000", "\x00")))
                )
        return f"{path}?{urlencode(query, errors='replace')}"

    async def _bad_handshake(self) -> None:
        """A request that is nearly one for a WebSocket, or is cut off, and then noise."""
        host, _, port = self._address.rpartition(":")
        lines = [
            f"GET /api/v1{self._path()} HTTP/1.1",
            f"Host: {self._address}",
            self._random.choice(("Upgrade: websocket", "Upgrade: h2c", "Upgrade: websocket, x", "Upgrade:")),
            self._random.choice(("Connection: Upgrade", "Connection: close", "Connection: upgrade, x")),
            self._random.choice(("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8", "Sec-WebSocket-Version: x")),
            self._random.choice(("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Key: x", "X: y")),
            f"Authorization: Bearer {ADMIN_KEY}",
        ]
        kept = [line for number, line in enumerate(lines) if not number or self._random.random() < 0.9]
        raw = "\r\n".join(kept).encode(errors="replace") + b"\r\n\r\n" * (self._random.random() < 0.9)
        with suppress(OSError):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(raw + self._random.randbytes(self._random.randint(0, 200)))
            answer = b""
            with suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    answer = await reader.read(4096)
            writer.transport.abort()
            first = answer.split(b" ", 2)
            if first[0].startswith(b"HTTP/") and len(first) > 1:
                self._told(int(first[1]), f"a handshake of {raw!r}")
            else:
                self._noise.count("no answer")


async def make_noise(count: int, seed: int, kind: str = "sqlite") -> Noise:
    """``count`` consoles of an api whose node has a run and an instance, and then one more that has to be sound."""
    noise = Noise()
    async with target(kind) as api:
        run_id = await _running(api)
        instance = "/instances/arena"
        paths = [f"/runs/{run_id}/steps/hello/exec", f"/runs/{run_id}/steps/hello/attach"]
        paths += [f"{instance}/exec", f"{instance}/console"]
        async with watched_log(noise):
            noisy = [Noisy(api.rest_address, paths, f"{seed}-{number}", noise) for number in range(AT_ONCE)]
            await asyncio.gather(*(one.make(max(1, count // AT_ONCE)) for one in noisy))
            for path in paths:
                if not await _opens(api, path):
                    noise.faults.append(f"{path} does not open when the noise is over")
    return noise


async def _running(api: ApiUnderTest) -> str:
    """The id of the run, once its step and the instance run."""
    run_id = str((await api.http.get("/runs", params={"node": NODE})).json()["items"][0]["id"])
    await api.until_step(run_id, "hello", "running")
    async with asyncio.timeout(HANG_SECONDS):
        while (await api.http.get("/instances/arena")).json()["state"] not in ("ready", "starting"):
            await asyncio.sleep(0.05)
    return run_id


async def _opens(api: ApiUnderTest, path: str) -> bool:
    query = "?command=true" if path.endswith("/exec") else ""
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    try:
        async with asyncio.timeout(HANG_SECONDS):
            address = f"ws://{api.rest_address}/api/v1{path}{query}"
            async with connect(address, additional_headers=headers, proxy=None) as connection:
                with suppress(TimeoutError):
                    async with asyncio.timeout(ANSWER_SECONDS):
                        await connection.recv()
                return connection.close_code in (None, 1000)
    except (OSError, InvalidHandshake, InvalidMessage, ConnectionClosed, TimeoutError):
        return False

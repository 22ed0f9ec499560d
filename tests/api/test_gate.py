"""The gate before the routes: the key before the body, and bounds on what a request may cost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

import httpx
import pytest

from api.gate import Gate, GateLimits
from api.services.access.rates import WRONG_BURST, Rates, network_of
from gamekeeper.domain.access.caller import Caller, CallerKind
from gamekeeper.domain.access.role import Role
from gamekeeper.keys import hash_key
from tests.fixtures.api import ADMIN_KEY, ApiUnderTest
from tests.hang import HANG_SECONDS

SMALL = GateLimits(
    body_bytes=1000,
    body_seconds=0.2,
    held_bytes=1500,
    held_bytes_of_one=1200,
    open_requests=3,
    open_requests_of_one=2,
    small_chunks=10,
    send_seconds=0.2,
)
Message = MutableMapping[str, Any]


class Callers:
    async def authenticate(self, authorization: str, address: str) -> Caller:
        return Caller(CallerKind.KEY, "k1", "somebody", Role.ADMIN, "", None)


class Around:
    """A gate of small limits over an app that answers 200 and keeps what it read."""

    def __init__(self) -> None:
        self.rates = Rates(1000)
        self.bodies: list[bytes] = []
        self.gate = Gate(self._app, SMALL)
        self.state = type("State", (), {"services": self})()
        self.callers = Callers()
        self.holds = asyncio.Event()
        self.entered = 0

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self.entered += 1
        if scope["path"] == "/holds":
            await self.holds.wait()
        self.bodies.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    async def ask(
        self,
        *pieces: bytes,
        path: str = "/x",
        method: str = "POST",
        address: str = "192.0.2.1",
        send: Callable[[Message], Awaitable[None]] | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """Status and problem of a request whose body has these pieces; after the last one nothing comes."""
        left, answers = [*pieces], list[Any]()

        async def receive() -> Message:
            if not left:
                await asyncio.Event().wait()
            piece = left.pop(0)
            return {"type": "http.request", "body": piece.removesuffix(b"END"), "more_body": not piece.endswith(b"END")}

        async def keep(message: Message) -> None:
            answers.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": [],
            "client": (address, 1),
            "app": self,
            "query_string": b"",
        }
        await asyncio.wait_for(self.gate(scope, receive, send or keep), HANG_SECONDS)
        if not answers:
            return 0, {}
        text = answers[-1]["body"]
        return answers[0]["status"], json.loads(text) if answers[0]["status"] >= 400 else {}


@pytest.fixture
async def around() -> AsyncIterator[Around]:
    made = Around()
    yield made
    made.holds.set()
    assert made.gate._held.total() == 0, "what a body took is given back"


async def test_a_whole_body_passes(around: Around) -> None:
    assert (await around.ask(b"a" * 500, b"bEND"))[0] == 200
    assert around.bodies == [b"a" * 500 + b"b"]


async def test_a_body_that_stops_is_ended(around: Around) -> None:
    status, problem = await around.ask(b"a")
    assert (status, problem["code"]) == (408, "slow_body")
    assert around.entered == 0


async def test_a_body_that_is_too_long_is_ended(around: Around) -> None:
    assert (await around.ask(b"a" * 900, b"b" * 101))[0] == 413


async def test_a_body_in_pieces_of_a_byte_is_ended(around: Around) -> None:
    status, problem = await around.ask(*[b"a"] * 500, b"END")
    assert (status, problem["code"]) == (400, "small_pieces")


async def test_bodies_of_one_address_and_of_all_are_bounded(around: Around) -> None:
    first = asyncio.create_task(around.ask(b"a" * 900))
    await asyncio.sleep(0)
    of_one = await around.ask(b"b" * 900)
    of_all = await around.ask(b"c" * 900, address="192.0.2.2")
    small = await around.ask(b"dEND", address="192.0.2.3")
    assert (of_one[0], of_all[0], small[0]) == (429, 429, 200)
    assert (await first)[0] == 408


async def test_open_requests_are_bounded(around: Around) -> None:
    holding = [asyncio.create_task(around.ask(b"END", path="/holds")) for _ in range(2)]
    while around.entered < 2:
        await asyncio.sleep(0)
    assert (await around.ask(b"END"))[0] == 429
    holding.append(asyncio.create_task(around.ask(b"END", path="/holds", address="192.0.2.2")))
    while around.entered < 3:
        await asyncio.sleep(0)
    assert (await around.ask(b"END", address="192.0.2.3"))[0] == 429
    around.holds.set()
    assert [status for status, _ in await asyncio.gather(*holding)] == [200] * 3
    assert (await around.ask(b"END"))[0] == 200


async def test_an_answer_that_nobody_takes_is_cut_off(around: Around, caplog: pytest.LogCaptureFixture) -> None:
    async def never(message: Message) -> None:
        await asyncio.Event().wait()

    await around.ask(b"END", send=never)
    assert around.rates.refusals["unread"] == 1
    assert "cut off" in caplog.text


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_nobody_reads_the_body_of_a_stranger(api: ApiUnderTest, method: str) -> None:
    """The answer comes although the body never does; and the connection ends."""
    host, _, port = (await api.serve_rest()).partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"{method} /api/v1/runs HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\nabc".encode())
    answer = await asyncio.wait_for(reader.read(), HANG_SECONDS)
    assert answer.startswith(b"HTTP/1.1 401")
    writer.close()


async def test_wrong_keys_are_counted_and_a_known_one_passes(api: ApiUnderTest) -> None:
    assert (await api.http.get("/nodes")).status_code == 200

    async def guess(number: int) -> httpx.Response:
        return await api.anonymous.get("/api/v1/nodes", headers={"Authorization": f"Bearer wrong-{number}"})

    answers = [await guess(number) for number in range(WRONG_BURST + 5)]
    assert [answer.status_code for answer in answers[:WRONG_BURST]] == [401] * WRONG_BURST
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert (await api.http.get("/nodes")).status_code == 200, "the others behind one router are served"
    joined = await api.anonymous.post("/api/v1/join", json={"token": "gke_x", "csr": "x", "protocol_version": 3})
    assert joined.status_code == 429, "tokens are guessed by the same purse"
    assert 'gamekeeper_rest_refusals_total{reason="wrong_key"}' in (await api.anonymous.get("/metrics")).text


async def test_writes_are_counted_for_each_key(api: ApiUnderTest) -> None:
    api.process.services.rates._writes = Rates(0.001)._writes
    answers = [await api.http.post("/nodes", json={"id": f"n-{number}"}) for number in range(2)]
    assert [answer.status_code for answer in answers] == [201, 429]
    assert "writes more than" in answers[1].json()["detail"]
    assert (await api.http.get("/nodes")).status_code == 200


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_an_address_counts_as_its_network(address: str, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("client", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("192.0.2.1", {}, 401),
        ("127.0.0.1", {"Host": "127.0.0.1:7380"}, 200),
        ("::1", {"Host": "[::1]:7380"}, 200),
        ("127.0.0.1", {"Host": "games.example"}, 401),
        ("127.0.0.1", {"Host": "[nonsense"}, 401),
        ("127.0.0.1", {"X-Forwarded-For": "192.0.2.1"}, 401),
        ("127.0.0.1", {"X-Real-IP": "192.0.2.1"}, 401),
        ("127.0.0.1", {"Forwarded": "for=192.0.2.1"}, 401),
        ("192.0.2.1", {"Authorization": f"Bearer {ADMIN_KEY}"}, 200),
        ("192.0.2.1", {"Authorization": f"Bearer {'m' * 32}"}, 200),
        ("192.0.2.1", {"Authorization": "Bearer wrong"}, 401),
        ("127.0.0.1", {"Authorization": "Bearer wrong"}, 401),
    ],
)
async def test_metrics_need_a_key_from_elsewhere(
    refusing_api: ApiUnderTest, client: str, headers: dict[str, str], status: int
) -> None:
    keys = refusing_api.process.services.callers
    keys._metrics_hash = hash_key("m" * 32)
    transport = httpx.ASGITransport(refusing_api.process.app, client=(client, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:7380") as http:
        assert (await http.get("/metrics", headers=headers)).status_code == status
        key = {"Authorization": f"Bearer {'m' * 32}"}
        assert (await http.get("/api/v1/nodes", headers=key)).status_code == 401, "it reads the metrics, nothing else"

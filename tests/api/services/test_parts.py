"""The state of the parts: a gateway as nodes would find it, and a part that hangs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from api.services import gateway_look, parts
from api.services.gateway_look import GatewayLook
from api.services.parts import Parts
from gamekeeper.disk import DiskFloor
from gamekeeper.errors import UnavailableError
from tests.fixtures.gateway import Certificates, Gated, gated
from tests.hang import HANG_SECONDS


@pytest.fixture
async def gate(certificates: Certificates) -> AsyncIterator[Gated]:
    async with gated(certificates, "127.0.0.1:1") as found:
        yield found


def roots(certificates: Certificates) -> str:
    return (certificates.folder / "roots.pem").read_text()


async def test_a_gateway_that_serves_and_one_that_has_ended(gate: Gated, certificates: Certificates) -> None:
    look = GatewayLook(gate.address, lambda: roots(certificates))
    await look.look()
    await gate.process.server.stop(None)
    with pytest.raises(UnavailableError, match=r"the gateway at 127\.0\.0\.1:\d+ does not answer: .*is it up\?"):
        await look.look()


async def test_a_gateway_of_another_authority(gate: Gated, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    look = GatewayLook(gate.address, lambda: roots(Certificates(tmp_path / "other")))
    with pytest.raises(UnavailableError, match=r"a certificate that nodes do not take: .*GATEWAY_CERTIFICATE"):
        await look.look()


async def test_a_gateway_that_is_frozen(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel takes connections for it."""
    monkeypatch.setattr(gateway_look, "LOOK_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        look = GatewayLook(f"127.0.0.1:{frozen.getsockname()[1]}", lambda: roots(certificates))
        with pytest.raises(UnavailableError, match=r"does not answer; is it frozen\?"):
            await look.look()


class Frozen:
    """All parts in one: ``ping`` hangs until it is let go, and all else is well."""

    def __init__(self) -> None:
        self.goes_on = asyncio.Event()
        self.asked = 0

    async def ping(self) -> None:
        self.asked += 1
        await self.goes_on.wait()

    async def ping_control_workers(self) -> None:
        return None

    async def check(self) -> None:
        return None

    async def look(self) -> None:
        return None


async def test_a_part_that_hangs_holds_up_no_answer_and_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PATIENCE_SECONDS", 0.2)
    frozen = Frozen()
    of = cast(Any, frozen)
    found = Parts(of, of, tmp_path, DiskFloor([], 0), of, of, None, of)
    for _ in range(2):
        told = await found.ask()
        assert {name for name, said in told.items() if said != "ok"} == {"database", "temporal"}
        assert "does not answer within" in told["temporal"]
    assert frozen.asked == 2, "once each"
    frozen.goes_on.set()
    async with asyncio.timeout(HANG_SECONDS):
        while any(said != "ok" for said in (await found.ask()).values()):
            pass

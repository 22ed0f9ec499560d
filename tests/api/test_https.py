"""REST on an address that is not loopback: HTTPS by the own CA or by files, and joins over it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent_worker.node_link.membership import Joining, own_key
from agent_worker.node_link.servers import parse_servers
from api.__main__ import _http_server
from api.settings import ApiSettings
from gamekeeper.errors import UnauthenticatedError
from gamekeeper.keys import PIN_MARK
from gamekeeper.stack.ports import free_port
from tests.fixtures.api import ApiUnderTest
from tests.fixtures.certificates import TestAuthority
from tests.hang import HANG_SECONDS

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # no matter of the database


@asynccontextmanager
async def served(api: ApiUnderTest, **settings: Any) -> AsyncIterator[int]:
    """REST as the process serves it; its port."""
    port = free_port("127.0.0.1")
    server = _http_server(ApiSettings(rest_host="0.0.0.0", rest_port=port, **settings), api.process)
    api.background(server.serve())
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            await asyncio.sleep(0.02)
    yield port
    server.stop()  # type: ignore[no-untyped-call]


def trusting(roots: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(verify=ssl.create_default_context(cadata=roots))


async def test_the_own_ca_vouches_for_rest(api: ApiUnderTest) -> None:
    async with served(api) as port, trusting(api.process.certificates.roots) as client:
        answer = await client.get(f"https://127.0.0.1:{port}/livez")
        assert answer.status_code == 200
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        with pytest.raises(httpx.TransportError):
            await client.get(f"http://127.0.0.1:{port}/livez")
        async with httpx.AsyncClient() as stranger:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await stranger.get(f"https://127.0.0.1:{port}/livez")
    assert "strict-transport-security" not in (await api.anonymous.get("/livez")).headers


async def test_a_certificate_of_files_stands_before_the_own(api: ApiUnderTest, tmp_path: Path) -> None:
    other = TestAuthority(tmp_path / "other")
    server = other.authority.issue_server(["127.0.0.1"], api.process.certificates._clock())
    (tmp_path / "rest.pem").write_text(server.chain_pem)
    (tmp_path / "rest.key").write_text(server.key_pem)
    files = {"rest_certificate": tmp_path / "rest.pem", "rest_key": tmp_path / "rest.key"}
    async with served(api, **files) as port, trusting(other.roots) as client:
        assert (await client.get(f"https://127.0.0.1:{port}/livez")).status_code == 200


async def test_behind_a_proxy_it_may_be_plain(api: ApiUnderTest) -> None:
    async with served(api, rest_plain=True) as port, httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{port}/livez")).status_code == 200


async def test_a_machine_joins_over_it_and_no_other_pin_does(api: ApiUnderTest, tmp_path: Path) -> None:
    await api.add_node()
    token = await api.new_token()
    async with served(api) as port:
        joining = Joining(parse_servers(f"0.0.0.0:{port}"), own_key(tmp_path))
        secret, _, pin = token.partition(PIN_MARK)
        with pytest.raises(UnauthenticatedError, match="is not the control plane that made this token"):
            await joining.join(secret + PIN_MARK + pin[::-1])
        with pytest.raises(UnauthenticatedError, match="the token has no pin"):
            await joining.join(secret)
        identity = await joining.join(token)
        assert identity.node_id == "node-1"
        before = identity.good_credentials
        await joining.come_back(identity)
        assert identity.good_credentials.chain != before.chain

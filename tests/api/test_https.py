"""REST on an address that is not loopback: HTTPS by the own CA or by files, and joins over it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent_worker.node_link.membership import Joining, own_key
from agent_worker.node_link.servers import parse_servers
from api.app import create_app
from api.https import RestServer
from api.services.access.certificate_ends import CertificateEnds
from api.services.access.rest_certificate import RestCertificate, Source
from api.settings import ApiSettings
from api.wiring import rest_certificate
from gamekeeper.certificates.authority import OwnCertificate
from gamekeeper.certificates.pem import certificates_in, served_certificates
from gamekeeper.errors import InvalidError, UnauthenticatedError, UnavailableError
from gamekeeper.keys import PIN_MARK
from gamekeeper.stack.ports import free_port
from tests.fixtures.api import ADMIN_KEY, ApiUnderTest
from tests.fixtures.certificates import TestAuthority
from tests.hang import HANG_SECONDS
from tests.told import told

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # no matter of the database


@dataclass(frozen=True)
class ServedRest:
    port: int
    certificate: RestCertificate | None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    async def shown(self) -> bytes:
        """The certificate that a new connection sees."""
        pem = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", self.port))
        return ssl.PEM_cert_to_DER_cert(pem)

    async def until_shown(self, made: OwnCertificate) -> None:
        wanted = ssl.PEM_cert_to_DER_cert(certificates_in(made.chain_pem)[0])
        async with asyncio.timeout(HANG_SECONDS):
            for _ in range(5):  # in a row: of two servers on one port either may answer
                while await self.shown() != wanted:
                    await asyncio.sleep(0.02)


@asynccontextmanager
async def served(api: ApiUnderTest, *sources: Source, **settings: Any) -> AsyncIterator[ServedRest]:
    """REST as the process serves it."""
    port = free_port("127.0.0.1")
    configured = ApiSettings(rest_host="0.0.0.0", rest_port=port, ca_dir=api.folder / "ca", **settings)
    certificate = rest_certificate(configured, api.process.certificates)
    if certificate is not None and sources:
        certificate = RestCertificate(api.folder / "ca" / "rest", sources)
    services = replace(api.process.services, rest_certificate=certificate)
    server = RestServer(create_app(services), "0.0.0.0", port, certificate)
    serving = api.background(server.serve())
    async with asyncio.timeout(HANG_SECONDS):
        while not serving.done():
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            await asyncio.sleep(0.02)
    yield ServedRest(port, certificate)
    server.stop()


class Given(Source):
    """A source that gives what a test puts into it."""

    name = "given"

    def __init__(self, made: OwnCertificate) -> None:
        self.made = made

    def current(self) -> OwnCertificate:
        return self.made


def trusting(roots: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(verify=ssl.create_default_context(cadata=roots))


async def test_the_own_ca_vouches_for_rest(api: ApiUnderTest) -> None:
    async with served(api) as rest, trusting(api.process.certificates.roots) as client:
        answer = await client.get(f"{rest.url}/livez")
        assert answer.status_code == 200
        assert "strict-transport-security" not in answer.headers, "no browser may look past a warning then"
        with pytest.raises(httpx.TransportError):
            await client.get(f"http://127.0.0.1:{rest.port}/livez")
        async with httpx.AsyncClient() as stranger:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await stranger.get(f"{rest.url}/livez")


async def test_behind_a_proxy_it_may_be_plain(api: ApiUnderTest) -> None:
    async with served(api, rest_plain=True) as rest, httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{rest.port}/livez")).status_code == 200
        assert rest.certificate is None


def write(folder: Path, made: OwnCertificate) -> None:
    (folder / "rest.pem").write_text(made.chain_pem)
    (folder / "rest.key").write_text(made.key_pem)


async def test_an_operators_files_are_read_again_when_they_change(
    api: ApiUnderTest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = TestAuthority(tmp_path / "other").authority
    now = datetime.now(UTC)
    first, second, late = (other.issue_server(["127.0.0.1"], now, timedelta(days=days)) for days in (60, 90, -1))
    write(tmp_path, first)
    files = {"rest_certificate": tmp_path / "rest.pem", "rest_key": tmp_path / "rest.key"}
    async with served(api, **files) as rest, trusting(other.roots_pem(now)) as client:
        assert rest.certificate is not None
        assert (await client.get(f"{rest.url}/livez")).headers["strict-transport-security"] == "max-age=31536000"
        await rest.until_shown(first)
        for broken in (first.key_pem, second.chain_pem, first.chain_pem[:-900]):
            (tmp_path / "rest.pem").write_text(broken)
            caplog.clear()
            for _ in range(3):
                await rest.certificate.refresh()
            assert not rest.certificate.renewed.is_set()
            words = told(caplog)
            assert len(words) == 1, "once"
            assert "rest.pem with" in words[0]
            assert "the one of before is served" in rest.certificate.trouble
        write(tmp_path, late)
        await rest.certificate.refresh()
        assert "the new certificate of REST ended on" in rest.certificate.trouble
        await rest.until_shown(first)
        write(tmp_path, second)
        await rest.certificate.refresh()
        await rest.until_shown(second)
        assert rest.certificate.trouble == ""
    shown = served_certificates(tmp_path / "ca" / "rest")
    assert {certificates_in(made.chain_pem)[0] for made in (first, second)} <= set(shown)
    (tmp_path / "rest.pem").unlink()
    async with served(api, **files) as rest:  # a start in the middle of somebody's renewal
        await rest.until_shown(second)
    (tmp_path / "ca" / "rest" / "files.pem").unlink()
    with pytest.raises(InvalidError, match=r"can't be read: .*see GAMEKEEPER_REST_CERTIFICATE"):
        async with served(api, **files):
            pass


async def test_a_new_certificate_drops_no_stream(api: ApiUnderTest, tmp_path: Path) -> None:
    """The log of what happens, followed by one connection over three certificates."""
    other = TestAuthority(tmp_path / "other").authority
    now = datetime.now(UTC)
    made = [other.issue_server(["127.0.0.1"], now) for _ in range(3)]
    source = Given(made[0])
    key = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with served(api, source) as rest, trusting(other.roots_pem(now)) as client:
        assert rest.certificate is not None
        async with client.stream("GET", f"{rest.url}/api/v1/events?follow=true", headers=key, timeout=None) as stream:
            assert stream.status_code == 200
            lines = stream.aiter_lines()
            for number, following in enumerate(made):
                source.made = following
                await rest.certificate.refresh()
                await rest.until_shown(following)
                await api.add_node(f"node-{number}")
                async with asyncio.timeout(HANG_SECONDS):
                    while f'"node":"node-{number}"' not in (await anext(lines)).replace(" ", ""):
                        pass


async def test_the_own_certificate_follows_a_rotation(api: ApiUnderTest) -> None:
    before = api.process.certificates.roots
    async with served(api) as rest, trusting(before) as old:
        assert rest.certificate is not None
        await api.http.post("/ca/rotate")
        await rest.certificate.refresh()
        await rest.until_shown(api.process.certificates.server)
        await until_alive(old, rest.url)
        newest = certificates_in(api.process.certificates.roots)[0]
        async with trusting(newest) as new:
            await until_alive(new, rest.url)


async def until_alive(client: httpx.AsyncClient, url: str) -> None:
    """A handshake in the moment in which one server follows another may be reset."""
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            with suppress(httpx.ConnectError):
                assert (await client.get(f"{url}/livez")).status_code == 200
                return
            await asyncio.sleep(0.05)


async def test_a_certificate_near_its_end_is_told(api: ApiUnderTest, tmp_path: Path) -> None:
    other = TestAuthority(tmp_path / "other").authority
    now = datetime.now(UTC)
    source = Given(other.issue_server(["127.0.0.1"], now, timedelta(days=90)))
    async with served(api, source) as rest:
        assert rest.certificate is not None
        ends = CertificateEnds(api.process.certificates, rest.certificate)
        await ends.check()
        assert 89 < ends.seconds_left()["rest"] / 86_400 <= 90
        source.made = other.issue_server(["127.0.0.1"], now - timedelta(days=77), timedelta(days=90))
        await rest.certificate.refresh()
        with pytest.raises(UnavailableError, match="the certificate of REST ends on"):
            await ends.check()
        api.process.certificates._clock = lambda: now + timedelta(days=3600)
        with pytest.raises(UnavailableError, match=r"the CA's certificate CN=Gamekeeper CA .*: gamekeeper ca rotate"):
            await ends.check()
    metrics = (await api.anonymous.get("/metrics")).text
    assert 'gamekeeper_certificate_seconds_left{certificate="ca"}' in metrics


async def test_a_machine_joins_over_it_and_no_other_pin_does(api: ApiUnderTest, tmp_path: Path) -> None:
    await api.add_node()
    token = await api.new_token()
    async with served(api) as rest:
        joining = Joining(parse_servers(f"0.0.0.0:{rest.port}"), own_key(tmp_path))
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


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rest_certificate": Path("a")}, "REST_KEY one is missing"),
        ({"rest_key": Path("a")}, "REST_KEY one is missing"),
        ({"rest_certificate": Path("a"), "rest_key": Path("b"), "acme_domains": "x.example"}, "are both given"),
        ({"acme_domains": "x.example", "acme_eab_kid": "k"}, "EAB_KEY one is missing"),
    ],
)
async def test_settings_that_do_not_go_together_are_named(api: ApiUnderTest, given: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidError, match=words):
        rest_certificate(ApiSettings(rest_host="0.0.0.0", **given), api.process.certificates)

"""``gamekeeper login --oidc`` and ``gamekeeper identity``, against a real api and a provider on loopback."""

from __future__ import annotations

import asyncio
import io
import json
import queue
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from temporalio.client import Client
from typer.testing import CliRunner

from gamekeeper.cli import oidc_login
from gamekeeper.cli.app import build, exit_code
from gamekeeper.cli.saved_contexts import contexts_file
from gamekeeper.db.engine import Database
from gamekeeper.errors import GamekeeperError, InvalidError
from gamekeeper.stack.ports import free_port
from tests.api.rest.oidc_people import ROLES, MakeApi, apis
from tests.fakes.oidc_provider import FakeOidcProvider, fake_oidc_provider
from tests.fixtures.api import ADMIN_KEY, ApiUnderTest
from tests.gamekeeper.cli.conftest import Said
from tests.hang import HANG_SECONDS


@pytest.fixture
async def make(
    database: Database, database_url: str, temporal_client: Client, tmp_path: Path
) -> AsyncIterator[MakeApi]:
    async with apis(database, database_url, temporal_client, tmp_path) as made:
        yield made


class Person:
    """Types commands, and has a browser that goes where a command says."""

    def __init__(self, api: ApiUnderTest, provider: FakeOidcProvider, said: asyncio.Queue[str]) -> None:
        self.api = api
        self.provider = provider
        self._said = said
        self.url = f"http://{api.rest_address}"

    async def types(self, *words: str) -> Said:
        async with asyncio.timeout(HANG_SECONDS):
            done = await asyncio.to_thread(CliRunner().invoke, build(), list(words))
        if isinstance(done.exception, GamekeeperError):
            return Said(exit_code(done.exception), done.stdout_bytes, str(done.exception))
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return Said(done.exit_code, done.stdout_bytes, done.stderr)

    async def as_admin(self, *words: str) -> Said:
        return await self.types("--server", self.url, "--api-key", ADMIN_KEY, *words)

    async def begin(self) -> asyncio.Task[Said]:
        return asyncio.create_task(self.types("login", "--server", self.url, "--oidc"))

    async def address_of_return(self, **claims: object) -> str:
        """The address at which the browser ends, which has signed in."""
        async with asyncio.timeout(HANG_SECONDS), httpx.AsyncClient() as browser:
            shown = await self._said.get()
            begun = await browser.get(shown)
            back = self.provider.sign_in(begun.headers["location"], **claims)  # type: ignore[arg-type]
            answer = await browser.get(f"{self.url}/api/v1/sign-in/oidc/callback", params=back)
        return str(answer.headers["location"])


@pytest.fixture
async def person(make: MakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Person]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("SERVER", "API_KEY", "CONTEXT", "STATE_DIR", "PIN"):
        monkeypatch.delenv(f"GAMEKEEPER_{name}", raising=False)
    said, loop = asyncio.Queue[str](), asyncio.get_running_loop()
    monkeypatch.setattr(oidc_login, "_show", lambda url: loop.call_soon_threadsafe(said.put_nowait, url))
    async with fake_oidc_provider() as provider:
        port = free_port("127.0.0.1")
        settings = {"oidc_makes_users": True, "oidc_roles": ROLES, "oidc_public_url": f"http://127.0.0.1:{port}"}
        api = await make(**provider.settings(**settings))
        await api.serve_rest(port=port)
        yield Person(api, provider, said)


async def test_a_browser_brings_the_code(person: Person) -> None:
    login = await person.begin()
    to = await person.address_of_return(preferred_username="mia", groups=["staff"])
    async with httpx.AsyncClient() as browser:
        stranger = to.replace("challenge=", "challenge=x")
        assert (await browser.get(stranger)).status_code == 404
        answer = await browser.get(to)
    assert (answer.status_code, "close this page" in answer.text) == (200, True)
    said = await login
    assert (said.code, "signed in as mia; context 127.0.0.1" in said.lines[-1]) == (0, True), said.err
    assert contexts_file().stat().st_mode & 0o777 == 0o600
    assert (await person.types("whoami")).lines[0].startswith("user:mia (operator, session ")
    out = await person.types("logout")
    assert (out.code, f"{person.provider.issuer}/end?client_id=" in out.err) == (0, True), out.err


async def test_an_address_is_pasted(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a browser on another machine, which could not open it."""
    pasted: queue.Queue[io.StringIO] = queue.Queue()
    monkeypatch.setattr(oidc_login, "_ready", lambda listener: [pasted.get(timeout=HANG_SECONDS)])
    login = await person.begin()
    to = await person.address_of_return(preferred_username="mia", groups=["staff"])
    for line in ("nonsense\n", "\n", to.replace("challenge=", "challenge=x") + "\n", to + "\n"):
        pasted.put(io.StringIO(line))
    said = await login
    assert said.code == 0, said.err
    assert said.err.count("this is not the address at which the browser ends") == 2


async def test_the_terminal_is_closed(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oidc_login, "_ready", lambda listener: [io.StringIO("")])
    said = await (await person.begin())
    assert (said.code, said.err) == (2, "the sign-in was broken off")


async def test_who_is_not_let_in_hears_why(person: Person) -> None:
    login = await person.begin()
    to = await person.address_of_return(preferred_username="mia", groups=["cooks"])
    async with httpx.AsyncClient() as browser:
        await browser.get(to)
    said = await login
    assert (said.code, "none of your groups at the provider lets you in here" in said.err) == (5, True)
    assert not contexts_file().exists()


async def test_nobody_comes_back(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oidc_login, "WAIT_SECONDS", 0.1)
    said = await (await person.begin())
    assert (said.code, "nobody came back from the provider in time" in said.err) == (2, True)


async def test_what_does_not_go_with_it(person: Person, make: MakeApi) -> None:
    said = await person.types("login", "--server", person.url, "--oidc", "mia")
    assert (said.code, "the provider says who you are" in said.err) == (2, True)
    without = await make()
    await without.serve_rest()
    said = await person.types("login", "--server", f"http://{without.rest_address}", "--oidc")
    assert (said.code, "this server has no sign-in by a provider" in said.err) == (2, True)


async def test_identities_are_linked_and_unlinked(person: Person) -> None:
    assert (await person.as_admin("user", "make", "zoe")).code == 0
    linked = await person.as_admin("identity", "link", "zoe", "s-9", "--json")
    made = json.loads(linked.out)
    assert (made["subject"], made["issuer"]) == ("s-9", person.provider.issuer)
    assert "s-9" in (await person.as_admin("identity", "ls", "zoe")).lines[1]
    again = await person.as_admin("identity", "link", "zoe", "s-9")
    assert (again.code, 'linked to "zoe"' in again.err) == (2, True)
    assert (await person.as_admin("identity", "unlink", "zoe", made["id"])).code == 0
    assert json.loads((await person.as_admin("identity", "ls", "zoe", "--json")).out) == []
    assert (await person.as_admin("identity", "unlink", "zoe", made["id"])).code == 4


def test_a_listener_takes_what_is_for_it() -> None:
    with oidc_login._Listener("c") as listener:
        for address in ("", "http://[::1", "/?challenge=d&code=x", "/?code=x", "x" * 5000 + "?challenge=c"):
            assert not listener.take(address)
        assert listener.take("http://127.0.0.1:1/?challenge=c&code=x&code=y")
        assert listener.wait(HANG_SECONDS)["code"] == "y"
        with pytest.raises(InvalidError, match="nobody came back"):
            listener.wait(0)

"""Values of a Vault: its answers, its refusals, and all that a server may do instead of answering."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gamekeeper.domain.secret.reference import Reference, VaultReference
from gamekeeper.errors import ConflictError, ForbiddenError, GamekeeperError, NotFoundError, UnavailableError
from gamekeeper.secret_stores.vault import KNOWN_SECONDS, VaultStore, VaultTerms
from tests.fakes.vault import ROLE, SECRET_ID, FakeVault, fake_vault
from tests.fixtures.certificates import TestAuthority

CANARY = "canary-8d21"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def vault() -> Iterator[FakeVault]:
    with fake_vault() as made:
        made.write("team/db", password=CANARY, user="app")
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def terms(vault: FakeVault, tmp_path: Path) -> VaultTerms:
    (tmp_path / "token").write_text("root-token\n")
    return VaultTerms(vault.address, token_file=tmp_path / "token")


@pytest.fixture
def store(terms: VaultTerms, clock: Clock) -> VaultStore:
    return VaultStore(terms, clock)


def at(path: str = "team/db", key: str = "password", version: int | None = None) -> Reference:
    return Reference(vault=VaultReference(path=path, key=key, version=version))


async def test_a_value_is_read(vault: FakeVault, store: VaultStore) -> None:
    value = await store.read(at())
    assert value == CANARY.encode()
    assert CANARY not in repr(value)
    assert await store.read(at(key="user")) == b"app"
    assert vault.asked == ["GET secret/data/team/db"] * 2
    assert {headers["x-vault-request"] for headers in vault.headers} == {"true"}


async def test_paths_with_odd_letters(vault: FakeVault, store: VaultStore) -> None:
    vault.write("a b/x@y+z=1", **{"k e y": "v"})
    assert await store.read(at("a b/x@y+z=1", "k e y")) == b"v"


async def test_a_version_can_be_named(vault: FakeVault, store: VaultStore) -> None:
    vault.write("team/db", password="newer")
    assert await store.read(at()) == b"newer"
    assert await store.read(at(version=1)) == CANARY.encode()
    vault.delete("team/db", 1)
    vault.destroy("team/db", 2)
    for version, part in ((None, "the newest version of secret/team/db was destroyed there"), (1, "was deleted there")):
        other = VaultStore(store._terms)
        with pytest.raises(NotFoundError, match=part):
            await other.read(at(version=version))
    with pytest.raises(NotFoundError, match="there is no secret/team/db in version 7"):
        await store.read(at(version=7))


@pytest.mark.parametrize(
    ("pairs", "key", "part"),
    [
        ({"a": "x"}, "password", 'has no key "password"'),
        ({"password": 5}, "password", "is no text"),
        ({"password": {"a": "b"}}, "password", "is no text"),
        ({"password": None}, "password", "is no text"),
        ({"password": ""}, "password", "is empty"),
        ({"password": "x" * 65_537}, "password", "over the limit"),
        ({"password": "\ud800"}, "password", "is no valid text"),
    ],
)
async def test_what_is_no_value(
    vault: FakeVault, store: VaultStore, pairs: dict[str, Any], key: str, part: str
) -> None:
    vault.write("odd", **pairs)
    with pytest.raises(GamekeeperError, match=part):
        await store.read(at("odd", key))


async def test_a_value_is_kept_for_some_seconds_and_a_fleet_asks_once(
    vault: FakeVault, store: VaultStore, clock: Clock
) -> None:
    assert await asyncio.gather(*(store.read(at()) for _ in range(50))) == [CANARY.encode()] * 50
    assert len(vault.asked) == 1
    vault.write("team/db", password="newer")
    clock.now += KNOWN_SECONDS - 0.1
    assert await store.read(at()) == CANARY.encode()
    clock.now += 0.1
    assert await store.read(at()) == b"newer"


async def test_a_failure_is_not_kept(vault: FakeVault, store: VaultStore) -> None:
    vault.trouble = 500
    with pytest.raises(UnavailableError):
        await store.read(at())
    vault.trouble = ""
    assert await store.read(at()) == CANARY.encode()


async def test_a_caller_that_goes_away_leaves_the_others_their_answer(vault: FakeVault, store: VaultStore) -> None:
    first = asyncio.create_task(store.read(at()))
    second = asyncio.create_task(store.read(at()))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == CANARY.encode()
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_token_that_ended_is_told_and_a_new_one_is_read_from_its_file(
    vault: FakeVault, store: VaultStore, tmp_path: Path
) -> None:
    vault.tokens = {"fresh"}
    with pytest.raises(ForbiddenError, match=r"may not read secret/team/db .*its token has ended, or its policy lacks"):
        await store.read(at())
    (tmp_path / "token").write_text("fresh")
    assert await store.read(at()) == CANARY.encode()


@pytest.mark.parametrize("content", [None, b"", b"two words", b"a\nb", "tökén".encode(), b"\xff"])
async def test_a_token_file_that_holds_none_is_told_by_its_name(
    vault: FakeVault, store: VaultStore, tmp_path: Path, content: bytes | None
) -> None:
    (tmp_path / "token").unlink()
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(ConflictError, match=r"token (can't be read|holds no token).*see GAMEKEEPER_VAULT_TOKEN_FILE"):
        await store.read(at())
    assert vault.asked == []


@pytest.fixture
def by_role(terms: VaultTerms, tmp_path: Path, clock: Clock) -> VaultStore:
    (tmp_path / "secret-id").write_text(SECRET_ID)
    role = replace(terms, token_file=None, role_id=ROLE, secret_id_file=tmp_path / "secret-id")
    return VaultStore(role, clock)


async def test_an_approle_signs_in_once_and_again_when_its_token_ends(
    vault: FakeVault, by_role: VaultStore, clock: Clock
) -> None:
    await asyncio.gather(by_role.read(at()), by_role.read(at(key="user")))
    assert sorted(vault.asked) == ["GET secret/data/team/db"] * 2 + ["POST auth/approle/login"]
    vault.tokens.clear()
    clock.now += KNOWN_SECONDS
    assert await by_role.read(at()) == CANARY.encode()
    assert vault.asked[3:] == ["GET secret/data/team/db", "POST auth/approle/login", "GET secret/data/team/db"]
    clock.now += vault.lease_seconds
    vault.asked.clear()
    assert await by_role.read(at()) == CANARY.encode()
    assert vault.asked == ["POST auth/approle/login", "GET secret/data/team/db"], "before the old one is refused"


async def test_a_role_that_is_refused(vault: FakeVault, by_role: VaultStore, tmp_path: Path) -> None:
    (tmp_path / "secret-id").write_text("another")
    with pytest.raises(
        ForbiddenError, match=r"refused the role of the api \(status 400\); see GAMEKEEPER_VAULT_ROLE_ID"
    ):
        await by_role.read(at())
    vault.trouble = 503
    with pytest.raises(UnavailableError, match="it is sealed, or in maintenance"):
        await by_role.read(at())


async def test_a_role_whose_policy_lacks_the_path_is_asked_twice_and_no_more(
    vault: FakeVault, by_role: VaultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vault, "_read", lambda path, version: (403, {"errors": ["permission denied"]}))
    with pytest.raises(ForbiddenError, match="may not read"):
        await by_role.read(at())
    assert len(vault.asked) == 4


async def test_a_namespace_and_a_mount_of_another_name(vault: FakeVault, terms: VaultTerms) -> None:
    vault.namespace, vault.mount = "games/eu", "kv"
    assert await VaultStore(replace(terms, namespace="games/eu", mount="kv")).read(at()) == CANARY.encode()
    with pytest.raises(NotFoundError, match="there is no secret/team/db; see the path and the mount"):
        await VaultStore(replace(terms, namespace="games/eu")).read(at())


@pytest.mark.parametrize(
    ("trouble", "error", "part"),
    [
        (500, UnavailableError, "can't answer now: status 500"),
        (502, UnavailableError, "status 502"),
        (429, UnavailableError, "status 429"),
        (473, UnavailableError, "status 473"),
        (503, UnavailableError, "it is sealed, or in maintenance"),
        (400, ConflictError, "refuses the question for secret/team/db"),
        (418, ConflictError, "status 418"),
        ("redirect", UnavailableError, "sends elsewhere, which is refused: tokens go to no other server"),
        ("garbage", UnavailableError, "something else than JSON"),
        ("deep", UnavailableError, "something else than JSON"),
        ("huge", ConflictError, "answers with more than"),
        ("endless", ConflictError, "answers with more than"),
        ("cut", UnavailableError, "can't be reached: RemoteProtocolError"),
    ],
)
async def test_a_server_that_does_something_else(
    vault: FakeVault, store: VaultStore, trouble: str | int, error: type[GamekeeperError], part: str
) -> None:
    vault.trouble = trouble
    with pytest.raises(error, match=part) as raised:
        await store.read(at())
    assert "canary" not in str(raised.value), "words of another server are not passed on"
    assert len(vault.asked) == 1


async def test_a_server_that_hangs(vault: FakeVault, terms: VaultTerms) -> None:
    vault.trouble = "hang"
    with pytest.raises(UnavailableError, match=r"did not answer in 0\.2 s"):
        await VaultStore(replace(terms, seconds=0.2)).read(at())


async def test_a_server_that_is_not_there(vault: FakeVault, terms: VaultTerms) -> None:
    with pytest.raises(UnavailableError, match=r"can't be reached: ConnectError; see GAMEKEEPER_VAULT_ADDRESS"):
        await VaultStore(replace(terms, address="http://127.0.0.1:1")).read(at())


async def test_tls_by_roots_of_its_own(terms: VaultTerms, tmp_path: Path) -> None:
    made = TestAuthority(tmp_path / "ca")
    own = made.authority.issue_server(["127.0.0.1"], datetime.now(UTC))
    (tmp_path / "server.pem").write_text(own.chain_pem + own.key_pem)
    roots = tmp_path / "roots.pem"
    roots.write_text(made.roots)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    with fake_vault(context) as vault:
        vault.write("team/db", password=CANARY)
        there = replace(terms, address=vault.address)
        assert await VaultStore(replace(there, roots=roots)).read(at()) == CANARY.encode()
        with pytest.raises(UnavailableError, match="can't be reached"):
            await VaultStore(there).read(at())
        (tmp_path / "odd.pem").write_text("no roots")
        for path in (tmp_path / "odd.pem", tmp_path / "missing.pem"):
            with pytest.raises(ConflictError, match="holds no roots that can be read"):
                await VaultStore(replace(there, roots=path)).read(at())


def test_terms_tell_nothing(terms: VaultTerms) -> None:
    assert "token" not in repr(terms)

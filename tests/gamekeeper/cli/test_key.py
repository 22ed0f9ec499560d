"""The commands of API keys, against a real api."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

import pytest
from typer.testing import CliRunner

from gamekeeper.cli.app import REFUSED, build, exit_code
from gamekeeper.errors import ForbiddenError, GamekeeperError, InvalidError, UnauthenticatedError, UnavailableError
from tests.fixtures.api import ADMIN_KEY, ApiUnderTest
from tests.gamekeeper.cli.conftest import GAMEKEEPER, Said
from tests.hang import HANG_SECONDS

EARLIER = "gk_key-of-the-file-of-at-least-32-characters"


class Keys:
    """Types commands whose key is that of a state directory's file."""

    def __init__(self, api: ApiUnderTest, folder: Path) -> None:
        self.api = api
        self.folder = folder
        self.file = folder / "admin.key"

    async def __call__(self, *words: str) -> Said:
        options = ["--server", f"http://{self.api.rest_address}", "--state-dir", str(self.folder)]
        async with asyncio.timeout(HANG_SECONDS):
            done = await asyncio.to_thread(CliRunner().invoke, build(), [*options, *words])
        if isinstance(done.exception, GamekeeperError):
            return Said(1, done.stdout_bytes, str(done.exception))
        return Said(done.exit_code, done.stdout_bytes, done.stderr)


@pytest.fixture
async def keys(api: ApiUnderTest, tmp_path: Path) -> Keys:
    await api.serve_rest()
    made = Keys(api, tmp_path / "state")
    made.folder.mkdir()
    made.file.write_text(EARLIER + "\n")
    await api.process.services.key_ring.ensure_given(EARLIER)
    return made


async def status_of(api: ApiUnderTest, secret: str) -> int:
    answer = await api.anonymous.get("/api/v1/whoami", headers={"Authorization": f"Bearer {secret}"})
    return answer.status_code


async def test_a_key_is_made_shown_listed_and_revoked(keys: Keys) -> None:
    made = await keys("key", "make", "ci", "--expires-in", "90d")
    secret = made.out.decode().strip()
    assert made.err.startswith("this is key ")
    assert await status_of(keys.api, secret) == 200
    key_id = secret.split("_")[1]
    assert json.loads((await keys("key", "show", "ci", "--json")).out)["id"] == key_id
    listed = (await keys("key", "ls")).out.decode()
    assert "ci" in listed
    assert "admin-2" in listed
    assert secret not in listed
    assert (await keys("key", "revoke", "ci")).out.decode() == f"revoked {key_id} (ci)\n"
    assert await status_of(keys.api, secret) == 401
    assert json.loads((await keys("key", "show", key_id, "--json")).out)["state"] == "revoked"
    for words in (("revoke", "ci"), ("rotate", "ci")):
        assert 'there is no good API key "ci"' in (await keys("key", *words)).err
    assert 'there is no API key "none"' in (await keys("key", "show", "none")).err


async def test_a_name_is_of_the_good_key_and_else_of_the_newest_that_ended(keys: Keys) -> None:
    made: list[str] = []
    for _ in range(3):
        made.append((await keys("key", "make", "ci")).out.decode().split("_")[1])
        shown = await keys("key", "show", "ci", "--json")
        assert (json.loads(shown.out)["id"], json.loads(shown.out)["state"], shown.err) == (made[-1], "good", "")
        assert (await keys("key", "revoke", "ci")).code == 0
        shown = await keys("key", "show", "ci", "--json")
        assert (json.loads(shown.out)["id"], json.loads(shown.out)["state"]) == (made[-1], "revoked")
        said = f'{len(made)} keys named "ci" have ended; this is the newest, the others are {", ".join(made[-2::-1])}\n'
        assert shown.err == (said if len(made) > 1 else "")


async def test_the_key_of_the_command_is_rotated_in_its_file(keys: Keys) -> None:
    assert (await keys("whoami")).out.decode().startswith("key:admin-2 (key ")
    rotated = await keys("key", "rotate", "--overlap", "0s")
    fresh = keys.file.read_text().strip()
    assert fresh != EARLIER
    assert fresh not in rotated.out.decode() + rotated.err
    assert f"has a new secret in {keys.file}" in rotated.out.decode()
    assert keys.file.stat().st_mode & 0o777 == 0o600
    assert [await status_of(keys.api, secret) for secret in (EARLIER, fresh)] == [401, 200]
    assert (await keys("whoami")).code == 0


async def test_a_key_that_was_given_is_shown(keys: Keys) -> None:
    rotated = await keys("--api-key", ADMIN_KEY, "key", "rotate")
    assert await status_of(keys.api, rotated.out.decode().strip()) == 200
    assert keys.file.read_text().strip() == EARLIER, "another one is in the file"


async def test_a_secret_that_can_not_be_kept_is_shown(keys: Keys) -> None:
    (keys.folder / "admin.key.new").mkdir()  # in the way of the new file
    rotated = await keys("key", "rotate")
    assert "can't be written" in rotated.err
    assert await status_of(keys.api, rotated.out.decode().strip()) == 200


async def test_the_last_good_key_is_not_revoked(keys: Keys) -> None:
    assert (await keys("key", "revoke", "admin")).code == 0
    assert "the last good API key" in (await keys("key", "revoke", "admin-2")).err


async def test_rotations_at_once_leave_a_good_secret_in_the_file(keys: Keys) -> None:
    """Each on its own would end the secret that the other one writes."""
    options = ["--server", f"http://{keys.api.rest_address}", "--state-dir", str(keys.folder)]
    rotating = [
        await asyncio.create_subprocess_exec(GAMEKEEPER, *options, "key", "rotate", "--overlap", "0s", stdout=PIPE)
        for _ in range(3)
    ]
    async with asyncio.timeout(HANG_SECONDS):
        for process in rotating:
            await process.communicate()
    assert [process.returncode for process in rotating] == [0, 0, 0]
    assert await status_of(keys.api, keys.file.read_text().strip()) == 200


async def test_a_link_in_the_way_of_the_file_is_not_followed(keys: Keys) -> None:
    """Root may rotate the key of somebody else's stack, who may write beside it."""
    other = keys.folder.parent / "shadow"
    other.write_text("untouched")
    (keys.folder / "admin.key.new").symlink_to(other)
    os.chown(keys.file, 1234, 1234)
    await keys("key", "rotate")
    assert (other.read_text(), other.stat().st_uid) == ("untouched", os.getuid())
    assert not keys.file.is_symlink()
    assert (keys.file.stat().st_uid, keys.file.stat().st_mode & 0o777) == (1234, 0o600)


async def test_the_command_says_when_it_revokes_its_own_key(keys: Keys) -> None:
    assert "the key of this command" in (await keys("key", "revoke", "admin-2")).err
    assert (await keys("whoami")).code == 1


@contextmanager
def listening(address: str) -> Iterator[tuple[int, list[bytes]]]:
    """A server that keeps what it is told, and answers nothing of use."""
    said: list[bytes] = []

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            said.append(self.request.recv(4096))

    with ThreadingTCPServer((address, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1], said
        finally:
            server.shutdown()
            thread.join()


WORDS = pytest.mark.parametrize("words", [["whoami"], ["instance", "exec", "arena", "--", "sh"]])


@WORDS
def test_the_key_of_the_own_stack_goes_to_no_other_machine(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "admin.key").write_text(EARLIER)
    server = ["--server", "http://192.0.2.1:7380", "--state-dir", str(tmp_path)]
    result = CliRunner().invoke(build(), [*server, *words])
    assert isinstance(result.exception, UnauthenticatedError)
    assert "is not sent to others" in str(result.exception)


@WORDS
def test_the_key_of_the_own_stack_goes_through_no_proxy(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "admin.key").write_text(EARLIER)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with listening("127.0.0.1") as (port, said):
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        server = ["--server", "http://127.0.0.1:1", "--state-dir", str(tmp_path)]
        assert isinstance(CliRunner().invoke(build(), [*server, *words]).exception, UnavailableError)
        assert said == []
        given = ["--server", "http://192.0.2.1:7380", "--api-key", EARLIER, "--state-dir", str(tmp_path)]
        CliRunner().invoke(build(), [*given, *words])
        assert len(said) > 0, "the way to others"


async def test_followed_events_end_with_the_key(keys: Keys) -> None:
    secret = (await keys("key", "make", "ci")).out.decode().strip()
    following = asyncio.create_task(keys("--api-key", secret, "events", "--follow"))
    async with asyncio.timeout(HANG_SECONDS):
        while not any(call.credential.name == "ci" for call in keys.api.process.services.callers._calls):
            await asyncio.sleep(0.01)
    await keys("key", "revoke", "ci")
    assert "was revoked" in (await following).err


@pytest.mark.parametrize("word", ["show", "revoke"])
def test_the_key_itself_is_no_name(word: str, tmp_path: Path) -> None:
    secret = "gk_0f9a33c1_" + "a" * 43
    result = CliRunner().invoke(build(), ["--state-dir", str(tmp_path), "key", word, secret])
    assert isinstance(result.exception, InvalidError)
    assert "its id is 0f9a33c1" in str(result.exception)


async def test_a_key_is_told_what_its_role_lacks(keys: Keys) -> None:
    made = await keys("key", "make", "eye", "--role", "viewer")
    keys.file.write_text(made.out.decode())
    assert "(key " in (own := (await keys("whoami")).out.decode())
    assert ", viewer, " in own
    assert (await keys("node", "ls")).code == 0
    refused = await keys("key", "make", "more")
    words = 'the API key "eye" (viewer) lacks the verb "admin" on the server; use a key of one of these roles: admin;'
    assert refused.err.startswith(f"{words} or an admin gives it: gamekeeper grant make key:")
    assert exit_code(ForbiddenError("")) == REFUSED


@pytest.mark.parametrize("key", ["\u952e", "gk_a\nb", "gk_\udcff"])
def test_a_key_that_no_header_carries_is_refused_in_words(key: str, tmp_path: Path) -> None:
    words = ["--server", "http://127.0.0.1:1", "--state-dir", str(tmp_path), "--api-key", key, "whoami"]
    assert "letters that no key has" in str(CliRunner().invoke(build(), words).exception)


def test_a_state_directory_that_is_a_file_is_not_to_be_removed(tmp_path: Path) -> None:
    (file := tmp_path / "notes").touch()
    told = str(CliRunner().invoke(build(), ["--state-dir", str(file), "whoami"]).exception)
    assert "can't be read: Not a directory" in told
    assert "remove" not in told

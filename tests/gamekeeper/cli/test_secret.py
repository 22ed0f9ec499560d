"""The commands of secrets, against a real api. A value goes in by a file, a pipe or a prompt, and is never shown."""

from __future__ import annotations

import asyncio
import json
import os
import pty
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gamekeeper.cli.app import build
from gamekeeper.cli.secret import scope_words
from gamekeeper.domain.secret.use import SecretUse, UserKind
from gamekeeper.errors import GamekeeperError
from tests.fixtures.api import ADMIN_KEY, ApiUnderTest
from tests.gamekeeper.cli.conftest import GAMEKEEPER, Said
from tests.hang import HANG_SECONDS

CANARY = "canary-c0de"
USE = SecretUse(UserKind.RUN_STEP, pipeline="deploy", node="edge-1")


class Typing:
    def __init__(self, api: ApiUnderTest) -> None:
        self.api = api

    async def __call__(self, *words: str, given: bytes = b"") -> Said:
        options = ["--server", f"http://{self.api.rest_address}", "--api-key", ADMIN_KEY]
        async with asyncio.timeout(HANG_SECONDS):
            done = await asyncio.to_thread(CliRunner().invoke, build(), [*options, *words], input=given)
        said = Said(done.exit_code, done.stdout_bytes, done.stderr)
        if isinstance(done.exception, GamekeeperError):
            said = Said(1, done.stdout_bytes, done.stderr + str(done.exception))
        assert CANARY not in f"{said.out.decode()}{said.err}"
        return said

    async def value_of(self, name: str) -> bytes:
        return (await self.api.process.services.secrets.values.values([name], USE))[name]


@pytest.fixture
async def typed(api: ApiUnderTest) -> Typing:
    await api.serve_rest()
    return Typing(api)


async def test_a_secret_from_a_pipe_is_scoped_listed_shown_and_removed(typed: Typing) -> None:
    made = await typed("secret", "set", "s3-key", "--description", "of the bucket", given=CANARY.encode())
    assert made.out.decode() == "s3-key has version 1; it may be named by nothing\n"
    scoped = await typed("secret", "scope", "s3-key", "--pipeline", "deploy", "--pipeline", "b-*", "--node", "edge-*")
    assert scoped.out.decode() == "s3-key may be named by pipelines deploy, b-* on nodes edge-*\n"
    assert await typed.value_of("s3-key") == CANARY.encode()
    listed = (await typed("secret", "ls")).lines
    assert listed[1].split()[:2] == ["s3-key", "1"]
    assert 'a step of pipeline "deploy" on node "edge-1"' in listed[1]
    shown = (await typed("secret", "show", "s3-key")).out.decode()
    assert "of the bucket" in shown
    assert "here, under mk-" in shown
    assert json.loads((await typed("secret", "ls", "--json")).out)[0]["name"] == "s3-key"
    assert json.loads((await typed("secret", "show", "s3-key", "--json")).out)["current"] == 1
    assert (await typed("secret", "rm", "s3-key")).out.decode() == "removed s3-key\n"
    assert 'there is no secret "s3-key"' in (await typed("secret", "show", "s3-key")).err


async def test_a_secret_from_a_file_and_its_versions(typed: Typing, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"\0\xffcanary-c0de\n")
    first = await typed("secret", "set", "a", "--from-file", str(file), "--all")
    assert first.out.decode() == "a has version 1; it may be named by everything\n"
    assert "ends with a line break, which is part of it" in first.err
    assert await typed.value_of("a") == file.read_bytes()
    await typed("secret", "set", "a", "--from-file", "-", given=b"two")
    restored = await typed("secret", "restore", "a", "1")
    assert restored.out.decode() == "a has version 3, with the value of version 1\n"
    assert (await typed("secret", "destroy", "a", "2")).out.decode() == "destroyed version 2 of a\n"
    shown = (await typed("secret", "show", "a")).lines
    assert [line.split()[:2] for line in shown[-3:]] == [["3", "current"], ["2", "destroyed"], ["1", "earlier"]]
    assert "destroyed by key:admin" in shown[-2]
    rotated = (await typed("secret", "rotate-key")).lines
    assert rotated[0].endswith("; 2 versions are under it")
    assert await typed.value_of("a") == file.read_bytes()


async def test_places_in_other_stores(typed: Typing) -> None:
    await typed("secret", "set", "a", "--vault", "team/db#password", "--node", "edge-1")
    await typed("secret", "set", "a", "--folder-file", "db-password")
    shown = (await typed("secret", "show", "a")).out.decode()
    assert "vault:team/db#password" in shown
    assert "file:db-password" in shown


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["set", "a", CANARY], "a value in the command line can be read by every user of this machine"),
        (["set", "a", "--from-file", "/missing"], "/missing: No such file"),
        (["set", "a", "--from-file", "/"], "/: Is a directory"),
        (["set", "a", "--from-file", "/dev/null"], "the value is empty"),
        (["set", "a", "--from-file", "/dev/zero"], "over the limit of 65,536 bytes"),
        (["set", "a"], "the value is empty"),
        (["set", "a", "--vault", "team/db"], "is not PATH#KEY"),
        (["set", "a", "--vault", "a#b", "--folder-file", "a"], "give one of --from-file, --vault and --folder-file"),
        (["set", "a", "--vault", "a#b", "--all", "--node", "x"], "--all has no bounds"),
        (["set", "a", "--vault", "a#b", "--label", "pool"], "is not KEY=VALUE"),
        (["set", "Schlüssel", "--vault", "a#b"], 'try "schlussel"'),
        (["set", "..", "--vault", "a#b"], "begins with a letter or a digit"),
        (["set", "a", "--vault", "a#b", "--node", "A B"], "a pattern has 1 to 63"),
        (["scope", "a"], "say who: --pipeline"),
        (["scope", "a", "--nobody"], "a new one needs a value"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
async def test_mistakes_are_told(typed: Typing, words: list[str], part: str) -> None:
    done = await typed("secret", *words)
    assert done.code == 1
    assert part in done.err
    assert (await typed("secret", "show", "a")).code == 1


async def test_a_prompt_shows_nothing(typed: Typing, tmp_path: Path) -> None:
    """On a terminal, as a user types it: the value is asked for twice."""
    leader, follower = pty.openpty()
    options = ["--server", f"http://{typed.api.rest_address}", "--api-key", ADMIN_KEY]
    command = [GAMEKEEPER, *options, "secret", "set", "typed", "--all"]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    process = await asyncio.create_subprocess_exec(
        *command, stdin=follower, stdout=follower, stderr=follower, env=environment, start_new_session=True
    )
    os.close(follower)
    shown, loop = b"", asyncio.get_running_loop()
    async with asyncio.timeout(HANG_SECONDS):
        for count in (1, 2):
            while shown.count(b": ") < count:
                shown += await loop.run_in_executor(None, os.read, leader, 1024)
            os.write(leader, CANARY.encode() + b"\n")
        while b"has version 1" not in shown:
            shown += await loop.run_in_executor(None, os.read, leader, 1024)
        assert await process.wait() == 0
    os.close(leader)
    assert CANARY.encode() not in shown
    assert await typed.value_of("typed") == CANARY.encode()


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ({}, "nothing"),
        ({"nodes": ["*"]}, "everything"),
        ({"nodes": ["a", "b-*"]}, "everything on nodes a, b-*"),
        ({"pipelines": ["p"], "instances": ["i"]}, "pipelines p or instances i"),
        ({"instances": ["i"], "labels": {"pool": "x"}}, "instances i on nodes with pool=x"),
    ],
)
def test_scopes_in_words(scope: dict[str, object], words: str) -> None:
    empty: dict[str, object] = {"pipelines": [], "instances": [], "nodes": [], "labels": {}}
    assert scope_words(empty | scope) == words

"""``user totp`` and a sign-in with a code, against a real api."""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import PIPE
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest

from tests.fixtures.api import ApiUnderTest
from tests.gamekeeper.cli.conftest import GAMEKEEPER, SHELL_PASSWORD, Said, Shell
from tests.hang import HANG_SECONDS


@pytest.fixture
async def mia(api: ApiUnderTest, shell: Shell) -> Shell:
    """A shell whose context is the session of a user."""
    await next(loop for loop in api.process.loops if loop.care.name == "secret_keys").work()  # makes the first key
    await shell.signs_in("mia")
    return shell


async def turned_on(password: str = SHELL_PASSWORD, code: str = "") -> Said:
    """Types what is asked for: the code comes out of the secret that the command has shown."""
    process = await asyncio.create_subprocess_exec(
        GAMEKEEPER, "user", "totp", "on", "--password-stdin", stdin=PIPE, stdout=PIPE, stderr=PIPE, env=os.environ
    )
    assert process.stdin is not None
    assert process.stdout is not None
    async with asyncio.timeout(HANG_SECONDS):
        process.stdin.write(f"{password}\n".encode())
        shown = await process.stdout.readline()
        if shown.startswith(b"otpauth://"):
            secret = parse_qs(urlsplit(shown.decode().strip()).query)["secret"][0]
            process.stdin.write(f"{code or pyotp.TOTP(secret).now()}\n".encode())
        out, err = await process.communicate()
    return Said(process.returncode or 0, shown + out, err.decode())


async def signs_in(shell: Shell, *given: str) -> Said:
    words = ["login", "--server", shell.url, "--password-stdin", "mia"]
    return await shell(*words, given="".join(f"{line}\n" for line in given))


async def test_an_authenticator_is_turned_on_used_and_turned_off(mia: Shell) -> None:
    on = await turned_on()
    assert on.code == 0, on.err
    assert on.lines[0].startswith("otpauth://totp/Gamekeeper:mia?secret=")
    assert "they are not shown again" in on.err
    codes = on.lines[1:]
    assert len(codes) == 10
    assert (await signs_in(mia, SHELL_PASSWORD, codes[0])).code == 0
    fresh = await mia("user", "totp", "codes", "--password-stdin", given=f"{SHELL_PASSWORD}\n{codes[1]}\n")
    assert fresh.code == 0, fresh.err
    assert len(fresh.lines) >= 10
    assert not set(codes) & set(fresh.lines)
    void = await mia("user", "totp", "off", "--password-stdin", given=f"{SHELL_PASSWORD}\n{codes[2]}\n")
    assert void.code != 0
    off = await mia("user", "totp", "off", "--password-stdin", given=f"{SHELL_PASSWORD}\n{fresh.lines[0]}\n")
    assert off.lines == ["the sign-in asks for the password alone"], off.err
    assert (await signs_in(mia, SHELL_PASSWORD)).code == 0


async def test_an_admin_takes_an_authenticator_away(mia: Shell) -> None:
    assert (await turned_on()).code == 0
    once = (await mia.as_admin("user", "password", "mia", "--remove-totp")).lines[0]
    assert (await signs_in(mia, once, f"{SHELL_PASSWORD} 2")).code == 0
    assert (await mia("whoami")).lines[0].startswith("user:mia")


async def test_mistakes_turn_nothing_on(mia: Shell) -> None:
    wrong = await turned_on(password="wrong password")
    assert (wrong.code, wrong.out) == (2, b"")
    assert "the password is wrong" in wrong.err
    refused = await turned_on(code="123")
    assert refused.code == 2, refused.err
    assert len(refused.lines) == 1, "no recovery codes"
    empty = await mia("user", "totp", "on", "--password-stdin", given="\n")
    assert (empty.code, "a password is needed" in empty.err) == (2, True)
    silent = await mia("user", "totp", "off")
    assert (silent.code, "no terminal" in silent.err) == (2, True)
    assert (await signs_in(mia, SHELL_PASSWORD)).code == 0


async def test_a_key_has_no_authenticator(mia: Shell) -> None:
    for what in ("on", "off", "codes"):
        refused = await mia.as_admin("user", "totp", what, "--password-stdin", given=f"{SHELL_PASSWORD}\n")
        assert refused.code == 5
        assert "this is for who has signed in" in refused.err

"""The commands of users, sessions and contexts, against a real api."""

from __future__ import annotations

import json

import pytest

from gamekeeper.cli import typed
from gamekeeper.cli.saved_contexts import contexts_file
from gamekeeper.errors import InvalidError
from tests.gamekeeper.cli.conftest import SHELL_PASSWORD as PASSWORD
from tests.gamekeeper.cli.conftest import Shell


async def test_a_user_signs_in_calls_and_signs_out(shell: Shell) -> None:
    once = await shell.made("mia", "--role", "operator")
    said = await shell("login", "--server", shell.url, "--password-stdin", "mia", given=f"{once}\n{PASSWORD}\n")
    assert said.code == 0, said.err
    assert "signed in as mia; context 127.0.0.1" in said.lines[0]
    assert PASSWORD not in contexts_file().read_text()
    assert contexts_file().stat().st_mode & 0o777 == 0o600
    who = await shell("whoami")
    assert who.lines[0].startswith("user:mia (operator, session ")
    assert (await shell("node", "ls")).code == 0
    refused = await shell("user", "ls")
    assert (refused.code, "lacks the verb" in refused.err) == (5, True)
    listed = await shell("session", "ls", "--json")
    session = json.loads(listed.out)[0]
    assert (session["user"], session["is_this"]) == ("mia", True)
    contexts = json.loads((await shell("context", "ls", "--json")).out)
    assert [(item["name"], item["user"], item["is_current"]) for item in contexts] == [("127.0.0.1", "mia", True)]
    assert "gks_" not in (await shell("context", "ls", "--json")).out.decode()
    assert (await shell("logout")).code == 0
    ended = json.loads((await shell.as_admin("session", "ls", "--all", "--ended", "--json")).out)
    assert [item["state"] for item in ended] == ["ended"]
    assert (await shell("context", "ls")).lines[1:] == []
    assert (await shell("logout")).code == 2


async def test_contexts_are_changed_and_named(shell: Shell) -> None:
    for name in ("mia", "joe"):
        once = await shell.made(name)
        words = ["login", "--server", shell.url, "--as", name, "--password-stdin", name]
        assert (await shell(*words, given=f"{once}\n{PASSWORD} {name}\n")).code == 0
    assert (await shell("whoami")).lines[0].startswith("user:joe")
    assert (await shell("--context", "mia", "whoami")).lines[0].startswith("user:mia")
    assert (await shell("context", "use", "mia")).code == 0
    assert (await shell("whoami")).lines[0].startswith("user:mia")
    assert (await shell.as_admin("whoami")).lines[0].startswith("key:admin")
    both = await shell("--context", "mia", "--api-key", "k", "whoami")
    assert (both.code, "--context stands for a server" in both.err) == (2, True)
    assert (await shell("--context", "nobody", "whoami")).code == 4
    assert (await shell("context", "rm", "mia")).code == 0
    assert (await shell("context", "use", "mia")).code == 4
    away = await shell("--state-dir", "/nowhere/at/all", "whoami")  # another stack than that of any context
    assert (away.code, "no server" in away.err) == (3, True)


async def test_a_session_that_was_ended_says_so(shell: Shell) -> None:
    once = await shell.made("mia")
    await shell("login", "--server", shell.url, "--password-stdin", "mia", given=f"{once}\n{PASSWORD}\n")
    session = json.loads((await shell("session", "ls", "--json")).out)[0]["id"]
    assert (await shell.as_admin("session", "end", session)).code == 0
    refused = await shell("whoami")
    assert (refused.code, refused.err) == (5, "the session has ended; sign in again")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"current": "a", "contexts": {"a": {"wrong": 1}}}', "\ud800"])
async def test_a_damaged_file_stops_no_command_that_needs_none_of_it(shell: Shell, text: str) -> None:
    contexts_file().parent.mkdir(parents=True)
    contexts_file().write_bytes(text.encode("utf-8", "surrogatepass"))
    contexts_file().chmod(0o600)
    assert (await shell.as_admin("whoami")).code == 0
    named = await shell("--context", "a", "whoami")
    assert (named.code, "does not hold contexts" in named.err) == (2, True)


async def test_a_file_that_others_may_read_is_refused(shell: Shell) -> None:
    once = await shell.made("mia")
    await shell("login", "--server", shell.url, "--password-stdin", "mia", given=f"{once}\n{PASSWORD}\n")
    contexts_file().chmod(0o644)
    refused = await shell("--context", "127.0.0.1", "whoami")
    assert (refused.code, "others may read" in refused.err) == (2, True)


async def test_users_are_listed_changed_and_removed(shell: Shell) -> None:
    await shell.made("mia", "--called", "Mia, at night")
    service = await shell.as_admin("user", "make", "backup", "--service")
    assert "gamekeeper key make --user backup" in service.lines[0]
    key = await shell.as_admin("key", "make", "nightly", "--user", "backup", "--role", "viewer")
    who = await shell("--server", shell.url, "--api-key", key.lines[0], "whoami")
    assert who.lines[0].startswith("user:backup (viewer, key ")
    listed = await shell.as_admin("user", "ls")
    assert [line.split()[1] for line in sorted(listed.lines[1:], key=lambda line: line.split()[1])] == ["backup", "mia"]
    assert "Mia, at night" in listed.out.decode()
    assert (await shell.as_admin("user", "edit", "MIA", "--role", "developer")).lines == ["mia is developer now"]
    assert (await shell.as_admin("user", "edit", "mia")).code == 2
    assert (await shell.as_admin("user", "disable", "mia")).lines == ["disabled mia"]
    assert "disabled" in (await shell.as_admin("user", "show", "mia")).out.decode()
    assert (await shell.as_admin("user", "enable", "mia")).lines == ["enabled mia"]
    once = (await shell.as_admin("user", "password", "mia")).lines[0]
    signed_in = await shell("login", "--server", shell.url, "--password-stdin", "mia", given=f"{once}\n{PASSWORD}\n")
    assert signed_in.code == 0, signed_in.err
    changed = await shell("user", "password", "--password-stdin", given=f"{PASSWORD}\n{PASSWORD} 2\n")
    assert changed.code == 0, changed.err
    assert (await shell("key", "rotate")).code == 2
    assert (await shell("key", "make", "laptop", "--user", "me")).code == 0
    assert [line.split()[1] for line in (await shell("key", "ls")).lines[1:]] == ["laptop"]
    assert (await shell.as_admin("user", "password", "--password-stdin")).code == 2
    assert (await shell.as_admin("user", "rm", "mia")).lines == ["removed mia"]
    assert (await shell.as_admin("user", "show", "mia")).code == 4


async def test_nothing_is_asked_without_a_terminal(shell: Shell) -> None:
    for words in (
        ["login", "--server", shell.url],
        ["login", "--server", shell.url, "mia"],
        ["login", "--password-stdin"],
    ):
        refused = await shell(*words)
        assert refused.code == 2
    empty = await shell("login", "--server", shell.url, "--password-stdin", "mia", given="\n")
    assert (empty.code, "a password is needed" in empty.err) == (2, True)
    with pytest.raises(InvalidError, match="no terminal"):
        typed.typed_password("password: ", from_stdin=False)

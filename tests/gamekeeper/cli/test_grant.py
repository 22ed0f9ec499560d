"""The commands of grants, against a real api: what they give, in words, and what they say of wrong input."""

from __future__ import annotations

import json

from tests.gamekeeper.cli.conftest import Shell


async def made(shell: Shell, *words: str) -> dict[str, object]:
    said = await shell.as_admin("grant", "make", *words, "--json")
    assert said.code == 0, said.err
    found: dict[str, object] = json.loads(said.out)
    return found


async def test_a_grant_is_made_listed_shown_and_removed(shell: Shell) -> None:
    key = (await shell.as_admin("key", "make", "customer", "--role", "guest")).lines[0]
    words = ["--role", "operator", "--on", "instance", "--label", "team=blue", "--id", "eu-*"]
    said = (await shell.as_admin("grant", "make", "customer", *words)).lines[0]
    assert said.endswith(": customer may operator on instance eu-*, team=blue, until it is removed")
    grant = said.split()[1].rstrip(":")
    listed = (await shell.as_admin("grant", "ls", "--holder", "key:customer")).lines
    assert listed[1].split()[0] == grant
    assert "instance eu-*, team=blue" in listed[1]
    shown = (await shell.as_admin("grant", "show", grant)).out.decode()
    assert "see, logs, console, power, run, approve" in shown
    own = await shell("--server", shell.url, "--api-key", key, "whoami")
    assert own.lines[2].split()[0] == grant
    assert own.lines[2].split()[-1] == "never"
    told = json.loads((await shell("--server", shell.url, "--api-key", key, "whoami", "--json")).out)["grants"]
    assert [(item["id"], item["role"], item["on"]["labels"]) for item in told] == [
        (grant, "operator", {"team": "blue"})
    ]
    assert (await shell.as_admin("grant", "rm", grant)).lines == [f"removed grant {grant}"]
    assert (await shell.as_admin("grant", "ls", "--json")).out == b"[]\n"
    gone = await shell.as_admin("grant", "rm", grant)
    assert (gone.code, gone.err) == (4, f'there is no grant "{grant}"; gamekeeper grant ls lists them')


async def test_a_user_is_named_by_its_name_or_its_id(shell: Shell) -> None:
    await shell.signs_in("mia", "--role", "guest")
    first = await made(shell, "user:mia", "--verb", "see", "--verb", "run", "--on", "pipeline", "--expires-in", "8h")
    holder = first["holder"]
    assert isinstance(holder, dict)
    second = await made(shell, f"user:{holder['id']}", "--verb", "see", "--on", "instance", "--own")
    assert second["holder"] == holder
    assert len((await shell.as_admin("grant", "ls", "--holder", "user:mia", "--on", "instance")).lines) == 2
    own = (await shell("whoami")).out.decode()
    assert own.startswith("user:mia (guest, session ")
    assert "see, run" in own
    assert "instance own" in own


MISTAKES = [
    (["make", "key:nobody", "--role", "viewer"], 4, 'there is no API key "nobody"'),
    (["make", "user:nobody", "--role", "viewer"], 4, 'there is no user "nobody"'),
    (["make", "user:", "--role", "viewer"], 2, "HOLDER names nobody"),
    (["make", "key:", "--role", "viewer"], 2, "HOLDER names nobody"),
    (["make", "gk_0f9a33c1_x", "--role", "viewer"], 2, "this is the key itself"),
    (["make", "admin"], 2, 'give either "role" or "verbs"'),
    (["make", "admin", "--role", "viewer", "--verb", "see"], 2, 'give either "role" or "verbs"'),
    (["make", "admin", "--role", "guest"], 2, "has no verbs"),
    (["make", "admin", "--role", "emperor"], 2, "emperor"),
    (["make", "admin", "--verb", "fly"], 2, "fly"),
    (["make", "admin", "--verb", "see", "--on", "planet"], 2, "planet"),
    (["make", "admin", "--verb", "see", "--on", "server", "--id", "a"], 2, "there is one server"),
    (["make", "admin", "--verb", "see", "--id", "a"], 2, "ids belong to one kind of object"),
    (["make", "admin", "--verb", "see", "--on", "node", "--own"], 2, "instances alone have an owner"),
    (["make", "admin", "--verb", "see", "--on", "node", "--id", "e*u"], 2, "is no id"),
    (["make", "admin", "--verb", "see", "--on", "node", "--id", "*"], 2, "names all ids"),
    (["make", "admin", "--verb", "see", "--label", "team"], 2, "is not KEY=VALUE"),
    (["make", "admin", "--verb", "see", "--expires-in", "soon"], 2, "soon"),
    (["make", "admin", "--verb", "see", "--expires-in", "9999d"], 2, "366"),
    (["ls", "--holder", "user:nobody"], 4, 'there is no user "nobody"'),
    (["ls", "--holder", "key:"], 2, "HOLDER names nobody"),
    (["show", "nothing"], 4, 'there is no grant "nothing"'),
    (["rm", "nothing"], 4, 'there is no grant "nothing"'),
]


async def test_mistakes_are_told(shell: Shell) -> None:
    for words, code, part in MISTAKES:
        refused = await shell.as_admin("grant", *words)
        assert refused.code == code, (words, refused.err)
        assert part in refused.err, words
    assert (await shell.as_admin("grant", "ls", "--json")).out == b"[]\n"


async def test_who_lacks_the_verb_is_told_so(shell: Shell) -> None:
    await shell.signs_in("mia", "--role", "operator")
    for words in (["make", "user:mia", "--role", "admin"], ["ls"], ["show", "x"], ["rm", "x"]):
        refused = await shell("grant", *words)
        assert (refused.code, 'lacks the verb "admin"' in refused.err) == (5, True), words

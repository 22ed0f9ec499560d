"""The commands of the keys that encrypt what goes through Temporal, against a real api."""

from __future__ import annotations

import json

from gamekeeper.db.payload_trouble_log import SqlPayloadTroubleLog
from gamekeeper.domain.access.payload_trouble import PayloadTrouble
from tests.fixtures.api import ApiUnderTest
from tests.gamekeeper.cli.conftest import Shell

LOST = "20200101-0badcafe"


async def test_keys_are_listed_and_rotated(api: ApiUnderTest, shell: Shell) -> None:
    (first,) = json.loads((await shell.as_admin("payload-key", "ls", "--json")).out)["items"]
    assert (await shell.as_admin("payload-key", "ls")).lines[1].split()[:2] == [first["id"], "writes"]
    said = await shell.as_admin("payload-key", "rotate", "--delay", "3600")
    assert said.code == 0, said.err
    assert said.lines[0].endswith("put the file of the keys into a backup")
    fresh = said.lines[0].split()[1]
    listed = (await shell.as_admin("payload-key", "ls")).lines[1:]
    assert [line.split()[:2] for line in listed] == [[fresh, "waits"], [first["id"], "writes"]]
    again = await shell.as_admin("payload-key", "rotate", "--json")
    assert (again.code, again.out) == (2, b"")
    for key in api.seals.keys.ring.keys:
        assert key.secret not in "".join(listed)


async def test_a_lost_key_is_told_and_given_up(api: ApiUnderTest, shell: Shell) -> None:
    trouble = PayloadTrouble("run/1", LOST, f"payload key {LOST} is not there", True)
    await SqlPayloadTroubleLog(api.database).write("control_worker", [trouble], [])
    listed = (await shell.as_admin("payload-key", "ls")).lines
    assert listed[-1] == f"control_worker can't read run/1: payload key {LOST} is not there"
    asked = await shell.as_admin("payload-key", "give-up", LOST)
    assert (asked.code, "add --yes" in asked.err) == (2, True)
    assert json.loads((await shell.as_admin("payload-key", "ls", "--json")).out)["troubles"] != []
    assert (await shell.as_admin("payload-key", "give-up", LOST, "--yes")).code == 0
    found = json.loads((await shell.as_admin("payload-key", "ls", "--json")).out)
    assert found["troubles"] == []
    assert (LOST, "given_up") in {(key["id"], key["state"]) for key in found["items"]}


MISTAKES = [
    (["drop", "nobody"], 4, 'there is no payload key "nobody"'),
    (["rotate", "--delay", "-1"], 2, "--delay"),
    (["rotate", "--delay", "soon"], 2, "soon"),
    (["drop"], 2, "KEY"),
]


async def test_mistakes_are_told(shell: Shell) -> None:
    for words, code, part in MISTAKES:
        refused = await shell.as_admin("payload-key", *words)
        assert refused.code == code, (words, refused.err)
        assert part in refused.err, words


async def test_the_key_that_writes_stays(shell: Shell) -> None:
    (first,) = json.loads((await shell.as_admin("payload-key", "ls", "--json")).out)["items"]
    refused = await shell.as_admin("payload-key", "drop", first["id"])
    assert (refused.code, "writes" in refused.err) == (2, True), refused.err


async def test_who_lacks_the_verb_is_told_so(shell: Shell) -> None:
    await shell.signs_in("mia", "--role", "developer")
    for words in (["ls"], ["rotate"], ["drop", "x"], ["give-up", "x", "--yes"]):
        refused = await shell("payload-key", *words)
        assert (refused.code, 'lacks the verb "admin"' in refused.err) == (5, True), words

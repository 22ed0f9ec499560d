"""Following a run: every try, the bytes that were written, and what it waits for."""

from __future__ import annotations

import pytest

from tests.gamekeeper.cli.conftest import Command, step

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
WRITTEN = "try :warning: module:cat:x [bold] 10%\r50%\r100% \u2028 \x1b[31mred\x1b[0m\n" + "L" * 9_000 + "\nlast\n"


async def test_every_try_is_shown_as_it_was_written(command: Command) -> None:
    retry = {"attempts": 2, "backoff": "10ms", "on": ["failure"]}
    file = command.write(step("s", retry=retry, dummy={"output": WRITTEN, "exit_code": 7, "sleep": 1}))
    said = await command("run", file, "--node", "node-1", "--follow")
    assert said.code == 1
    assert [line for line in said.out.split(b"\n") if b" | " in line] == [
        b" " * 19 + b"s | " + line.encode() for line in WRITTEN.removesuffix("\n").split("\n") * 2
    ]
    assert b"starting (try 2) try 1 failed: exit 7\n" in said.out


async def test_the_log_of_one_step_is_its_bytes_and_goes_on_with_the_next_try(command: Command) -> None:
    retry = {"attempts": 2, "backoff": "10ms", "on": ["failure"]}
    file = command.write(step("s", retry=retry, dummy={"output": WRITTEN, "exit_code": 7}))
    run = (await command("run", file, "--node", "node-1")).lines[0].split()[1]
    followed = await command("runs", "logs", run, "s", "-f")
    assert followed.out in (WRITTEN.encode(), WRITTEN.encode() * 2)  # as it began with the first try or the second
    assert (await command("runs", "logs", run, "s")).out == WRITTEN.encode()
    assert (await command("runs", "logs", run, "s", "--try", "1")).out == WRITTEN.encode()


async def test_parts_of_a_log(command: Command) -> None:
    file = command.write(step("s", dummy={"output": "one\n" + "L" * 9_000 + "\nlast\n"}))
    run = (await command("run", file, "--node", "node-1", "-f")).lines[0].split()[1]
    assert (await command("runs", "logs", run, "s", "--tail", "1")).out == b"last\n"
    assert (await command("runs", "logs", run, "s", "-f", "--tail", "2")).out == b"L" * 9_000 + b"\nlast\n"
    assert (await command("runs", "logs", run, "--tail", "1", "-t")).lines[0].endswith("Z s | last")
    assert (await command("runs", "logs", run, "s", "--since", "2999-01-01T00:00:00Z")).out == b""
    assert (await command("runs", "logs", run, "s", "--since", "1h", "--tail", "1", "--json")).out.count(b"\n") == 1
    wrong = await command("runs", "logs", run, "s", "--since", "yesterday")
    assert (wrong.code, "is no time and no duration" in wrong.err) == (2, True)


async def test_an_approval_is_told_with_its_commands_and_ctrl_c_leaves_the_run(command: Command) -> None:
    file = command.write({"name": "ask", "type": "approval", "approval": {"message": "go?"}}, step("never"))
    said = await command.interrupt_after("runs reject", "run", file, "--node", "node-1", "-f")
    assert said.code == 130
    run = said.lines[0].split()[1]
    assert f"gamekeeper runs approve {run} ask" in said.out.decode()
    assert f"run {run} goes on; to cancel it: gamekeeper runs cancel {run}" in said.err
    assert "ask waits for an approval until" in (await command("runs", "show", run)).out.decode()
    assert "waits for an approval" in (await command("runs", "ls", "--waiting")).out.decode()
    assert (await command("runs", "reject", run, "ask")).code == 0
    ended = await command("runs", "logs", run, "never", "-f")
    assert (ended.code, ended.out) == (0, b"")
    assert "the step had no container: it is skipped" in ended.err
    assert run not in (await command("runs", "ls", "--waiting")).out.decode()


async def test_a_held_step_is_told_with_its_commands(command: Command) -> None:
    file = command.write(step("a", dummy={"exit_code": 3}, on_failure="hold 15m"))
    said = await command.interrupt_after("runs fail", "run", file, "--node", "node-1", "-f")
    run = said.lines[0].split()[1]
    assert f"gamekeeper runs retry {run} a" in said.out.decode()
    assert (await command("runs", "fail", run, "a")).code == 0


async def test_a_node_that_is_away_or_in_maintenance_is_told(command: Command) -> None:
    await command.api.add_node("node-2")
    for about, part in (("node-2", "which has never registered"), ("node-1", "in maintenance")):
        if about == "node-1":
            await command("node", "edit", "node-1", "--mode", "maintenance")
        file = command.write(step("a"))
        said = await command.interrupt_after("a waits for node", "run", file, "--node", about, "-f")
        assert f"a waits for node {about}, {part}" in said.out.decode()

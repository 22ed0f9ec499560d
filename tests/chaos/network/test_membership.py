"""Nodes that are revoked, of an older version, copied, or of another time: each step on them still has one outcome."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gamekeeper.exit_status import MISCONFIGURED
from tests.chaos.network.counting import Counting, check_shorts, shorts
from tests.fixtures.spaces import Machine, Spaces
from tests.hang import HANG_SECONDS

pytestmark = [pytest.mark.xdist_group("spaces"), pytest.mark.timeout(600)]


def clock(reads: str) -> dict[str, str]:
    """The environment of a process whose clock reads otherwise."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    assert library is not None, "libfaketime is missing: run the tests by `make test`"
    return {"LD_PRELOAD": str(library), "FAKETIME": reads, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


@pytest.fixture(autouse=True)
def all_is_well_again(spaces: Spaces) -> Iterator[None]:
    """The agents run, with good identities and the right clock, whatever the test did."""
    yield
    for machine in spaces.machines:
        machine.end()
        machine.start(token=spaces.token(machine.node))
    spaces.until_well()


def conditions(spaces: Spaces, machine: Machine) -> dict[str, str]:
    return {item["type"]: item["reason"] for item in spaces.node_row(machine.node)["conditions"]}


def events(spaces: Spaces, run: str, kind: str) -> list[object]:
    found: list[object] = spaces.get(f"/events?run={run}&kind={kind}").json()["items"]
    return found


def make_old(spaces: Spaces, machine: Machine) -> None:
    """Turns the state folder, and the node's row, into what a version without certificates left."""
    for name in ("node.key", "node.pem", "roots.pem"):
        (machine.folder / name).unlink()
    kept = json.loads((machine.folder / "identity.json").read_text())
    names = ("node_id", "node_key", "temporal_address", "temporal_namespace", "cancel_is_pushed")
    (machine.folder / "identity.json").write_text(json.dumps({name: kept[name] for name in names}))
    with closing(sqlite3.connect(machine.folder / "journal.db")) as journal, journal:
        journal.execute("DROP TABLE spent")
    with closing(sqlite3.connect(spaces.state_dir / "gamekeeper.db", timeout=HANG_SECONDS)) as database, database:
        database.execute("UPDATE nodes SET generation = 0 WHERE id = ?", (machine.node,))


def shut_out(spaces: Spaces, machine: Machine, run: str) -> None:
    """An operator revokes the node: all that it has open ends, and its log, and that of a new agent, say why."""
    console = subprocess.Popen(spaces.prefixed("runs", "exec", run, "count", "--", "sleep", "1000"))
    spaces.until(lambda: events(spaces, run, "step.console_opened"))
    spaces.command("node", "revoke", machine.node)
    assert console.wait(HANG_SECONDS) != 0
    spaces.until_status(machine.node, "offline")
    spaces.until(lambda: "gamekeeper node enrol" in machine.log)
    before = len(machine.log)
    machine.end()
    machine.start()
    spaces.until(lambda: "gamekeeper node enrol" in machine.log[before:])
    machine.end()


def leave_behind(spaces: Spaces, machine: Machine) -> None:
    """Its control plane is upgraded to a version with certificates: the server says what is to be done, and so does the
    new agent, which does not go on without a token."""
    machine.end()
    make_old(spaces, machine)
    killed = spaces.kill("api")  # what it has in memory would be of the newer version
    spaces.until(lambda: spaces.status()["api"]["pid"] not in (None, killed))
    spaces.until(lambda: "gamekeeper node enrol" in conditions(spaces, machine).get("AgentOutdated", ""))
    before = len(machine.log)
    machine.start()
    assert machine.wait() == MISCONFIGURED
    assert f"gamekeeper node enrol {machine.node}" in machine.log[before:]


def test_a_token_lets_a_node_back_in_to_its_steps(spaces: Spaces) -> None:
    """One was revoked in the middle of a step, one is of a version without certificates (docs/upgrading.md): both are
    the same nodes with a token, and their containers, which went on all the while, are taken up."""
    revoked, old = spaces.hidden, spaces.open
    counting = Counting(spaces, [revoked.node, old.node])
    shut_out(spaces, revoked, counting.runs[revoked.node])
    leave_behind(spaces, old)
    counting.check_running()
    for machine in (revoked, old):
        machine.start(token=spaces.token(machine.node))
    spaces.until(lambda: "AgentOutdated" not in conditions(spaces, old))
    spaces.until_well()
    counting.go_on()
    counting.end()


def test_clocks_that_are_a_day_off(spaces: Spaces) -> None:
    """The nodes work, and their conditions name the clock."""
    ahead, behind = spaces.machines
    for machine, off in ((ahead, "+1d"), (behind, "-1d")):
        machine.end()
        machine.start(environment=clock(off))
    spaces.until(lambda: "s ahead of the server's" in conditions(spaces, ahead).get("ClockSkew", ""))
    spaces.until(lambda: "s behind the server's" in conditions(spaces, behind).get("ClockSkew", ""))
    spaces.until_well()
    check_shorts(spaces, shorts(spaces))


def test_a_clock_of_another_year_is_named(spaces: Spaces) -> None:
    """As on a machine without a battery: no certificate is good yet."""
    machine = spaces.open
    machine.end()
    before = len(machine.log)
    machine.start(environment=clock("@2000-01-01 00:00:00"))
    spaces.until(lambda: "this machine's clock (2000-01-01" in machine.log[before:])


def test_two_machines_with_one_key(spaces: Spaces, tmp_path: Path) -> None:
    """The one that came first stays, the other is told, and no step is started twice."""
    first, copied = spaces.open, Machine(spaces.network, "hidden", tmp_path)
    copied.folder, copied.log_file = tmp_path / "copy", tmp_path / "copy.log"
    copied.folder.mkdir()
    for name in ("identity.json", "node.key", "node.pem", "roots.pem"):
        (copied.folder / name).write_bytes((first.folder / name).read_bytes())
    copied.start()
    try:
        spaces.until(lambda: f"another agent holds node {first.node}" in copied.log)
        for _ in range(3):
            check_shorts(spaces, shorts(spaces))
        assert "takes steps" not in copied.log
        first.end()
        spaces.until(lambda: f"node {first.node} takes steps" in copied.log)
        check_shorts(spaces, shorts(spaces))
        first.start()
        spaces.until(lambda: f"another agent holds node {first.node}" in first.log)
    finally:
        copied.end()

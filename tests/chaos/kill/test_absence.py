"""The control plane is away: killed as a whole, while its node goes on. Nothing that ran is started again by its coming
back, both sides agree, and each thing that happened meanwhile is an event.
"""

from __future__ import annotations

import os
import secrets
import signal
from typing import Any

import pytest

from tests.fixtures.stack import Stack

pytestmark = pytest.mark.timeout(400)
PARTS = ("supervisor", "temporal", "api", "gateway", "control_worker")
COUNTS = "trap 'exit 0' TERM; n=0; while :; do n=$((n+1)); echo line $n; sleep 0.2; done"
AWAY_LINES = 20  # that are written while nobody takes them


class Absence:
    """Instances of one test, by short names."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.mark = secrets.token_hex(3)

    def id(self, name: str) -> str:
        return f"{name}-{self.mark}"

    def create(self, name: str, script: str = COUNTS, **fields: Any) -> None:
        container = {"image": self.stack.image, "command": ["sh", "-c", script]}
        self.stack.ask("POST", "/instances", {"id": self.id(name), "container": container} | fields)
        self.until(name, "ready")

    def show(self, name: str) -> dict[str, Any]:
        return dict(self.stack.get(f"/instances/{self.id(name)}").json())

    def until(self, name: str, state: str, **fields: Any) -> dict[str, Any]:
        def is_so() -> dict[str, Any] | None:
            found = self.show(name)
            wanted = {"state": state, "operation": None} | fields
            return found if all(found[key] == value for key, value in wanted.items()) else None

        return dict(self.stack.until(is_so))

    def container(self, name: str, revision: int = 1) -> Any:
        return self.stack.docker.containers.get(f"gk-i-{self.id(name)}-{revision}")

    def start_of(self, name: str) -> tuple[str, str]:
        found = self.container(name)
        return found.id, found.attrs["State"]["StartedAt"]

    def lines(self, name: str) -> list[str]:
        return self.stack.get(f"/instances/{self.id(name)}/logs").text.splitlines()

    def kinds(self, name: str) -> list[str]:
        items = self.stack.get(f"/events?instance={self.id(name)}&kind=instance&limit=200").json()["items"]
        return [item["kind"].removeprefix("instance.") for item in sorted(items, key=lambda item: item["seq"])]

    def is_up_again(self, name: str, before: tuple[str, str]) -> bool:
        """True when another start of it runs."""
        found = self.stack.docker.containers.list(ignore_removed=True, filters={"name": f"gk-i-{self.id(name)}-"})
        return bool(found) and (found[0].id, found[0].attrs["State"]["StartedAt"]) != before


def test_a_control_plane_that_was_away(stack: Stack) -> None:
    here = Absence(stack)
    for name in ("runs", "crashes", "removed", "stopped", "ordered"):
        here.create(name)
    here.create("loops", COUNTS, restart={"attempts": 0})
    runs, crashes, removed = (here.start_of(name) for name in ("runs", "crashes", "removed"))
    before = {name: len(here.kinds(name)) for name in ("runs", "crashes", "removed", "stopped", "loops")}
    agent, pids = stack.pid("agent"), [stack.pid(part) for part in PARTS]
    stack.ask("POST", f"/instances/{here.id('ordered')}/stop", {})
    for pid in pids:
        os.kill(pid, signal.SIGKILL)

    here.container("crashes").kill()
    here.container("loops").kill()
    here.container("removed").remove(force=True)
    here.container("stopped").stop(timeout=5)
    stack.until(lambda: here.is_up_again("crashes", crashes) and here.is_up_again("removed", removed))
    written = len(here.container("runs").logs().splitlines())
    stack.until(lambda: len(here.container("runs").logs().splitlines()) > written + AWAY_LINES)

    stack.up()
    assert stack.pid("agent") == agent
    here.until("crashes", "ready", crash_count=1)
    here.until("removed", "ready", crash_count=1, container_id=here.container("removed").id)
    here.until("stopped", "stopped", reason="clean_exit")
    here.until("loops", "crash_loop", crash_count=1)
    here.until("ordered", "stopped")
    here.until("runs", "ready", crash_count=0)
    assert here.start_of("runs") == runs
    told = {name: here.kinds(name)[count:] for name, count in before.items()}
    assert told == {
        "runs": [],
        "crashes": ["starting", "ready"],
        "removed": ["starting", "ready"],
        "stopped": ["stopped"],
        "loops": ["crash_loop"],
    }
    stack.until(lambda: len(here.lines("runs")) > written + AWAY_LINES)
    lines = here.lines("runs")
    assert lines == [f"line {number}" for number in range(1, len(lines) + 1)]
    for name in ("runs", "crashes", "removed", "stopped", "loops", "ordered"):
        stack.ask("DELETE", f"/instances/{here.id(name)}")

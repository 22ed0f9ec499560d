"""The long tests come first, so that no process ends late alone, and each process's idle time is told at the end.

xdist hands out work in the order of the collection (``--no-loadscope-reorder``), a group when its first test comes.
A test that isn't named here costs nothing but its place; the last lines of a run tell when this list has grown old.
"""

from __future__ import annotations

from collections import defaultdict

import pytest

LONG_FIRST = (
    "tests/chaos/network/",  # one group with the two below
    "tests/e2e/test_docs.py::test_tutorial_on_a_second_machine",
    "tests/e2e/test_second_machine.py",
    "tests/e2e/test_images.py",  # builds four images
    "tests/chaos/cpu/",
    "tests/chaos/disk/test_full_disk.py",
    "tests/chaos/loss/",
    "tests/chaos/clock/",
    "tests/chaos/kill/test_absence.py",
    "tests/e2e/test_gateway.py",  # one group with the one below
    "tests/e2e/test_stolen_temporal.py",
    "tests/e2e/test_join_line.py",
    "tests/e2e/test_host.py",
    "tests/e2e/test_ca.py",
    "tests/e2e/test_console.py",
    "tests/e2e/test_external_temporal.py",
    "tests/e2e/test_join_key.py",
    "tests/e2e/test_docs.py",
    "tests/chaos/",
    "tests/e2e/test_outliving.py",
    "tests/e2e/test_examples.py",
    "tests/clients/",
    "tests/api/web/test_looks.py",
    "tests/workflows/test_cancel_everywhere.py",
    "tests/workflows/test_random_flow.py",
    "tests/workflows/test_poison.py",
    "tests/agent_worker/docker_engine/",
    "tests/agent_worker/instance/",
    "tests/activities/",
)


class Idleness:
    """The busy times of each test process. A process that has nothing left to do while others work is idle."""

    def __init__(self) -> None:
        self._busy: dict[str, float] = defaultdict(float)
        self._began: dict[str, float] = {}
        self._ended: dict[str, float] = {}

    def note(self, process: str, start: float, stop: float) -> None:
        self._busy[process] += stop - start
        self._began.setdefault(process, start)
        self._ended[process] = stop

    def lines(self) -> list[str]:
        """One for each process, of a run with several."""
        if len(self._busy) < 2:
            return []
        first, last = min(self._began.values()), max(self._ended.values())
        return [
            f"{process}: idle {last - first - busy:.0f} s of {last - first:.0f}, "
            f"of that {last - self._ended[process]:.0f} s at the end"
            for process, busy in sorted(self._busy.items())
        ]


IDLENESS = Idleness()


def place(nodeid: str) -> int:
    """The place of a test among the long ones, or behind them."""
    return next((number for number, start in enumerate(LONG_FIRST) if nodeid.startswith(start)), len(LONG_FIRST))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: place(item.nodeid))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Known to the process that hands out the work alone, which has a node for each report."""
    if (node := getattr(report, "node", None)) is not None:
        IDLENESS.note(node.gateway.id, report.start, report.stop)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if lines := IDLENESS.lines():
        terminalreporter.section("idle test processes")
        for line in lines:
            terminalreporter.write_line(line)

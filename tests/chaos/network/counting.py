"""Steps that tell of every start and every lost line: one counts aloud until it is let go, others are over at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from tests.fixtures.spaces import Spaces

COUNTING = """
name: counting
steps:
  - name: count
    container:
      image: {image}
      commands:
        - n=0; while [ ! -e /tmp/end ]; do n=$((n + 1)); echo "line $n"; sleep 0.1; done
        - echo the end
        - exit 42
"""
SHORT = (
    "name: short\nsteps:\n  - {{name: a, container: {{image: '{image}', command: [sh, -c, 'echo done; exit 3']}}}}\n"
)


class Counting:
    """A step that counts aloud on each of some nodes, until ``end``."""

    def __init__(self, spaces: Spaces, nodes: Sequence[str]) -> None:
        self._spaces = spaces
        self.runs = {node: spaces.submit_to(COUNTING.format(image=spaces.image), node) for node in nodes}
        self.go_on()
        self._containers: dict[str, Any] = {run: spaces.containers(run)[0] for run in self.runs.values()}

    def go_on(self) -> None:
        """Returns when each has told of more lines than there are now."""
        before = {run: len(self._lines(run)) for run in self.runs.values()}
        for run, lines in before.items():
            self._spaces.until(partial(self._has_more, run, lines + 2))

    def _has_more(self, run: str, lines: int) -> bool:
        return len(self._lines(run)) > lines

    def _lines(self, run: str) -> list[str]:
        return [line for line in self._spaces.log(run, "count").splitlines() if line.startswith("line ")]

    def check_running(self) -> None:
        """Each runs since its first start."""
        for container in self._containers.values():
            before = container.attrs["State"]
            container.reload()
            assert (container.status, container.attrs["State"]["StartedAt"]) == ("running", before["StartedAt"])

    def end(self) -> None:
        """Lets each end, and looks what became of it."""
        self.check_running()
        for container in self._containers.values():
            container.exec_run(["touch", "/tmp/end"])
        for run, container in self._containers.items():
            step = self._spaces.until_ended(run)["steps"][0]
            assert (step["exit_code"], step["try"], step["container"]) == (42, 1, container.id), step
            self._spaces.until(partial(has_ended, self._spaces, run, "count", "the end\n"))
            lines = self._lines(run)
            assert lines == [f"line {number}" for number in range(1, len(lines) + 1)]


def has_ended(spaces: Spaces, run: str, step: str, line: str) -> bool:
    return f"\n{line}" in "\n" + spaces.log(run, step)


def shorts(spaces: Spaces) -> dict[str, str]:
    return {spaces.submit_to(SHORT.format(image=spaces.image), node): node for node in spaces.nodes}


def check_shorts(spaces: Spaces, runs: dict[str, str]) -> None:
    """Each ran once, where it was to, and its log is whole."""
    for run, node in runs.items():
        step = spaces.until_ended(run)["steps"][0]
        assert (step["exit_code"], step["try"], step["node"]) == (3, 1, node), step
        spaces.until(partial(has_ended, spaces, run, "a", "done\n"))
        assert spaces.log(run, "a") == "done\n"

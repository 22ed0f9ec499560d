"""kill -9 of each process in the middle of a step: the container is never touched, the step ends once, with its true
exit code and its whole log.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.stack import Stack

PARTS = ("agent", "control_worker", "api", "temporal")


def pipeline(image: str) -> str:
    """A step that counts aloud until ``let_end``, and ends with an exit code that nothing else has."""
    return f"""
name: counting
steps:
  - name: count
    container:
      image: {image}
      commands:
        - n=0; while [ ! -e /tmp/end ]; do n=$((n + 1)); echo "line $n"; sleep 0.2; done
        - echo the end
        - exit 42
"""


def begin(stack: Stack) -> tuple[str, Any]:
    """The run and its container, once it counts."""
    run_id = stack.submit(pipeline(stack.image))
    stack.until(lambda: "line 3" in stack.log(run_id, "count"))
    return run_id, stack.containers(run_id)[0]


def let_end(stack: Stack, run_id: str, container: Any) -> None:
    """Lets it end after its log went on, and checks that it ended once and as itself, and that no line is missing."""
    lines = stack.log(run_id, "count").count("line ")
    stack.until(lambda: stack.log(run_id, "count").count("line ") > lines + 3)
    container.exec_run(["touch", "/tmp/end"])
    ended = stack.until_ended(run_id)
    step = ended["steps"][0]
    assert (ended["state"], step["state"], step["reason"]) == ("failed", "failed", "exit_code")
    assert (step["exit_code"], step["try"], step["container"]) == (42, 1, container.id)
    log = stack.until(lambda: "the end" in (lines := stack.log(run_id, "count").splitlines()) and lines)
    counted = [line for line in log if line.startswith("line ")]
    assert counted == [f"line {number}" for number in range(1, len(counted) + 1)]


@pytest.mark.parametrize("part", PARTS)
def test_kill_in_the_middle_of_a_step(stack: Stack, part: str) -> None:
    run_id, before = begin(stack)
    began = before.attrs["State"]["StartedAt"]
    others = {name: stack.pid(name) for name in PARTS if name != part}
    killed = stack.kill(part)
    stack.until(partial(is_back, stack, part, killed))
    let_end(stack, run_id, before)
    assert {name: stack.pid(name) for name in others} == others, "something else died with it"
    assert "the end" in stack.command("runs", "logs", run_id, "count", "-f").stdout
    for container in stack.containers(run_id):
        container.reload()
        assert (container.id, container.attrs["State"]["StartedAt"]) == (before.id, began)
        assert container.attrs["RestartCount"] == 0
    stack.until(lambda: stack.containers(run_id) == [])


def test_the_supervisor_dies_and_up_adopts_what_is_left(stack: Stack) -> None:
    before = stack.status()
    run_id, container = begin(stack)
    stack.kill("supervisor")
    stack.until(lambda: stack.status()["supervisor"]["health"] == "down")
    stack.up()
    after = stack.status()
    for part in ("temporal", "api", "control_worker"):
        assert after[part]["pid"] == before[part]["pid"]
    assert after["agents"][0]["pid"] == before["agents"][0]["pid"]
    assert after["supervisor"]["pid"] != before["supervisor"]["pid"]
    let_end(stack, run_id, container)


def test_down_and_up_leave_containers_running_and_forget_nothing(stack: Stack) -> None:
    run_id, container = begin(stack)
    stack.command("down")
    assert stack.status()["api"]["health"] == "down"
    container.reload()
    assert container.status == "running"
    refused = stack.command("runs", "ls", check=False)
    assert refused.returncode == 3
    assert "does not answer" in refused.stderr
    stack.up()
    let_end(stack, run_id, container)


INNER = """
name: inner-of-kill
concurrency: {{group: kill}}
steps:
  - name: work
    container: {{image: "{image}", commands: [sleep 3, echo done]}}
"""
OUTER = """
name: outer-of-kill
steps:
  - {name: both, type: pipeline, matrix: {n: [1, 2]}, pipeline: {name: inner-of-kill}}
"""


def is_back(stack: Stack, part: str, killed: int) -> bool:
    found = stack.status()
    pid = (found["agents"][0] if part == "agent" else found[part])["pid"]
    return pid not in (None, killed) and found["api"]["health"] == "ok"


def test_kills_while_runs_of_runs_wait_for_one_another(stack: Stack, tmp_path: Path) -> None:
    """Four runs of a group of one, called by two others, while each process dies: all end well, one after another."""
    (tmp_path / "inner.yaml").write_text(INNER.format(image=stack.image))
    stack.command("pipeline", "push", str(tmp_path / "inner.yaml"))
    outer = [stack.submit(OUTER) for _ in range(2)]
    stack.until(lambda: len(stack.json("runs", "ls", "--group", "kill", "--state", "running")) == 1)
    for part in ("control_worker", "api", "temporal", "agent"):
        killed = stack.kill(part)
        stack.until(partial(is_back, stack, part, killed))
    for run_id in outer:
        assert stack.until_ended(run_id)["state"] == "succeeded"
    inner = [stack.json("runs", "show", item["id"]) for item in stack.json("runs", "ls", "--group", "kill")]
    assert [run["state"] for run in inner] == ["succeeded"] * 4
    assert {run["parent_run"] for run in inner} == set(outer)
    assert [run["steps"][0]["try"] for run in inner] == [1] * 4
    spans = sorted((run["started_at"], run["finished_at"]) for run in inner)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))

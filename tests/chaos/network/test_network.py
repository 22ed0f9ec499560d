"""The way between the machines is cut, loses packets and forgets connections; processes at both of its ends are killed.
Each step has one outcome, each container runs once, and each line of its log is there once.
"""

from __future__ import annotations

import signal
import subprocess
from collections import Counter
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest

from gamekeeper.stack.layout import StateDir
from tests.chaos.network.counting import Counting, check_shorts, has_ended, shorts
from tests.fixtures.spaces import Machine, Spaces, host

pytestmark = [pytest.mark.xdist_group("spaces"), pytest.mark.timeout(600)]

LOSS = 0.08  # of the packets, each way
CELLS, KILLS = 24, 4
SERVER_PARTS = ("api", "gateway", "control_worker", "temporal")

LOAD = """
  - name: on-{node}
    node: {node}
    matrix: {{number: [1, 2, 3, 4, 5, 6, 7, 8]}}
    container: {{image: {image}, command: [sh, -c, 'echo begun; sleep 0.5; echo over']}}
"""


def test_a_cut_that_is_longer_than_a_lease(spaces: Spaces) -> None:
    """One cable is unplugged, the other swallows every packet: a run that is given meanwhile waits for its node."""
    nodes = [machine.node for machine in spaces.machines]
    counting = Counting(spaces, nodes)
    with spaces.network.unplugged("open"), spaces.network.dropping("hidden"):
        for node in nodes:
            spaces.until_status(node, "offline")
        waiting = shorts(spaces)
    spaces.until_well()
    counting.go_on()
    check_shorts(spaces, waiting)
    counting.end()


def test_a_way_that_loses_packets(spaces: Spaces) -> None:
    """Nobody is called offline for it."""
    nodes = [machine.node for machine in spaces.machines]
    counting = Counting(spaces, nodes)
    before = len(offline(spaces))
    with ExitStack() as stack:
        for machine in spaces.machines:
            stack.enter_context(spaces.network.dropping(machine.place, LOSS))
        for _ in range(3):
            check_shorts(spaces, shorts(spaces))
            counting.go_on()
    counting.end()
    assert len(offline(spaces)) == before


def offline(spaces: Spaces) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = spaces.get("/events?kind=node.offline&limit=500").json()["items"]
    return found


def test_a_router_that_forgets_its_connections(spaces: Spaces) -> None:
    """Its provider gives it another address. The node behind it comes back by itself, and what runs there is told."""
    counting = Counting(spaces, [spaces.hidden.node])
    pid, before = spaces.hidden.pid, sessions(spaces)
    spaces.network.new_address_of_the_router()
    spaces.until(lambda: sessions(spaces) > before)
    counting.go_on()
    check_shorts(spaces, shorts(spaces))
    counting.end()
    assert spaces.hidden.pid == pid


def sessions(spaces: Spaces) -> int:
    return len(spaces.get(f"/events?kind=node.session_opened&node={spaces.hidden.node}&limit=500").json()["items"])


def test_kill_of_each_process(spaces: Spaces) -> None:
    counting = Counting(spaces, spaces.nodes)
    for part in SERVER_PARTS:
        killed = spaces.kill(part)
        spaces.until(partial(is_back, spaces, part, killed))
        counting.go_on()
        given = shorts(spaces)
        check_shorts(spaces, given)
    for machine in spaces.machines:
        kill_and_start(machine)
    spaces.until_well()
    counting.go_on()
    check_shorts(spaces, shorts(spaces))
    counting.end()


def is_back(spaces: Spaces, part: str, killed: int) -> bool:
    found = spaces.status()
    return found[part]["pid"] not in (None, killed) and found["api"]["health"] == "ok"


def kill_and_start(machine: Machine) -> None:
    """The second start needs no token: the identity stands in the state folder."""
    machine.end(signal.SIGKILL)
    machine.start()


def test_a_gateway_that_is_killed_again_and_again_under_load(spaces: Spaces) -> None:
    """Steps begin and end on three machines all the while. Each ends once, in its first try, and none starts twice."""
    steps = "".join(LOAD.format(image=spaces.image, node=node) for node in spaces.nodes)
    run = spaces.submit(f"name: load\nsteps:{steps}")
    ended = 0
    while ended < CELLS:
        killed = spaces.kill("gateway")
        spaces.until(partial(is_back, spaces, "gateway", killed))
        spaces.until(partial(have_ended, spaces, run, min(CELLS, ended + CELLS // KILLS)))
        ended = len(ended_cells(spaces, run))
    assert spaces.until_ended(run)["state"] == "succeeded"
    found = ended_cells(spaces, run)
    assert {(cell["state"], cell["exit_code"], cell["try"]) for cell in found} == {("succeeded", 0, 1)}
    assert Counter(cell["node"] for cell in found) == Counter(dict.fromkeys(spaces.nodes, CELLS // 3))
    for cell in found:
        spaces.until(partial(has_ended, spaces, run, cell["name"], "over\n"))
        assert spaces.log(run, cell["name"]) == "begun\nover\n"
    created = spaces.get(f"/events?run={run}&kind=step.succeeded&limit=200").json()["items"]
    assert len({event["step"] for event in created}) == len(created) == CELLS + 3  # and each matrix itself


def ended_cells(spaces: Spaces, run: str) -> list[dict[str, Any]]:
    cells = [step for step in spaces.run(run)["steps"] if "." in step["name"]]
    return [cell for cell in cells if cell["state"] in ("succeeded", "failed", "error", "canceled")]


def have_ended(spaces: Spaces, run: str, count: int) -> bool:
    return len(ended_cells(spaces, run)) >= count


def test_a_gateway_that_moves_to_another_port(spaces: Spaces) -> None:
    """Its port is taken when the stack starts again: agents hear of the new one."""
    counting = Counting(spaces, spaces.nodes)
    spaces.command("down")
    command = spaces.network.inside("server", "python3", "-m", "http.server", "7382", "--bind", host(1))
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as holder:
        spaces.until(lambda: "7382" in spaces.network.do("server", "ss", "-Hltn"))
        refused = spaces.command(*spaces.up_words(), check=False)
        assert f"port 7382 on {host(1)} (the Temporal gateway) is taken by" in refused.stderr.replace("\n", " ")
        spaces.up("--new-ports")
        assert not spaces.status()["gateway"]["address"].endswith(":7382")
        counting.go_on()
        check_shorts(spaces, shorts(spaces))
        holder.terminate()
    spaces.command("down")
    state = StateDir(spaces.state_dir)
    record = state.load()
    assert record.ports is not None
    record.ports.gateway = 7382
    state.save(record)
    spaces.up()
    check_shorts(spaces, shorts(spaces))
    counting.end()

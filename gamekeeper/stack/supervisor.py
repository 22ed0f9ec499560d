"""Keeps the stack's processes running: starts, adopts, restarts with backoff, and ends them in reverse order."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType

from gamekeeper.backoff import Backoff
from gamekeeper.disk import disk_room
from gamekeeper.errors import ConflictError, GamekeeperError, InvalidError, UnavailableError
from gamekeeper.logging import get_logger
from gamekeeper.stack import enrol, plan
from gamekeeper.stack.hosts import bind_address
from gamekeeper.stack.in_background import InBackground
from gamekeeper.stack.layout import StackRecord, StateDir
from gamekeeper.stack.outside import wait_for_port
from gamekeeper.stack.ports import choose_ports
from gamekeeper.stack.process import OWN_FILES, LockedFile, ManagedProcess, ProcessSpec
from gamekeeper.stack.replacements import Replacements
from gamekeeper.stack.troubles import Troubles

log = get_logger(__name__)

READY_SECONDS = 60.0
NODE_SECONDS = 30.0
LOOK_SECONDS = 0.5
ASK_SECONDS = 0.1
STEADY_SECONDS = 60.0
FIRST_DELAY_SECONDS = 0.5
OUTSIDE_SECONDS = 10.0  # a machine that starts may start Temporal, too
SUPERVISOR = "supervisor"


class Supervisor:
    """``run`` holds the stack until SIGTERM; ``on_ready`` is called once when all of it serves.

    Only SIGTERM and a start that failed end what this supervisor started. Whatever else ends the supervisor leaves its
    processes alive, for the next one to adopt.
    """

    def __init__(self, state: StateDir, record: StackRecord) -> None:
        self._state = state
        self._record = record
        self._processes: list[ManagedProcess] = []
        self._backoffs: dict[str, Backoff] = {}
        self._due: dict[str, float] = {}
        self._epoch_before = 0  # of this machine's node, when its agent was started
        self._started: dict[str, float] = {}
        self._stop = threading.Event()
        self._troubles = Troubles()
        self._is_saved = False
        self._enrolment = InBackground(self._enrol)
        self._replacements = Replacements(state, record)

    def run(self, on_ready: Callable[[StackRecord], None]) -> None:
        """Raises ConflictError when another supervisor holds this state directory."""
        os.umask(OWN_FILES)
        self._state.prepare()
        lock = LockedFile(self._state.run_dir / "supervisor.lock").try_lock()
        if lock is None:
            raise ConflictError(f"the stack in {self._state.root} is supervised already")
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked_to_stop)
        try:
            self._bring_up()
        except _StopAskedError:
            log.info("asked to stop while starting")
        except BaseException:
            self._bring_down([process for process in self._processes if not process.is_adopted])
            raise
        else:
            self._save(ready=True)
            self._troubles.attempt("telling that all is ready", lambda: on_ready(self._record))
            while not self._stop.wait(LOOK_SECONDS):
                self._troubles.attempt("look at the processes", self._look)
                self._troubles.attempt("this machine's node", self._join)
                self._look_at_node()
                self._troubles.attempt("telling of a replaced process", self._replacements.tell)
        self._bring_down(self._processes)

    def _asked_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stop.set()

    def _bring_up(self) -> None:
        self._record.trouble = ""
        key = self._state.ensure_admin_key()
        self._state.ensure_ca_passphrase()
        address = bind_address(self._record.host)
        unused = frozenset({"temporal", "temporal_ui"} if self._record.temporal else ())
        ports = choose_ports(address, self._record.ports, self._ports_of_living(), unused)
        if (ports, address) != (self._record.ports, self._record.address):
            self._record.ports, self._record.address = ports, address
            self._state.save(self._record)  # a start that can't keep its ports would not be found again
        self._save(ready=False)
        if self._record.temporal and not self._is_anything_alive():
            wait_for_port("Temporal", self._record.temporal, OUTSIDE_SECONDS)
        for spec in plan.control_plane(self._state, self._record):
            self._add(spec)
        self._wait(lambda: enrol.wait_ready(self._state, self._record, 1.0))
        self._record.has_new_key = self._state.admin_key() != key
        if self._record.node is not None:
            self._wait_for_node(self._record.node)

    def _wait_for_node(self, node: str) -> None:
        """Waits for this machine's own node. The control plane, which others use too, goes on without it."""
        try:
            self._wait(self._has_joined, NODE_SECONDS, patient=False)
            self._wait(self._is_there_anew, NODE_SECONDS, patient=False)
        except GamekeeperError as error:
            self._record.trouble = f"node {node} is not online yet: {error}"
            log.warning("%s", self._record.trouble)

    def _join(self) -> None:
        """Enrols this machine's node where it has to be, and adds its agent."""
        node = self._record.node
        if node is None or any(process.spec.name == plan.agent_name(node) for process in self._processes):
            return
        if self._enrolment.is_done():
            before = enrol.online_epoch(self._state, self._record, node)
            self._add(plan.agent(self._state, self._record, node))
            self._epoch_before = 0 if self._processes[-1].is_adopted else before

    def _is_there_anew(self) -> None:
        """Raises UnavailableError while this machine's node is not online by the agent that was started."""
        assert self._record.node is not None
        enrol.wait_online(self._state, self._record, self._record.node, self._epoch_before, 1.0)

    def _enrol(self) -> None:
        assert self._record.node is not None
        enrol.ensure_node(self._state, self._record, self._record.node)

    def _has_joined(self) -> None:
        """Raises UnavailableError while this machine's agent is not started yet."""
        self._join()
        node = self._record.node
        if node is not None and not any(process.spec.name == plan.agent_name(node) for process in self._processes):
            raise UnavailableError("the api does not answer to its enrolment")

    def _is_anything_alive(self) -> bool:
        return any(LockedFile(path).is_held() for path in self._state.run_dir.glob("*.lock") if path.stem != SUPERVISOR)

    def _look_at_node(self) -> None:
        """Tells when the node that the start went on without is there: nobody must hear of an old trouble."""
        node = self._record.node
        if node is not None and self._record.trouble and enrol.online_epoch(self._state, self._record, node):
            log.info("node %s is online", node)
            self._record.trouble = ""
            self._save(ready=self._record.ready)

    def _ports_of_living(self) -> set[str]:
        """Ports that our own processes hold, which are therefore not taken by somebody else."""
        owners = {"rest": "api", "grpc": "api", "gateway": "gateway", "temporal": "temporal", "temporal_ui": "temporal"}
        locks = {name: LockedFile(self._state.run_dir / f"{owner}.lock") for name, owner in owners.items()}
        return {name for name, lock in locks.items() if lock.is_held()}

    def _add(self, spec: ProcessSpec) -> None:
        process = ManagedProcess(spec, self._state.run_dir, self._state.process_logs)
        self._processes.append(process)
        self._start(process)

    def _wait(self, ready: Callable[[], None], seconds: float = READY_SECONDS, *, patient: bool = True) -> None:
        """Waits until ``ready`` no longer raises, and restarts what dies meanwhile.

        Raises UnavailableError when it takes too long, and InvalidError when a process can't be started as it is
        configured, in its own words. Where processes of an earlier supervisor were found alive, a
        patient one waits on instead: giving up would end what runs.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                ready()
                return
            except GamekeeperError as error:
                if self._stop.is_set():
                    raise _StopAskedError from error
                waits_on = patient and any(process.is_adopted for process in self._processes)
                if not waits_on and (wrong := next((item for item in self._processes if item.is_misconfigured), None)):
                    raise InvalidError(wrong.last_error() or f"{wrong.spec.name} ends at once") from error
                if time.monotonic() > deadline and not waits_on:
                    raise UnavailableError(f"{error}\n{self._tails()}") from error
            self._stop.wait(ASK_SECONDS)
            self._look()

    def _tails(self) -> str:
        folder = self._state.process_logs
        return "\n".join(f"--- {folder}/{process.spec.name}.log\n{process.log_tail()}" for process in self._processes)

    def _look(self) -> None:
        for process in self._processes:
            name = process.spec.name
            if process.is_alive():
                self._look_at_liveness(process)
                if time.monotonic() - self._started[name] > STEADY_SECONDS:
                    self._backoffs.pop(name, None)
            elif name not in self._due:
                delay = self._backoffs.setdefault(name, Backoff(initial=FIRST_DELAY_SECONDS, maximum=30)).next_delay()
                log.warning("%s is not running: starting it in %.1f s\n%s", name, delay, process.log_tail())
                self._due[name] = time.monotonic() + delay
            elif time.monotonic() >= self._due[name]:
                del self._due[name]
                self._start(process)
        if not self._is_saved:
            self._save(ready=self._record.ready)
        self._look_at_disk()

    def _look_at_liveness(self, process: ManagedProcess) -> None:
        """Ends a frozen process: the next look sees that it is not there, and starts another."""
        if silent_seconds := process.look_at_liveness():
            name = process.spec.name
            log.error("%s (pid %s) did not answer for %.0f s: replacing it", name, process.pid, silent_seconds)
            self._replacements.note(name, silent_seconds)
            self._troubles.attempt(f"end of {name}", process.kill)

    def _start(self, process: ManagedProcess) -> None:
        """Starts or adopts it. One that can't be started now counts as one that died: it has its next turn."""
        name = process.spec.name
        self._started[name] = time.monotonic()
        self._troubles.attempt(f"start of {name}", process.ensure)
        self._save(ready=self._record.ready)

    def _look_at_disk(self) -> None:
        """Tells once of a disk that got full. When there is room again, processes that wait for a start start now."""
        name = "room on disk"
        room = disk_room(self._state.root)
        if room.is_full:
            self._troubles.begin(name, str(room))
        elif self._troubles.end(name):
            self._due = dict.fromkeys(self._due, 0.0)

    def _save(self, *, ready: bool) -> None:
        self._record.ready = ready
        self._record.pids = {process.spec.name: process.pid or 0 for process in self._processes}
        self._is_saved = self._troubles.attempt("record of the stack", lambda: self._state.save(self._record))

    def _bring_down(self, processes: Sequence[ManagedProcess]) -> None:
        """Agents first, so that they hand their steps back; Temporal last. Containers are not touched."""
        for process in reversed(processes):
            self._troubles.attempt(f"end of {process.spec.name}", process.stop)
        self._processes = []
        self._save(ready=False)


class _StopAskedError(Exception):
    pass


def stop_leftovers(state: StateDir) -> list[str]:
    """Ends processes that live on after their supervisor died; their names."""
    stopped = []
    order = sorted(state.run_dir.glob("*.lock"), key=lambda path: _stop_order(path.stem))
    for path in order:
        if path.stem != SUPERVISOR and LockedFile(path).is_held():
            ManagedProcess(ProcessSpec(path.stem, []), state.run_dir, state.process_logs).stop()
            stopped.append(path.stem)
    return stopped


def _stop_order(name: str) -> int:
    order = ["control_worker", "gateway", "api", "temporal"]
    return order.index(name) + 1 if name in order else 0

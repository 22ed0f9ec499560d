"""Keeps the stack's processes running: starts, adopts, restarts with backoff, and ends them in reverse order."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from gamekeeper.backoff import Backoff
from gamekeeper.errors import ConflictError, GamekeeperError, UnavailableError
from gamekeeper.logging import get_logger
from gamekeeper.stack import enrol, plan
from gamekeeper.stack.layout import StackRecord, StateDir
from gamekeeper.stack.ports import choose_ports
from gamekeeper.stack.process import LockedFile, ManagedProcess, ProcessSpec

log = get_logger(__name__)

READY_SECONDS = 60.0
LOOK_SECONDS = 0.5
STEADY_SECONDS = 60.0


class Supervisor:
    """``run`` holds the stack until SIGTERM; ``on_ready`` is called once when all of it serves."""

    def __init__(self, state: StateDir, record: StackRecord) -> None:
        self._state = state
        self._record = record
        self._processes: list[ManagedProcess] = []
        self._backoffs: dict[str, Backoff] = {}
        self._due: dict[str, float] = {}
        self._started: dict[str, float] = {}
        self._stop = threading.Event()

    def run(self, on_ready: Callable[[StackRecord], None]) -> None:
        """Raises ConflictError when another supervisor holds this state directory."""
        self._state.prepare()
        lock = LockedFile(self._state.run_dir / "supervisor.lock").try_lock()
        if lock is None:
            raise ConflictError(f"the stack in {self._state.root} is supervised already")
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked_to_stop)
        try:
            self._bring_up()
            self._save(ready=True)
            on_ready(self._record)
            while not self._stop.wait(LOOK_SECONDS):
                self._look()
        except _StopAskedError:
            log.info("asked to stop while starting")
        finally:
            self._bring_down()

    def _asked_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stop.set()

    def _bring_up(self) -> None:
        self._state.ensure_admin_key()
        self._record.ports = choose_ports(self._record.host, self._record.ports, self._ports_of_living())
        self._save(ready=False)
        for spec in plan.control_plane(self._state, self._record):
            self._add(spec)
        self._wait(lambda: enrol.wait_ready(self._record, 1.0))
        if self._record.node is not None:
            enrol.ensure_node(self._state, self._record, self._record.node)
            self._add(plan.agent(self._state, self._record, self._record.node))
            node = self._record.node
            self._wait(lambda: enrol.wait_online(self._state, self._record, node, 1.0))

    def _ports_of_living(self) -> set[str]:
        """Ports that our own processes hold, which are therefore not taken by somebody else."""
        owners = {"rest": "api", "grpc": "api", "temporal": "temporal", "temporal_ui": "temporal"}
        locks = {name: LockedFile(self._state.run_dir / f"{owner}.lock") for name, owner in owners.items()}
        return {name for name, lock in locks.items() if lock.is_held()}

    def _add(self, spec: ProcessSpec) -> None:
        process = ManagedProcess(spec, self._state.run_dir, self._state.process_logs)
        process.ensure()
        self._processes.append(process)
        self._started[spec.name] = time.monotonic()
        self._save(ready=False)

    def _wait(self, ready: Callable[[], None]) -> None:
        """Until ``ready`` no longer raises, restarting what dies meanwhile."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                ready()
                return
            except GamekeeperError as error:
                if self._stop.is_set():
                    raise _StopAskedError from error
                if time.monotonic() > deadline:
                    raise UnavailableError(f"{error}\n{self._tails()}") from error
            self._look()

    def _tails(self) -> str:
        folder = self._state.process_logs
        return "\n".join(f"--- {folder}/{process.spec.name}.log\n{process.log_tail()}" for process in self._processes)

    def _look(self) -> None:
        for process in self._processes:
            name = process.spec.name
            if process.is_alive():
                if time.monotonic() - self._started[name] > STEADY_SECONDS:
                    self._backoffs.pop(name, None)
            elif name not in self._due:
                delay = self._backoffs.setdefault(name, Backoff(initial=0.5, maximum=30)).next_delay()
                log.warning("%s died: starting it again in %.1f s\n%s", name, delay, process.log_tail())
                self._due[name] = time.monotonic() + delay
            elif time.monotonic() >= self._due[name]:
                del self._due[name]
                process.ensure()
                self._started[name] = time.monotonic()
                self._save(ready=self._record.ready)

    def _save(self, *, ready: bool) -> None:
        self._record.ready = ready
        self._record.pids = {process.spec.name: process.pid or 0 for process in self._processes}
        self._state.save(self._record)

    def _bring_down(self) -> None:
        """Agents first, so that they hand their steps back; Temporal last. Containers are not touched."""
        for process in reversed(self._processes):
            process.stop()
        with suppress(OSError):
            self._record.pids = {}
            self._save(ready=False)


class _StopAskedError(Exception):
    pass


def stop_leftovers(state: StateDir) -> list[str]:
    """Ends processes that live on after their supervisor died; their names."""
    stopped = []
    order = sorted(state.run_dir.glob("*.lock"), key=lambda path: _stop_order(path.stem))
    for path in order:
        if path.stem != "supervisor" and LockedFile(path).is_held():
            ManagedProcess(ProcessSpec(path.stem, []), state.run_dir, state.process_logs).stop()
            stopped.append(path.stem)
    return stopped


def _stop_order(name: str) -> int:
    order = ["control_worker", "api", "temporal"]
    return order.index(name) + 1 if name in order else 0

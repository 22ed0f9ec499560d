"""Hears of containers' clean ends from the engine's events, before their networks are torn down.

The engine answers a wait, and any question about the container, only when the teardown is over: about 50 ms after
the process ended. Its ``die`` event comes before. It serves for a plain success alone: what failed, has a memory limit
(the kernel's word that a process was killed may come a moment later) or publishes a port (which is free only after the
teardown) is told by the engine's state, as is everything while the event stream is away.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from docker.api.client import APIClient

from agent_worker.docker_engine.engine_start import EngineStart
from agent_worker.docker_engine.errors import translated
from agent_worker.docker_engine.new_connection import answers_anew
from agent_worker.docker_engine.owner_labels import LIMITED
from gamekeeper.backoff import Backoff
from gamekeeper.errors import UnavailableError
from gamekeeper.logging import get_logger

log = get_logger(__name__)

_KEPT = 2000
_KEPT_OUTAGES = 20
POLL_SECONDS = 0.1
PATIENCE_SECONDS = 30.0  # of an engine that takes connections and does not answer
SLACK = timedelta(seconds=1)
RESTORE = timedelta(seconds=30)  # an engine that was killed tells the ends of its containers as it comes back


@dataclass(frozen=True)
class CleanExit:
    """A process that ended with 0, between the times of its events."""

    started_at: datetime
    finished_at: datetime


class ExitWatch:
    """A thread of its own reads the events of containers with ``label``; ``exits`` holds the newest clean ends."""

    def __init__(self, connect: Callable[[], APIClient], address: str, label: str) -> None:
        self._connect = connect
        self._socket = address
        self._engine_start = EngineStart(connect, address)
        self._filters = {
            "type": "container",
            "event": ["start", "oom", "die", "health_status", "destroy"],
            "label": label,
        }
        self._started: dict[str, datetime] = {}
        self._newest_starts: dict[str, int] = {}
        self._destroyed: dict[str, bool] = {}
        self._streams = 0
        self._exits: dict[str, CleanExit] = {}
        self._oom_events: dict[str, int] = {}
        self._oom: dict[str, bool] = {}
        self._exit_codes: dict[str, int] = {}
        self._told: Callable[[], None] | None = None
        self._told_name: Callable[[str], None] | None = None
        self._waiters: dict[str, set[asyncio.Future[CleanExit]]] = {}
        self._away: list[tuple[datetime, datetime]] = []
        self._lost: datetime | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stream: Any = None
        self._after = 0
        self._closed = threading.Event()

    def ensure_started(self) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._after = time.time_ns()
            threading.Thread(target=self._read_forever, daemon=True, name="docker-events").start()

    def on_change(self, told: Callable[[], None]) -> None:
        self._told = told
        self.ensure_started()

    def on_event(self, told: Callable[[str], None]) -> None:
        self._told_name = told
        self.ensure_started()

    def ended_with_engine(self, started_at: datetime | None, finished_at: datetime | None) -> bool:
        """True when the end came while the engine was away, or before its newest start. Blocks for questions. Raises
        UnavailableError."""
        if started_at is None or finished_at is None:
            return False
        lost = self._lost
        if lost is None:
            answer = self._answer()
            self._lost = finished_at if answer is False else self._lost  # until its events are there again
            lost = None if answer else finished_at
        ongoing = [(lost, datetime.now(UTC))] if lost is not None else []
        if any(begin - SLACK <= finished_at <= back + SLACK for begin, back in [*self._away, *ongoing]):
            return True
        began = self._engine_start.under(self._streams)
        return began is not None and started_at < began and finished_at < began + RESTORE

    def _answer(self) -> bool | None:
        """True when the engine answers anew, None where its events ended meanwhile, or it never does.

        A busy engine takes its time, and one that goes down behind systemd's socket answers nobody until the next one
        is up."""
        streams, until = self._streams, time.monotonic() + PATIENCE_SECONDS
        while (answer := answers_anew(self._socket)) is None and time.monotonic() < until:
            if self._lost is not None or self._streams != streams or self._closed.wait(POLL_SECONDS):
                return None
        return answer if self._lost is None and self._streams == streams else None

    def last_exit_code(self, container_id: str) -> int | None:
        """The exit code of the container's newest end; None when the engine told of none since the agent started."""
        return self._exit_codes.get(container_id)

    def close(self) -> None:
        self._closed.set()
        if self._stream is not None:
            with suppress(OSError, AttributeError):
                self._stream.close()

    def forget(self, container_id: str) -> None:
        self._exits.pop(container_id, None)

    def oom_events(self, container_id: str) -> int:
        """Counts the engine's out-of-memory events of a container since the agent started: cgroup v1 sends many."""
        return self._oom_events.get(container_id, 0)

    def was_oom(self, container_id: str) -> bool:
        """True when a process of the container's last start was killed for memory. The engine's state says so too, but
        not when the kernel's word came after the process's end: which is first is chance."""
        return self._oom.get(container_id, False)

    def newest_start(self, container_id: str) -> tuple[int, int]:
        """The number of the event stream, and the time of the newest start that it told of."""
        return self._streams, self._newest_starts.get(container_id, 0)

    def was_started_since(self, container_id: str, mark: tuple[int, int]) -> bool | None:
        """None as long as the container's removal is not heard of. A stream that was begun anew may lack events."""
        stream, newest = self.newest_start(container_id)
        if stream != mark[0] or newest not in (0, mark[1]):  # 0: that long ago that it is forgotten
            return True
        return False if container_id in self._destroyed else None

    def expect(self, container_id: str) -> asyncio.Future[CleanExit]:
        """Returns a future that is done when the container has ended well, and never when it does not.

        Whoever stops waiting cancels it.
        """
        waiter: asyncio.Future[CleanExit] = asyncio.get_running_loop().create_future()
        if container_id in self._exits:
            waiter.set_result(self._exits[container_id])
        else:
            self._waiters.setdefault(container_id, set()).add(waiter)
            waiter.add_done_callback(lambda done: self._leave(container_id, done))
        return waiter

    def _leave(self, container_id: str, waiter: asyncio.Future[CleanExit]) -> None:
        waiters = self._waiters.get(container_id, set())
        waiters.discard(waiter)
        if not waiters:
            self._waiters.pop(container_id, None)

    def _read_forever(self) -> None:
        backoff = Backoff(initial=0.2, maximum=10)
        while not self._closed.is_set():
            try:
                self._read(backoff)
            except UnavailableError:
                pass
            except Exception as error:  # a thread that ended would hear of no crash any more
                if not self._closed.is_set():
                    log.warning("the events of the engine are asked for anew", exc_info=error)
            self._lost = self._lost or datetime.now(UTC)
            self._closed.wait(backoff.next_delay())

    def _read(self, backoff: Backoff) -> None:
        """Reads events until they end. Raises UnavailableError."""
        with translated(self._socket), closing(self._connect()) as api:
            api.timeout = None  # type: ignore[assignment]  # an idle node has no events
            # The engine keeps some events: what came before the stream was there, or while it broke, is told first.
            since: Any = _as_since(self._after)  # the SDK hands it on; its types know whole seconds alone
            self._stream = api.events(since=since, decode=True, filters=self._filters)
            if self._lost is not None:
                self._away = [*self._away, (self._lost, datetime.now(UTC))][-_KEPT_OUTAGES:]
                self._lost = None
            self._in_loop(self._note_stream)
            for event in self._stream:
                backoff.reset()
                self._after = event.get("timeNano", self._after) + 1
                self._in_loop(self._note, event)

    def _in_loop(self, note: Callable[..., None], *arguments: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed: the process is ending
            assert self._loop is not None
            self._loop.call_soon_threadsafe(note, *arguments)

    def _note_stream(self) -> None:
        self._streams += 1
        if self._told_name is not None:
            self._told_name("")

    def _note(self, event: dict[str, Any]) -> None:
        container_id, action = event["id"], event["Action"]
        moment = datetime.fromtimestamp(event.get("timeNano", time.time_ns()) / 1e9, UTC)
        if action == "oom":
            self._keep(self._oom_events, container_id, self.oom_events(container_id) + 1)
            self._keep(self._oom, container_id, True)
            self._started.pop(container_id, None)
            return
        if action == "destroy":
            self._keep(self._destroyed, container_id, True)
            self._tell_name(event)
            return
        if action == "start":
            self._keep(self._newest_starts, container_id, int(moment.timestamp() * 1e9))
            self._exits.pop(container_id, None)
            self._oom.pop(container_id, None)
            self._keep(self._started, container_id, moment)
        if action == "die":
            self._note_end(container_id, moment, event["Actor"]["Attributes"])
        self._tell_name(event)
        if self._told is not None:
            self._told()

    def _tell_name(self, event: dict[str, Any]) -> None:
        if self._told_name is not None:
            self._told_name(event["Actor"]["Attributes"].get("name", ""))

    def _note_end(self, container_id: str, moment: datetime, attributes: dict[str, str]) -> None:
        started_at, exit_code = self._started.pop(container_id, None), attributes.get("exitCode")
        if exit_code is not None:
            self._keep(self._exit_codes, container_id, int(exit_code))
        if started_at and exit_code == "0" and LIMITED not in attributes:
            exit_ = CleanExit(started_at, moment)
            self._keep(self._exits, container_id, exit_)
            for waiter in self._waiters.get(container_id, ()):
                if not waiter.done():
                    waiter.set_result(exit_)

    def _keep(self, seen: dict[str, Any], container_id: str, value: Any) -> None:
        """Keeps the newest only: exits that nobody asks for must not pile up."""
        seen.pop(container_id, None)
        seen[container_id] = value
        if len(seen) > _KEPT:
            del seen[next(iter(seen))]


def _as_since(time_ns: int) -> str:
    return f"{time_ns // 10**9}.{time_ns % 10**9:09}"

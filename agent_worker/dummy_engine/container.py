"""A container in memory, whose process does what its own environment says.

``DUMMY_SLEEP`` seconds to run (a service without it runs until it is stopped), ``DUMMY_EXIT_CODE``, ``DUMMY_OOM=1``,
``DUMMY_CRASHES`` how many starts end after ``DUMMY_SLEEP`` before one stays up,
``DUMMY_OUTPUT`` text to write, ``DUMMY_STEP_OUTPUT`` text for ``$STEP_OUTPUT`` (";" ends its lines),
``DUMMY_HEALTHY_AFTER`` seconds in which its health check says unhealthy, ``DUMMY_IGNORES`` the signals that its process
ignores, ``DUMMY_STOP`` the line at which it ends well.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from gamekeeper.domain.language.published_port import parse_ports
from gamekeeper.domain.log.log import LogLine, LogStream
from gamekeeper.ports.container_engine import ContainerInfo, ContainerStatus, Health, NewContainer

KILLED = 137
TERMINATED = 143


@dataclass
class DummyContainer:
    """``told`` is called at each change of its state; ``free_ports`` are the engine's, of which each is taken once."""

    info: ContainerInfo
    new: NewContainer
    told: Callable[[ContainerInfo], None]
    free_ports: Iterator[int]
    lines: list[LogLine] = field(default_factory=list)
    slept: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    starts: int = 0
    with_engine: bool = False
    has_output_file: bool = False
    workspace: str = ""
    lost_files: bool = False

    @property
    def orders(self) -> dict[str, str]:
        """The environment, by which it is steered."""
        named = [item for item in self.new.spec.secrets if item.env]
        secret = {str(item.env): self.new.values[item.secret].decode(errors="replace") for item in named}
        return {name: value or "" for name, value in self.new.spec.environment.items()} | secret

    def checked_info(self) -> ContainerInfo:
        """``info`` with the health of this moment."""
        info, seconds = self.info, float(self.orders.get("DUMMY_HEALTHY_AFTER", "0"))
        if info.health is Health.NONE or info.started_at is None:
            return info
        healthy = (datetime.now(UTC) - info.started_at).total_seconds() >= seconds
        return replace(info, health=Health.HEALTHY if healthy else Health.UNHEALTHY)

    @property
    def is_running(self) -> bool:
        return self.info.status is ContainerStatus.RUNNING

    def start(self) -> None:
        """The first start, or a new one after its end."""
        self.ended, self.slept, self.with_engine = asyncio.Event(), asyncio.Event(), False
        health = Health.HEALTHY if self.new.spec.healthcheck else Health.NONE
        self.info = replace(
            self.info,
            status=ContainerStatus.RUNNING,
            started_at=datetime.now(UTC),
            finished_at=None,
            health=health,
            ports=tuple(self._published()),
        )
        self.starts += 1
        self.told(self.info)
        if output := self.orders.get("DUMMY_OUTPUT"):
            for line in output.splitlines(keepends=True):
                self.lines.append(LogLine(LogStream.STDOUT, time.time_ns(), line.encode()))
        if "DUMMY_CRASHES" in self.orders:
            endless = self.starts > int(self.orders["DUMMY_CRASHES"])
        else:
            endless = self.new.owner.kind == "service" and "DUMMY_SLEEP" not in self.orders
        if not endless:
            self.task = asyncio.create_task(self._run(float(self.orders.get("DUMMY_SLEEP", "0"))))

    def _published(self) -> Iterator[str]:
        """In Docker's words."""
        for port in (port for text in self.new.spec.ports for port in parse_ports(text)):
            number = port.host or str(next(self.free_ports))
            yield f"{port.host_ip or '0.0.0.0'}:{number}->{port.container_port}/{port.protocol}"

    async def _run(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.slept.wait(), seconds)
        oom = self.orders.get("DUMMY_OOM") == "1"
        exit_code = int(self.orders.get("DUMMY_EXIT_CODE", KILLED if oom else 0))
        self._end(exit_code, oom=oom)

    def stop(self, exit_code: int) -> None:
        """Ends the process from outside."""
        if self.task is not None:
            self.task.cancel()
        self._end(exit_code)

    def _end(self, exit_code: int, *, oom: bool = False) -> None:
        if not self.ended.is_set():
            self.info = replace(
                self.info,
                status=ContainerStatus.EXITED,
                exit_code=exit_code,
                last_exit_code=exit_code,
                oom_killed=oom,
                finished_at=datetime.now(UTC),
                ports=(),
            )
            self.ended.set()
            self.told(self.info)

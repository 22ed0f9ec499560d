"""The tools of the keeper: all that the care for one instance needs of its agent."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from agent_worker.instance.journal import KeeperJournal
from agent_worker.instance.kept_secrets import KeptSecrets
from gamekeeper.domain.container.container_key import ContainerKey
from gamekeeper.domain.instance.order import InstanceStatus
from gamekeeper.ports.container_engine import ContainerEngine
from gamekeeper.ports.node_agent import StepLogs
from gamekeeper.ports.node_policy import OwnPolicy
from gamekeeper.ports.secret_source import NoSecrets


class InstanceLogs(StepLogs, Protocol):
    """Logs of instances, whose container may be made anew."""

    async def begin_anew(self, key: ContainerKey) -> None:
        """Lets a log go on with a new container of its key. Short. Idempotent."""

    async def go_on(self, key: ContainerKey) -> None:
        """Lets a log go on whose container is started again. Short. Idempotent."""

    async def is_handed_over(self, key: ContainerKey) -> bool:
        """True when the log is acknowledged to its end, or refused. Short. Idempotent."""
        ...


def steady_seconds() -> float:
    """Seconds since the machine began, its sleep included: no setting of a clock moves them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def this_boot() -> str:
    """A name of the machine's present life; empty where its kernel does not tell one."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


@dataclass(frozen=True)
class Tools:
    """``told`` gets each change of a status, ``changed`` asks for a report of the node's containers. ``boot`` names the
    machine's present life."""

    engine: ContainerEngine
    journal: KeeperJournal
    logs: InstanceLogs
    policy: OwnPolicy
    told: Callable[[InstanceStatus], None]
    changed: Callable[[], None] = lambda: None
    steady: Callable[[], float] = steady_seconds
    proc: Path = Path("/proc")
    boot: str = field(default_factory=this_boot)
    secrets: KeptSecrets = field(default_factory=lambda: KeptSecrets(NoSecrets()))

    def now(self) -> datetime:
        return datetime.now(UTC)

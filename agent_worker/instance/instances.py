"""The keeper with its reports: what the agent runs of instances."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agent_worker.instance.journal import KeeperJournal
from agent_worker.instance.keeper import Keeper
from agent_worker.instance.kept_secrets import KeptSecrets
from agent_worker.instance.reports import InstanceReports
from agent_worker.instance.tools import InstanceLogs, Tools
from agent_worker.node_link.session import Link
from agent_worker.secrets.fetched import FetchedSecrets
from gamekeeper.ports.container_engine import ContainerEngine
from gamekeeper.ports.node_policy import OwnPolicy
from gamekeeper.supervised import Supervised


@dataclass(frozen=True)
class Instances:
    keeper: Keeper
    reports: InstanceReports

    def work(self) -> list[Coroutine[Any, Any, None]]:
        """All that runs for as long as the agent does."""
        return [
            Supervised("the keeper of instances").endless(self.keeper.run_forever),
            self.reports.care.endless(self.reports.run_forever),
        ]


def build_instances(
    engine: ContainerEngine,
    state_dir: Path,
    logs: InstanceLogs,
    policy: OwnPolicy,
    link: Link,
    changed: Callable[[], None],
    proc: Path,
) -> Instances:
    """``changed`` asks for a report of the node's containers, ``proc`` tells who holds a port."""
    journal = KeeperJournal(state_dir / "instances.db")
    tools = Tools(engine, journal, logs, policy, lambda status: reports.told(status), changed, proc=proc)
    keeper = Keeper(replace(tools, secrets=KeptSecrets(FetchedSecrets(link.calls))))
    reports = InstanceReports(link, keeper)
    return Instances(keeper, reports)

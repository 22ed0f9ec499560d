"""The ports of the node's activities, in memory."""

from __future__ import annotations

from dataclasses import replace

from gamekeeper.domain.container.container_key import ContainerKey, StepKey
from gamekeeper.domain.run.step import StepState
from gamekeeper.ports.node_agent import Begun


class FakeInputs:
    """Good ones, unless ``why`` says otherwise."""

    why = ""

    def refusal(self) -> str:
        return self.why


class FakeJournal:
    def __init__(self, at: float = 0.0) -> None:
        import time

        self.at = at or time.time()
        self.begun: dict[StepKey, Begun] = {}
        self.over: set[StepKey] = set()
        self.faults: dict[StepKey, int] = {}
        self.open_tokens: set[bytes] = set()

    def begin(self, key: StepKey, task_token: bytes) -> Begun:
        self.open_tokens.add(task_token)
        again = key in self.begun
        return replace(self.begun.setdefault(key, Begun(self.at, is_over=key in self.over)), again=again)

    def record_container(self, key: StepKey, container_id: str) -> None:
        self.begun[key] = replace(self.begun[key], container_id=container_id)

    def record_fault(self, key: StepKey, text: str) -> int:
        self.faults[key] = self.faults.get(key, 0) + 1
        self.begun[key] = Begun(self.begun[key].at, fault=text)
        return self.faults[key]

    def returned(self, task_token: bytes) -> None:
        self.open_tokens.discard(task_token)


class FakeStepLogs:
    def __init__(self) -> None:
        self.followed: list[ContainerKey] = []
        self.until_removed = self.one_file = False  # of the last one
        self.drained: list[ContainerKey] = []

    def follow(self, key: ContainerKey, container_id: str, *, until_removed: bool, one_file: bool = False) -> None:
        self.followed.append(key)
        self.until_removed, self.one_file = until_removed, one_file

    async def drain(self, key: ContainerKey, deadline: float) -> bool:
        self.drained.append(key)
        return True


class FakePhases:
    def __init__(self) -> None:
        self.told: list[tuple[StepKey, StepState]] = []
        self.messages: list[str] = []

    def report(self, key: StepKey, phase: StepState, message: str = "", container_id: str = "") -> None:
        self.told.append((key, phase))
        self.messages.append(message)

    def forget(self, key: StepKey) -> None:
        return None


class FakeContainers:
    def __init__(self) -> None:
        self.changes = 0

    def changed(self) -> None:
        self.changes += 1


class FakeInstanceLogs(FakeStepLogs):
    """All logs are handed over, unless ``are_handed_over`` says otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.begun_anew: list[ContainerKey] = []
        self.are_handed_over = True

    async def begin_anew(self, key: ContainerKey) -> None:
        self.begun_anew.append(key)

    async def go_on(self, key: ContainerKey) -> None:
        return None

    async def is_handed_over(self, key: ContainerKey) -> bool:
        return self.are_handed_over and key is not None

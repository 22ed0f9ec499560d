"""The keys of a container's owner. A key names the container, its log, its consoles and its samples.

A container belongs to one try of a step, or to one revision of an instance, and to nothing else.
"""

from __future__ import annotations

import re
from typing import Self

from pydantic import BaseModel, Field

_RUN_ID = re.compile(r"[A-Za-z0-9-]{1,63}")
_STEP_NAME = re.compile(r"[A-Za-z0-9-]{1,63}(\.[0-9]{1,3})?")  # a cell of a matrix has its number
_INSTANCE_ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_INSTANCE_MARK = "i:"  # no id of a run holds a colon
MAX_TRY = 10_000
MAX_REVISION = 1_000_000


class StepKey(BaseModel):
    """One try of one step: the owner of a container, its log and its outcome. The workflow counts ``try_`` from 1."""

    model_config = {"frozen": True, "populate_by_name": True}

    run_id: str
    step: str
    try_: int = Field(alias="try")

    @property
    def container_name(self) -> str:
        return f"gk-{self.run_id}-{self.step}-{self.try_}"

    @property
    def is_possible(self) -> bool:
        """True for a key that a workflow can have made. It becomes a file name, and anybody may write labels."""
        named = _RUN_ID.fullmatch(self.run_id) and _STEP_NAME.fullmatch(self.step)
        return named is not None and 1 <= self.try_ <= MAX_TRY

    def __str__(self) -> str:
        return f"{self.run_id}/{self.step}/{self.try_}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key that ``str`` made ``text`` of."""
        run_id, step, number = text.split("/")
        return cls(run_id=run_id, step=step, try_=int(number))


class InstanceKey(BaseModel):
    """One revision of one instance. Its container is started again and again, so its log is one log over all starts."""

    model_config = {"frozen": True}

    instance: str
    revision: int

    @property
    def container_name(self) -> str:
        return f"gk-i-{self.instance}-{self.revision}"

    @property
    def is_possible(self) -> bool:
        """True for a key that a workflow can have made, as for a step's."""
        return _INSTANCE_ID.fullmatch(self.instance) is not None and 1 <= self.revision <= MAX_REVISION

    def __str__(self) -> str:
        return f"{_INSTANCE_MARK}{self.instance}/{self.revision}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key that ``str`` made ``text`` of."""
        instance, revision = text.removeprefix(_INSTANCE_MARK).split("/")
        return cls(instance=instance, revision=int(revision))


ContainerKey = StepKey | InstanceKey


def parse_key(text: str) -> ContainerKey:
    """The key that ``str`` made ``text`` of."""
    return InstanceKey.parse(text) if text.startswith(_INSTANCE_MARK) else StepKey.parse(text)

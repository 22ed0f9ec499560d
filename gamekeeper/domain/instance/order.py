"""Orders to the keeper of an instance, and what it tells.

The workflow of the instance counts ``serial``: an order with a lower one is out of date, and changes nothing.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from gamekeeper.domain.container.container_key import InstanceKey, StepKey
from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.instance.state import Desired, InstanceReason, InstanceState
from gamekeeper.domain.language.lifetime import Strategy


class InstanceOrder(BaseModel):
    """Argument of the node's activity ``instance.carry_out``.

    ``spec`` is that of ``revision``. ``kill`` passes the ladder, ``restart`` stops first what runs, and ``volumes``
    takes them along with a removal. ``strategy`` is the way from the revision that runs to this one. ``held`` says why
    something that is wished to run has to stop for now. ``by`` asked for the order, and ``caller`` for the revision: by
    him the node's policy judges it, whoever starts it. ``adopted`` is the step whose running container becomes the
    instance's first one.
    """

    instance: str
    node: str
    serial: int
    desired: Desired
    revision: int
    spec: InstanceSpec
    kill: bool = False
    restart: bool = False
    volumes: bool = False
    strategy: Strategy = Strategy.RECREATE
    held: InstanceReason | None = None
    by: str = ""
    caller: str = ""
    pipeline: str = ""
    adopted: StepKey | None = None

    @property
    def key(self) -> InstanceKey:
        return InstanceKey(instance=self.instance, revision=self.revision)


class InstanceStatus(BaseModel):
    """An instance as its keeper sees it. ``since`` is when it came into its state, by the node's clock.

    ``seq`` counts the changes of this node's instances, so that an older report never overwrites a newer one.
    """

    instance: str
    serial: int
    revision: int
    desired: Desired
    state: InstanceState
    reason: InstanceReason | None = None
    message: str = ""
    since: datetime
    crash_count: int = 0
    exit_code: int | None = None
    container_id: str = ""
    digest: str = ""
    ports: list[str] = Field(default_factory=list)
    seq: int = 0


class InstanceOutcome(BaseModel):
    """Answer of ``instance.carry_out``: the status in which the order came to its end.

    ``revision`` is the order's. Where another one is ready, the order could not be carried out: that one goes on.
    """

    status: InstanceStatus
    revision: int = 0

    @property
    def is_ready(self) -> bool:
        return self.status.state is InstanceState.READY and self.revision in (0, self.status.revision)

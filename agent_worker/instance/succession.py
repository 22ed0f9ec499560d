"""The record of an instance under its first order, and under each newer one."""

from __future__ import annotations

from agent_worker.instance.journal import Record
from agent_worker.instance.sight import Sight
from gamekeeper.domain.instance.memory import Life, Memory
from gamekeeper.domain.instance.order import InstanceOrder
from gamekeeper.domain.instance.state import Desired
from gamekeeper.domain.language.lifetime import Strategy


def succession(record: Record, order: InstanceOrder, sight: Sight) -> Record:
    """The record under a newer order. What is ready or up so far may go on until the new one's turn."""
    kept = record.kept
    found = _before(record, order.revision, sight)
    before = found and found.model_copy(update={"restart": False, "kill": False, "strategy": Strategy.RECREATE})
    if before is None:  # nothing is known of what could run beside it
        order = order.model_copy(update={"strategy": Strategy.RECREATE})
    memory = record.memory.for_order(same_revision=kept.revision == order.revision)
    return Record(order, before, memory.but(adopted=order.adopted or memory.adopted), record.status)


def _before(record: Record, revision: int, sight: Sight) -> InstanceOrder | None:
    """The newest order but for that revision. An older one, where what is ready, or else up, is of that."""
    kept = record.kept if record.kept.desired is Desired.RUNNING else None
    known = [order for order in (kept, record.before) if order is not None and order.revision != revision]
    ups = [seen for seen in sight.seen if seen.life is Life.UP]
    ready = [seen for seen in ups if seen.start == record.memory.ready]
    for found in (ready, ups):
        for order in known:
            if any(seen.revision == order.revision for seen in found):
                return order
    return known[0] if known else None


def first_record(order: InstanceOrder, revisions: list[int]) -> Record:
    """``revisions`` are those whose containers are here already."""
    alone = order.model_copy(update={"strategy": Strategy.RECREATE})
    return Record(alone, None, Memory(adopted=order.adopted, revisions=revisions))

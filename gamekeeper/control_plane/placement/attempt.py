"""Tries a placement and promises nothing: where a demand would go now, and why not elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.control_plane.placement.candidates import load_candidates, with_gpus, with_ports
from gamekeeper.db.repositories.reservation import Owner
from gamekeeper.domain.language.container import Container
from gamekeeper.domain.node.demand import Demand
from gamekeeper.domain.node.placement import Placement, can_ever_fit, give, rank

MAX_SHOWN = 100


@dataclass(frozen=True)
class Attempt:
    """``fits`` has the nodes that would take it, best first; ``never`` says that none could, even if it were empty."""

    fits: Sequence[Placement]
    why: Sequence[tuple[str, str]]
    never: bool


async def attempt(session: AsyncSession, demand: Demand, container: Container, owner: Owner) -> Attempt:
    """Of a large fleet the best ``MAX_SHOWN`` nodes are looked at for their ports. Raises NotFoundError."""
    candidates = await load_candidates(session, demand, container, owner)
    sight = demand.where.sight
    found, why = rank(demand, candidates)
    fits = []
    seen = await with_ports(session, found[:MAX_SHOWN], owner, sight)
    for candidate in await with_gpus(session, seen, owner, sight) if demand.gpus else seen:
        answer = give(demand, candidate)
        if isinstance(answer, Placement):
            fits.append(answer)
        else:
            why.append((candidate.id, answer.why))
    return Attempt(fits, sorted(why), can_ever_fit(demand, candidates) is not None)

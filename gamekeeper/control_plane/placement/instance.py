"""Placement of instances: their demand, their room, and their containers with the ports and GPUs that they got."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.control_plane.placement.reserve import release, reserve, settle
from gamekeeper.db.repositories.reservation import INSTANCE, Owner
from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.language.given_port import wishes_of, with_given_ports
from gamekeeper.domain.node.demand import Where, demand_of
from gamekeeper.domain.node.gpu_choice import with_given_gpus


@dataclass(frozen=True)
class PlacedInstance:
    """``spec`` is the revision with its ports and GPUs given, as it is to be stored."""

    node: str
    spec: InstanceSpec


async def place_instance(
    session: AsyncSession, instance_id: str, spec: InstanceSpec, where: Where, *, beside: bool = False
) -> PlacedInstance:
    """Promises a new instance, or a further revision of one, its room. One that has its place stays there, whatever
    ``where`` says, and holds the larger room of both revisions until ``settle_instance``; with ``beside`` the sum, and
    other ports.

    It stands in the transaction that writes the revision. Raises as ``reserve``.
    """
    owner = owner_of(instance_id)
    if beside:
        spec = spec.asked
    asked = spec.container
    placed = await reserve(session, demand_of(asked, where), asked, owner, beside=beside)
    container = with_given_ports(asked, placed.ports)
    container = with_given_gpus(container, placed.gpu_vendor, placed.gpus, placed.all_gpus)
    changes: dict[str, object] = {"container": container}
    if any(wish.number is None for wish in wishes_of(asked)):
        changes["asked_ports"] = asked.ports
    return PlacedInstance(placed.node, spec.model_copy(update=changes))


async def settle_instance(session: AsyncSession, instance_id: str, spec: InstanceSpec) -> None:
    """Gives back what the stored revision, which stays now, does not need: at the end of an update or of a revert.
    Asked again it changes nothing."""
    await settle(session, demand_of(spec.container, Where()), owner_of(instance_id))


async def release_instance(session: AsyncSession, instance_id: str) -> bool:
    """Gives the room back, once the instance's containers are gone; False where it is given back already."""
    return await release(session, owner_of(instance_id))


def owner_of(instance_id: str) -> Owner:
    return Owner(INSTANCE, instance_id)

"""The part of the list of instances that a reader wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gamekeeper.domain.instance.state import InstanceState


@dataclass(frozen=True)
class InstanceFilter:
    """Fields that are None, or empty, match all."""

    node_id: str | None = None
    states: Sequence[InstanceState] = ()
    label: tuple[str, str] | None = None
    pipeline: str | None = None
    group: str | None = None
    id_prefix: str | None = None

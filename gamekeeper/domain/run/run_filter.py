"""The part of the list of runs that a reader wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class RunFilter:
    """A field that is None, or empty, matches all."""

    states: Sequence[str] = ()
    node: str | None = None
    pipeline: str | None = None
    schedule: str | None = None
    parent_run: str | None = None
    concurrency_group: str | None = None
    id_prefix: str | None = None
    label: tuple[str, str] | None = None
    is_waiting: bool = False

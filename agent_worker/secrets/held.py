"""The secret values that containers were given, so that they can be masked in what these write.

An agent that begins anew knows none of them; a container's label tells how many it was given. What such a container
writes waits, in the engine's log, until the values are known again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from agent_worker.masking.masker import WITHHELD, Masker, ValueMasker


class SecretsOfContainers:
    """The owner of values is a container, by its name. ``asked`` is called with the name of one whose values somebody
    waits for, once for each wait."""

    def __init__(self) -> None:
        self._maskers: dict[str, Masker] = {}
        self._came: dict[str, asyncio.Event] = {}
        self.asked: Callable[[str], None] = lambda _: None

    def hold(self, owner: str, values: Collection[bytes]) -> Masker:
        """To be called before the container is made. Values that were held before stay: output with them may still
        come. The masker tells how many values are ``too_short``. Idempotent."""
        before = self._maskers.get(owner)
        masker = before.and_of(values) if isinstance(before, ValueMasker) else ValueMasker(values)
        self._put(owner, masker)
        return masker

    def withhold(self, owner: str) -> None:
        """The values will never be known: each line that the container writes is masked as a whole."""
        self._put(owner, WITHHELD)

    def _put(self, owner: str, masker: Masker) -> None:
        self._maskers[owner] = masker
        if (came := self._came.pop(owner, None)) is not None:
            came.set()

    def release(self, owner: str) -> None:
        """The container is gone. Who masks its last lines has its masker. Idempotent."""
        self._maskers.pop(owner, None)

    def masker(self, owner: str) -> Masker | None:
        """None where no values are known."""
        return self._maskers.get(owner)

    def masker_now(self, owner: str, count: int) -> Masker | None:
        """For what can't wait: of a container that was given ``count`` values which are not known, all is masked."""
        return self._maskers.get(owner, WITHHELD if count else None)

    async def known(self, owner: str, count: int) -> Masker | None:
        """The masker of a container that was given ``count`` values. Blocks until they are known. Idempotent."""
        while (masker := self._maskers.get(owner)) is None and count:
            came = self._came.setdefault(owner, asyncio.Event())
            self.asked(owner)
            await came.wait()
        return masker

"""The nodes whose certificates are good, for those who meet a node on a connection: the node link and the gateway."""

from __future__ import annotations

from typing import Protocol


class NodeDirectory(Protocol):
    """A certificate is good while its generation is its node's. It only reads."""

    async def generation(self, node_id: str, at_least: int = 0) -> int | None:
        """The node's generation; None for a node that is not there, and for one that never joined.

        The answer is at most 3 seconds old. A certificate that is newer than the answer (``at_least``) has it asked for
        at once. Idempotent; cancelled without harm. While the database is away the last answer stands; UnavailableError
        where there is none yet.
        """
        ...

"""The subscription to the control plane's pushes: this node's events, resumed by their numbers, and directives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from agent_worker.node_link.session import Link
from gamekeeper.backoff import Backoff
from gamekeeper.errors import UnavailableError
from gamekeeper.logging import get_logger
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from gamekeeper.whole_file import write_whole

log = get_logger(__name__)

SAVE_SECONDS = 1.0
AGENT_REFUSED = "node.agent_refused"
FINAL_STEP_EVENTS = frozenset({"step.succeeded", "step.failed", "step.error", "step.canceled", "step.skipped"})


class Subscription:
    """``directives`` maps each directive to its action. A step's end on this node counts as one to report containers,
    so that its leavings go at once. ``seq_file`` keeps the number of the last event."""

    def __init__(
        self,
        link: Link,
        seq_file: Path,
        directives: Mapping[int, Callable[[], None]],
        open_console: Callable[[pb.OpenConsole], None],
    ) -> None:
        self._link = link
        self._open_console = open_console
        self._seq_file = seq_file
        self._directives = directives
        self._saved_at = 0.0

    async def run_forever(self) -> None:
        backoff = Backoff(initial=0.5, maximum=10)
        while True:
            await self._link.connected.wait()
            await self._link.stagger()
            try:
                async for push in self._link.calls.subscribe(self._load()):
                    backoff.reset()
                    self._take(push)
            except UnavailableError as error:
                log.debug("the subscription ended: %s", error)
            await asyncio.sleep(backoff.next_delay())

    def _take(self, push: pb.Push) -> None:
        body = push.WhichOneof("body")
        if body == "directive":
            self._carry_out(push.directive)
        elif body == "open_console":
            self._open_console(push.open_console)
        elif body == "gap":
            log.warning("events %d to %d of this node are no longer kept", push.gap.first_seq, push.gap.last_seq)
            self._save(push.gap.last_seq)
        elif body == "event":
            if push.event.kind == AGENT_REFUSED:
                log.warning(
                    "node.agent_refused: %s; look for a copy of this machine's state folder", push.event.message
                )
            if push.event.kind in FINAL_STEP_EVENTS:
                self._carry_out(pb.DIRECTIVE_REPORT_CONTAINERS)
            self._save(push.event.seq)

    def _carry_out(self, directive: int) -> None:
        action = self._directives.get(directive)
        if action is not None:  # a newer server may know more of them
            action()

    def _load(self) -> int:
        try:
            return int(self._seq_file.read_text())
        except (OSError, ValueError):
            return 0

    def _save(self, seq: int) -> None:
        """At most once a second: losing the newest repeats some events, which does no harm."""
        if time.monotonic() - self._saved_at < SAVE_SECONDS:
            return
        self._saved_at = time.monotonic()
        try:
            write_whole(self._seq_file, str(seq), synced=False)
        except UnavailableError as error:
            log.debug("%s", error)

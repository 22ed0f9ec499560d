"""Replacements of frozen processes: kept in the stack's record for ``status``, and told to the api as events.

The api may be the one that was frozen, so telling it waits until it answers; what is not told yet when the supervisor
ends stands in the record alone.
"""

from __future__ import annotations

from datetime import UTC, datetime

import httpx

from gamekeeper.errors import UnavailableError
from gamekeeper.logging import get_logger
from gamekeeper.stack.in_background import InBackground
from gamekeeper.stack.layout import Replacement, StackRecord, StateDir

log = get_logger(__name__)

MAX_UNTOLD = 100
WAITED_FOR = (401, 403, 429)  # the admin key in the file is refused until somebody, or the next start, mends it


class Replacements:
    def __init__(self, state: StateDir, record: StackRecord) -> None:
        self._state = state
        self._record = record
        self._untold: list[tuple[str, Replacement]] = []
        self._telling = InBackground(self._tell_one)

    def note(self, name: str, silent_seconds: float) -> Replacement:
        before = self._record.replacements.get(name)
        made = Replacement(
            at=datetime.now(UTC), silent_seconds=round(silent_seconds, 1), count=1 + (before.count if before else 0)
        )
        self._record.replacements[name] = made
        self._untold = [*self._untold, (name, made)][-MAX_UNTOLD:]
        return made

    def tell(self) -> None:
        """To be called again and again; never blocks. Raises UnavailableError when the api did not take one: the next
        call begins anew."""
        if self._untold:
            self._telling.is_done()

    def _tell_one(self) -> None:
        name, made = told = self._untold[0]
        try:
            answer = httpx.post(
                f"{self._record.rest_url}/api/v1/processes/{name}/replaced",
                json={"at": made.at.isoformat(), "silent_seconds": made.silent_seconds},
                headers={"Authorization": f"Bearer {self._state.admin_key()}"},
                timeout=5,
                verify=self._state.trust(self._record),
                trust_env=False,
            )
        except httpx.TransportError as error:
            raise UnavailableError(f"the api does not answer: {error}") from error
        if answer.status_code in WAITED_FOR or answer.status_code >= 500:
            raise UnavailableError(f"the api does not take it now ({answer.status_code}): {answer.text[:200]}")
        if not answer.is_success:  # as of an api without the route: the record has it
            log.warning(
                "event process.replaced of %s is not taken (%d): %s", name, answer.status_code, answer.text[:200]
            )
        self._untold = [other for other in self._untold if other is not told]

"""The key that signs what nodes are told to run: from files that the api writes, read again when they change."""

from __future__ import annotations

from pathlib import Path

from gamekeeper.certificates.step_signature import StepSigner
from gamekeeper.errors import InvalidError
from gamekeeper.logging import get_logger

log = get_logger(__name__)


class StepsKey:
    """``signer`` may be called by any thread. What can't be read leaves the key that is known."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self._seen: list[int] = []
        self._known: StepSigner | None = None

    @property
    def is_there(self) -> bool:
        """The api makes it at its first start."""
        return self._found() is not None

    def signer(self) -> StepSigner:
        """Raises InvalidError before there was one."""
        found = self._found()
        if found is None:
            raise InvalidError(f"there is no key to sign steps in {self._key}", hint="see GAMEKEEPER_STEPS_KEY")
        return found

    def _found(self) -> StepSigner | None:
        try:
            stamps = [path.stat().st_mtime_ns for path in (self._certificate, self._key)]
            if stamps != self._seen:
                self._known = StepSigner(self._key.read_bytes(), self._certificate.read_bytes())
                self._seen = stamps
        except (OSError, InvalidError) as error:  # between the writes of key and certificate they do not fit
            if self._known is not None:
                log.debug("the changed key that signs steps is not taken yet: %s", error)
        return self._known

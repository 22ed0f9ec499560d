"""Exit status of a process that ends with an error: it tells whoever started it whether another start may help."""

from __future__ import annotations

from gamekeeper.errors import GamekeeperError, InvalidError, UnauthenticatedError

FAILED = 1
MISCONFIGURED = 78  # EX_CONFIG of sysexits.h: the same start ends the same way


def exit_status(error: GamekeeperError) -> int:
    return MISCONFIGURED if isinstance(error, InvalidError | UnauthenticatedError) else FAILED

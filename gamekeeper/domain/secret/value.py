"""The value of a secret: bytes that no log, no trace and no message shows by accident."""

from __future__ import annotations

MAX_VALUE_BYTES = 65_536
HIDDEN = "<secret>"


class SecretValue(bytes):
    """Bytes in all that code does with them on purpose. Printed, formatted or shown in a traceback they are hidden."""

    def __repr__(self) -> str:
        return HIDDEN

    def __str__(self) -> str:
        return HIDDEN

    def __format__(self, form: str) -> str:
        return HIDDEN

"""Bounds of what a keeper tells: no number or text of a node is more than a row, a message or a reader takes."""

from __future__ import annotations

from datetime import UTC, datetime

from gamekeeper.domain.instance.order import InstanceStatus

MAX_COUNT = 2**53 - 1  # what readers of JSON take for a whole number
MAX_INTEGER = 2**31 - 1
MAX_MESSAGE = 2000
MAX_PORTS = 100
MAX_WORD = 100
MAX_REFERENCE = 300  # of a container's id or an image's digest
SERIAL_MARGIN = 1_000_000
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


def bounded(status: InstanceStatus) -> InstanceStatus:
    """The status with every number and text within its bounds. One that is within them is not changed."""
    return status.model_copy(
        update={
            "instance": _text(status.instance, MAX_WORD),
            "serial": _between(0, status.serial, MAX_COUNT),
            "seq": _between(0, status.seq, MAX_COUNT),
            "revision": _between(0, status.revision, MAX_INTEGER),
            "crash_count": _between(0, status.crash_count, MAX_INTEGER),
            "exit_code": None if status.exit_code is None else _between(-MAX_INTEGER, status.exit_code, MAX_INTEGER),
            "message": _text(status.message, MAX_MESSAGE),
            "container_id": _text(status.container_id, MAX_REFERENCE),
            "digest": _text(status.digest, MAX_REFERENCE),
            "ports": [_text(port, MAX_WORD) for port in status.ports[:MAX_PORTS]],
            "since": _moment(status.since),
        }
    )


def believed_serial(told: int, own: int, known: int) -> int:
    """The serial that a node is believed to have. One far above our ``own`` comes from no order that was ever given:
    the one that was ``known`` stands."""
    return told if told <= own + SERIAL_MARGIN else known


def _between(least: int, value: int, most: int) -> int:
    return max(least, min(value, most))


def _text(text: str, length: int) -> str:
    """Without what PostgreSQL or UTF-8 has no room for."""
    return text[:length].replace("\0", "\ufffd").encode(errors="replace").decode()


def _moment(told: datetime) -> datetime:
    known = told.replace(tzinfo=UTC) if told.tzinfo is None else told
    try:
        return max(_FIRST, min(known.astimezone(UTC), _LAST))
    except OverflowError:
        return _FIRST

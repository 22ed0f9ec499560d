"""Sizes that a run keeps to, so that nothing in one step can break the workflow of its run.

Temporal refuses a payload over 2 MiB for ever, and ends a workflow whose commands of one task are over 4 MB together.
Both look the same to a user: a run that hangs or vanishes without its finally steps. So every value that a step brings
in is measured as it will be encoded, and one that is too large is that step's error. Sizes are in bytes.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

from gamekeeper.errors import InvalidError

MAX_RENDERED = 128 * 1024  # of a container or a call, once its templates are filled in; Linux takes no longer argument
MAX_CELL = 16 * 1024
MAX_SHOWN_OUTPUTS = 256 * 1024  # of one step in the read model; only a matrix can have more
MAX_SNAPSHOT = 512 * 1024
MAX_INPUT = 2_090_000  # of the pipeline, its nodes and what a rerun takes over: a workflow begins with them
MAX_COMMANDS = 2 * 1024 * 1024  # of what the steps of one workflow task are started with
MAX_HISTORY = 40_000_000  # Temporal ends a run at 50 MB (256 MB by our settings) and at 51,200 events
MAX_EVENTS = 45_000
MAX_MESSAGE = 2000  # characters


def encoded_size(value: Any) -> int:
    """Bytes of a value in a payload. A control character takes six, so the length of a text is no measure."""
    return len(to_json(value))


def check_size(what: str, value: Any, limit: int, hint: str) -> int:
    """The size of ``value``. Raises InvalidError when it is over the limit."""
    size = encoded_size(value)
    if size > limit:
        raise InvalidError(f"{what} is too large: {size:,} bytes; the limit is {limit:,}", hint=hint)
    return size


def shortened(message: str) -> str:
    """A message as it may stand on a step or a run."""
    return message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 1] + "…"

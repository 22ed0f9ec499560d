"""A payload that a process could not read, and what it belongs to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PayloadTrouble:
    """``subject`` is the id of a workflow, or empty where it is not known. ``is_missing`` says that the key is not
    there; otherwise the payload, or the file of the keys, is spoiled."""

    subject: str
    key_id: str
    message: str
    is_missing: bool = False

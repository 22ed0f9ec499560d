"""The terms of an order by ACME, apart from the order: settings are read without the large library behind that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class AcmeTerms:
    """``binding_id`` and ``binding_key`` are the external account binding that some CAs give their customers. ``roots``
    is a file with the roots by which the directory itself is trusted; None takes the system's."""

    directory: str
    names: Sequence[str]
    email: str = ""
    profile: str = ""
    binding_id: str = ""
    binding_key: str = ""
    roots: Path | None = None
    host: str = "0.0.0.0"
    port: int = 80

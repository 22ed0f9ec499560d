"""The outcome of one part: how much it tried, how long that took, and what it found."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
HOME = ROOT / ".cache" / "fuzz"
PYTHON = HOME / "python" / "bin"


@dataclass
class Outcome:
    """A fault is told with how to see it again."""

    part: str
    cases: int
    seconds: float
    faults: list[str] = field(default_factory=list)
    words: str = ""

    def line(self) -> str:
        more = f"  {self.words}" if self.words else ""
        return f"{self.part:24} {self.cases:>9,} cases {self.seconds:>7.1f} s {len(self.faults):>4} faults{more}"

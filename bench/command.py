"""Measures how fast the command starts: ``--help`` and ``runs ls``, in turns with a Python that does nothing.

``python -m bench.command``, with a stack that is up; GAMEKEEPER_STATE_DIR names another one than the default. Processor
time is measured beside the time on the clock, because a busy machine spoils the latter alone.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 15
GAMEKEEPER = str(Path(sys.executable).parent / "gamekeeper")
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "gamekeeper --help": [GAMEKEEPER, "--help"],
    "gamekeeper runs ls": [GAMEKEEPER, "runs", "ls"],
}


def measure(words: list[str]) -> tuple[float, float]:
    """Milliseconds on the clock and of the processor."""
    before, since = _processor(), time.perf_counter()
    subprocess.run(words, stdout=subprocess.DEVNULL, check=True, env=dict(os.environ))
    return (time.perf_counter() - since) * 1000, _processor() - before


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) * 1000


def main() -> None:
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, words in COMMANDS.items():
            found[name].append(measure(words))
    clock = {name: statistics.median(item[0] for item in items) for name, items in found.items()}
    processor = {name: statistics.median(item[1] for item in items) for name, items in found.items()}
    floor = clock["python -c pass"], processor["python -c pass"]
    for name in COMMANDS:
        ratios = f"{clock[name] / floor[0]:.1f} and {processor[name] / floor[1]:.1f} times the floor"
        print(f"{name:20} {clock[name]:5.0f} ms, {processor[name]:5.0f} ms of the processor: {ratios}")


if __name__ == "__main__":
    main()

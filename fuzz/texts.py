"""Texts and bytes for all that parses them, chosen by coverage (``fuzz.guided``)."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path

from fuzz.outcome import PYTHON, ROOT, Outcome
from fuzz.parsers import PROPERTIES, hold

_DONE = re.compile(r"^Done (\d+) runs in (\d+) second", re.M)


def feed(cases: int, seed: int, folder: Path) -> Outcome:
    """``cases`` for each property, in one process that instruments what they read once."""
    begun = time.monotonic()
    _run(folder, cases, seed, list(PROPERTIES))
    seconds = time.monotonic() - begun
    each = [_outcome(name, folder) for name in PROPERTIES]
    faults = [fault for outcome in each for fault in outcome.faults]
    return Outcome("texts", sum(outcome.cases for outcome in each), seconds, faults, f"({len(each)} parsers; {folder})")


def repeat(name: str, file: Path) -> None:
    """Feeds one property with what broke it. Raises what it raised then."""
    hold(name, file.read_bytes())


def _run(folder: Path, cases: int, seed: int, names: Sequence[str]) -> None:
    for old in folder.glob("*-crash-*"):
        old.unlink()
    path = os.pathsep.join((str(ROOT), sysconfig.get_paths()["purelib"]))
    environment = os.environ | {"PYTHONPATH": path, "PYTHONHASHSEED": "0"}
    command = [str(PYTHON / "python"), "-m", "fuzz.guided", str(folder), str(cases), str(seed), *names]
    with (folder / "guided.txt").open("w") as said:
        subprocess.run(command, env=environment, stdout=said, stderr=said, check=True, cwd=folder)


def _outcome(name: str, folder: Path) -> Outcome:
    log = folder / f"{name}.log"
    told = log.read_text(errors="replace") if log.exists() else ""
    done = _DONE.search(told)
    broken = [*folder.glob(f"{name}-crash-*"), *folder.glob(f"{name}-timeout-*"), *folder.glob(f"{name}-oom-*")]
    faults = [f"{name}: to repeat: make fuzz ARGS='--repeat {name} {file}'\n{_shown(told)}" for file in broken]
    if done is None and not faults:
        faults = [f"{name} ended early: see {log}\n{told[-1000:]}"]
    return Outcome(f"texts {name}", int(done.group(1)) if done else 0, 0, faults)


def _shown(told: str) -> str:
    _, mark, rest = told.partition("=== Uncaught Python exception: ===")
    return (rest if mark else told[-1500:]).partition("SUMMARY")[0].strip()[:3000]

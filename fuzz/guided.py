"""Feeds the properties of ``fuzz.parsers`` with bytes that coverage chooses, each in a child of its own.

``python -m fuzz.guided FOLDER CASES SEED NAME...`` writes what libFuzzer says to FOLDER/NAME.log, and what breaks a
property to FOLDER/NAME-crash-*. It runs in the environment of the fuzzers (``scripts/make_tools.sh``), with the
product's packages on its path. Imports are instrumented once and forked: that takes longer than thousands of cases.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["gamekeeper.domain", "agent_worker.policy", "fuzz.parsers"]):
    from fuzz import parsers
    from gamekeeper.domain.language.key_docs import MODELS

MOST_BYTES, MOST_SECONDS, MOST_MIB = 4096, 30, 2048  # of one case; a case of sound size takes milliseconds
WORDS = (
    "${{ ",
    " }}",
    "steps.",
    "args.",
    ".map(x, ",
    "range(",
    "fromJSON(",
    "size(",
    "&anchor",
    "*anchor",
    "<<: ",
    "!!",
)


def main() -> None:
    folder, cases, seed = Path(sys.argv[1]), *map(int, sys.argv[2:4])
    write_words(folder / "words")
    for name in sys.argv[4:]:
        if os.fork() == 0:
            feed(name, folder, cases, seed)
        os.wait()


def feed(name: str, folder: Path, cases: int, seed: int) -> None:
    corpus = folder / f"{name}-corpus"
    corpus.mkdir(exist_ok=True)
    for number, sound in enumerate(parsers.seeds(name)):
        (corpus / f"sound-{number}").write_bytes(sound)
    log = os.open(folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    bounds = {"runs": cases, "seed": seed, "max_len": MOST_BYTES, "timeout": MOST_SECONDS, "rss_limit_mb": MOST_MIB}
    told: dict[str, Any] = bounds | {"dict": folder / "words", "artifact_prefix": f"{folder}/{name}-"}
    atheris.Setup(["fuzz", str(corpus), *(f"-{key}={value}" for key, value in told.items())], once(name))
    atheris.Fuzz()


def once(name: str) -> parsers.Property:
    def hold(data: bytes) -> None:
        parsers.hold(name, data)

    return hold


def write_words(file: Path) -> None:
    """The words of the language, for libFuzzer to put in."""
    words = {*MODELS, *(key for keys in MODELS.values() for key in keys), *WORDS}
    escaped = (word.replace("\\", "\\\\").replace('"', '\\"') for word in sorted(words))
    file.write_text("".join(f'"{word}"\n' for word in escaped))


if __name__ == "__main__":
    main()

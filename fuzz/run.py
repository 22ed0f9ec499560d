"""``make fuzz``: noise for REST, for the node link and for all that parses texts. A line for each part; 1 for a fault.

In CI the numbers are small and the seed is fixed (``--quick``). By hand it may run for hours: ``make fuzz ARGS="--seed
7 --rest 1000 --texts 1000000 --messages 1000000"``.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from fuzz import rest, texts
from fuzz.node_link import make_noise
from fuzz.outcome import HOME, Outcome

ALL_PHASES = "examples,coverage,fuzzing,stateful"
PARTS = ("texts", "link", "rest")
QUICK = {"databases": "sqlite", "phases": "examples,coverage", "texts": 1000, "messages": 5000}


def main() -> int:
    given = _arguments()
    folder: Path = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if given.repeat:
        texts.repeat(given.repeat[0], Path(given.repeat[1]))
        print("it holds now")
        return 0
    found = 0
    for outcome in _outcomes(given, folder):
        print(outcome.line(), flush=True)
        for fault in outcome.faults[: given.shown]:
            print(f"\n  {fault}\n", flush=True)
        found += len(outcome.faults)
    if found:
        words = [*sys.argv[1:], *([] if "--seed" in sys.argv else ["--seed", str(given.seed)])]
        print(f"{found} faults; the same again: make fuzz ARGS='{' '.join(words)}'")
    return 1 if found else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make fuzz", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="a minute, as CI does it")
    parser.add_argument("--seed", type=int, default=1, help="another one tries other cases")
    parser.add_argument("--parts", default=",".join(PARTS), help="of " + ", ".join(PARTS))
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--phases", default=ALL_PHASES, help="of REST")
    parser.add_argument("--rest", type=int, default=5, help="random requests to each route, and chains of them")
    parser.add_argument("--texts", type=int, default=5000, help="texts for each parser")
    parser.add_argument("--messages", type=int, default=20_000, help="messages on the node link")
    parser.add_argument("--folder", type=Path, default=HOME / "found", help="where what was found is kept")
    parser.add_argument("--shown", type=int, default=10, help="faults of each part that are printed")
    parser.add_argument("--repeat", nargs=2, metavar=("PARSER", "FILE"), help="only this: a text that broke a parser")
    parser.set_defaults(**QUICK if "--quick" in sys.argv else {})
    return parser.parse_args()


def _outcomes(given: argparse.Namespace, folder: Path) -> Iterator[Outcome]:
    parts = given.parts.split(",")
    if "texts" in parts:
        yield texts.feed(given.texts, given.seed, folder)
    if "link" in parts:
        yield _link(given.messages, given.seed)
    if "rest" in parts:
        for database in given.databases.split(","):
            yield asyncio.run(rest.ask(database, given.phases, given.rest, given.seed, folder))


def _link(messages: int, seed: int) -> Outcome:
    begun = time.monotonic()
    noise = asyncio.run(make_noise(messages, seed))
    codes = ", ".join(f"{code} {count:,}" for code, count in sorted(noise.codes.items()))
    return Outcome("node link", noise.messages, time.monotonic() - begun, noise.faults, f"({codes})")


if __name__ == "__main__":
    sys.exit(main())

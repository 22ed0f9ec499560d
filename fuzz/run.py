"""``make fuzz``: noise for REST, consoles, the gateway, both sides of the node link, and all that parses texts. A
line for each part; 1 for a fault.

In CI the numbers are small and the seed is fixed (``--quick``). By hand it may run for hours: ``make fuzz ARGS="--seed
7 --rest 1000 --texts 1000000 --messages 1000000 --consoles 100000 --calls 1000000"``.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

from fuzz import agent, consoles, gateway, node_link, rest, texts
from fuzz.noise import Noise
from fuzz.outcome import HOME, Outcome

ALL_PHASES = "examples,coverage,fuzzing,stateful"
PARTS = ("texts", "link", "agent", "gateway", "consoles", "rest")
QUICK = {
    "databases": "sqlite",
    "phases": "examples,coverage",
    "texts": 1000,
    "messages": 5000,
    "calls": 1000,
    "consoles": 100,
}


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
    parser.add_argument("--messages", type=int, default=20_000, help="messages on the node link, to each of its sides")
    parser.add_argument("--calls", type=int, default=5000, help="calls of the gateway")
    parser.add_argument("--consoles", type=int, default=500, help="consoles by WebSocket")
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
        yield _noise("node link", node_link.make_noise(given.messages, given.seed))
    if "agent" in parts:
        yield _noise("agent", agent.make_noise(given.messages, given.seed))
    if "gateway" in parts:
        yield _noise("gateway", gateway.make_noise(given.calls, given.seed))
    if "consoles" in parts:
        yield _noise("consoles", consoles.make_noise(given.consoles, given.seed))
    if "rest" in parts:
        for database in given.databases.split(","):
            yield asyncio.run(rest.ask(database, given.phases, given.rest, given.seed, folder))


def _noise(part: str, making: Coroutine[Any, Any, Noise]) -> Outcome:
    begun = time.monotonic()
    noise = asyncio.run(making)
    codes = ", ".join(f"{code} {count:,}" for code, count in sorted(noise.codes.items()))
    return Outcome(part, noise.messages, time.monotonic() - begun, noise.faults, f"({codes})")


if __name__ == "__main__":
    sys.exit(main())

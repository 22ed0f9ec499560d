"""The time that an operator waits for a check, and for a run to be taken: ``make bench-submission``.

    validate  ``/pipelines/validate`` of the ten largest examples, and of one with 200 steps
    submit    the POST of a run of one step, one after another, to its answer

The same file measures an older revision where it is put into a checkout of that.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.engine import DUMMY, STEP, dummy_agent
from bench.stack import Stack, stack

EXAMPLES = Path(__file__).parent.parent / "examples"
HELLO = STEP | {"name": "hello"}
LARGEST, CHECKS, SUBMISSIONS = 10, 30, 200
LARGE = "version: 1\nname: large\nsteps:\n" + "".join(
    f"- name: s{number}\n  container: {{image: a, commands: ['echo ${{{{ run.id }}}} {number}']}}\n"
    for number in range(200)
)


def texts() -> Iterator[tuple[str, str]]:
    """The name and the text of each pipeline."""
    found = [path for path in EXAMPLES.rglob("*.yaml") if "\nsteps:" in path.read_text()]
    for path in sorted(found, key=lambda path: path.stat().st_size, reverse=True)[:LARGEST]:
        yield str(path.relative_to(EXAMPLES)), path.read_text()
    yield "200 steps", LARGE


def milliseconds(work: Callable[[], object], count: int) -> list[float]:
    found = []
    for _ in range(count):
        since = time.perf_counter()
        work()
        found.append((time.perf_counter() - since) * 1000)
    return sorted(found)


def main() -> None:
    with stack() as bench, dummy_agent(bench):
        bench.submit(HELLO, node=DUMMY)
        for name, text in texts():
            spent = milliseconds(lambda text=text: _validate(bench, text), CHECKS)  # type: ignore[misc]
            print(f"validate {name:28} {statistics.median(spent):7.1f} ms")
        spent = milliseconds(lambda: bench.submit(HELLO, node=DUMMY), SUBMISSIONS)
        print(f"submit   p50 {statistics.median(spent):6.1f} ms, p99 {spent[int(len(spent) * 0.99)]:6.1f} ms")


def _validate(bench: Stack, text: str) -> None:
    bench.http.post("/pipelines/validate", json={"yaml": text}).raise_for_status()


if __name__ == "__main__":
    main()

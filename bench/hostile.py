"""Twenty of the worst pipelines at once, and what they cost others: ``make bench-hostile``.

    livez    how long ``/livez`` takes, alone and beside the twenty
    hello    a run of one step, from the POST to its end, alone and beside them
    memory   what the api and the process that judges for it hold afterwards

The texts are those that were once the end of the api, or minutes of it. They are sent again and again.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psutil

from bench.engine import DUMMY, STEP, dummy_agent
from bench.stack import Stack, stack

SENDERS = 20
PROBES = 300
HELLOS = 12
HEAD = "version: 1\nname: worst\nargs: {x: aaaaaaaaaa, l: [1, 2]}\n"
STEP_TEXT = "steps:\n- name: s\n  container:\n    image: a\n"


def _lines(count: int, line: str) -> str:
    return "".join(line.replace("#", str(number)) for number in range(count))


def _condition(expression: str) -> str:
    return HEAD + STEP_TEXT + f'  if: "${{{{ {expression} }}}}"\n'


WORST = [
    "[" * 40_000,
    "{a: " * 40_000,
    _condition("range(256).map(a, range(256).map(b, range(256).map(c, c))).size() > 0"),
    _condition("[args.x]" + ".map(v, v+v)" * 30 + ".size() > 0"),
    _condition(r"range(256).all(a, 'a'.matches('(\\pL{50}){20}') || true)"),
    HEAD + STEP_TEXT + '    command: ["' + "${{ '" * 20_000 + '"]\n',
    HEAD + STEP_TEXT + '    commands: ["' + "$(" * 50_000 + '"]\n',
    HEAD + _lines(90_000, "a#: b\n"),
    HEAD + STEP_TEXT + "  matrix:\n    include:\n" + _lines(30_000, "    - {a: #}\n"),
    HEAD + "steps:\n" + _lines(2000, "- {name: s#, needs: [t#], container: {image: a}}\n"),
    HEAD + "steps:\n" + _lines(1900, "- name: s#\n  container: {image: a, command: ['${{ # + size(args.l) }}']}\n"),
    HEAD
    + "steps:\n"
    + _lines(
        90,
        "- name: s#\n  matrix: {a: '${{ range(256) }}'}\n  container: {image: a, command: ['${{ matrix.a + # }}']}\n",
    ),
]


@contextmanager
def attack(bench: Stack) -> Iterator[None]:
    """The senders, until the end; each sends the next of the texts as soon as it has an answer."""
    ended = threading.Event()

    def send(first: int) -> None:
        with httpx.Client(base_url=bench.http.base_url, headers=bench.http.headers, timeout=120) as client:
            for number in range(first, 1_000_000):
                if ended.is_set():
                    return
                client.post("/pipelines/validate", json={"yaml": WORST[number % len(WORST)]})

    threads = [threading.Thread(target=send, args=(number,)) for number in range(SENDERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def livez(bench: Stack) -> tuple[float, float]:
    """Milliseconds: the median and the 99th of a hundred."""
    found = []
    with httpx.Client(base_url=f"http://{bench.rest_address}", timeout=60) as client:
        for _ in range(PROBES):
            since = time.perf_counter()
            client.get("/livez").raise_for_status()
            found.append((time.perf_counter() - since) * 1000)
            time.sleep(0.02)
    found.sort()
    return statistics.median(found), found[int(len(found) * 0.99)]


def hello(bench: Stack) -> float:
    """Milliseconds: the median of runs of one step that does nothing."""
    found = []
    for _ in range(HELLOS):
        since = time.perf_counter()
        run = bench.submit(STEP | {"name": "hello"}, node=DUMMY)
        with bench.http.stream("GET", f"/runs/{run}/events") as events:
            for _line in events.iter_lines():
                pass
        found.append((time.perf_counter() - since) * 1000)
    return statistics.median(found)


def memory(bench: Stack) -> int:
    """MiB of the api and of what it has begun."""
    api = psutil.Process(bench.pid("api"))
    return sum(process.memory_info().rss for process in [api, *api.children(recursive=True)]) // 2**20


def main() -> None:
    with stack() as bench, dummy_agent(bench):
        hello(bench)
        before = memory(bench)
        alone = (*livez(bench), hello(bench))
        with attack(bench):
            beside = (*livez(bench), hello(bench))
        rows = zip(("livez p50", "livez p99", "hello p50"), alone, beside, strict=True)
        for name, quiet, busy in rows:
            print(
                f"{name:10} {quiet:7.1f} ms alone, {busy:7.1f} beside {SENDERS} of the worst: {busy / quiet:.1f} times"
            )
        print(f"memory     {before} MiB before, {memory(bench)} MiB after, the process that judges among it")


if __name__ == "__main__":
    main()

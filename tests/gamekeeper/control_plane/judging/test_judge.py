"""Large pipelines are judged apart: with the same answers, within limits, and while others go on."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest

from gamekeeper.control_plane.judging import judge as judging
from gamekeeper.control_plane.judging.judge import Judge
from gamekeeper.domain.language.resolve import Call
from gamekeeper.domain.language.source import parse_text, read_value
from gamekeeper.errors import InvalidError, SpecError, UnavailableError

LIGHT = "version: 1\nname: a\nargs: {list: [1, 2]}\nsteps:\n- {name: s, node: n, container: {image: a}}\n"
HEAVY = LIGHT.replace("image: a", 'image: a, environment: {A: "${{ args.list.map(v, v + 1) }}"}')


@pytest.mark.parametrize("text", [LIGHT, HEAVY], ids=["light", "heavy"])
async def test_both_ways_answer_alike(text: str) -> None:
    judge = Judge()
    document = await judge.parse(text)
    assert document == parse_text(text)
    assert document.is_light is (text is LIGHT)
    assert (await judge.validate(text)).pipeline.name == "a"
    assert (await judge.check(document)).placed[0].step.name == "s"
    resolved = await judge.resolve(document, Call(args={"list": [5]}))
    assert resolved.steps[0].node == "n"
    if text is HEAVY:
        assert resolved.steps[0].spec.environment == {"A": "[6]"}
    with pytest.raises(SpecError) as refused:
        await judge.resolve(document, Call(args={"lists": [5]}))
    assert [problem.path for problem in refused.value.problems] == ["args.lists"]


async def test_one_process_serves_all_and_a_new_one_comes_after_its_end() -> None:
    judge = Judge()
    await judge.validate(HEAVY)
    first = judge._worker
    await judge.validate(HEAVY)
    assert judge._worker is first
    assert first is not None
    first._process.kill()
    first._process.wait()
    assert (await judge.validate(HEAVY)).pipeline.name == "a"
    assert judge._worker is not first


async def test_one_that_takes_too_long_is_ended() -> None:
    judge = Judge(cpu_seconds=0.1)
    steps = "".join(
        f"- {{name: s{step}, container: {{image: a, command: ['${{{{ {step} + size(args.list) }}}}']}}}}\n"
        for step in range(2000)
    )
    with pytest.raises(InvalidError, match=r"more than 0\.1 s"):
        await judge.validate(LIGHT + steps)
    assert (await judge.validate(HEAVY)).pipeline.name == "a"


async def test_a_cancel_ends_the_work() -> None:
    judge = Judge()
    await judge.validate(HEAVY)
    assert judge._worker is not None
    process = judge._worker._process
    os.kill(process.pid, signal.SIGSTOP)  # it never answers
    asked = asyncio.create_task(judge.validate(HEAVY))
    while judge._worker is not None:
        await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert process.wait() == -signal.SIGKILL
    assert (await judge.validate(HEAVY)).pipeline.name == "a"


async def test_too_many_large_ones_are_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "MAX_WAITING", 2)
    judge = Judge()
    found = await asyncio.gather(*[judge.validate(HEAVY) for _ in range(5)], return_exceptions=True)
    assert [isinstance(item, UnavailableError) for item in found] == [False, False, True, True, True]
    assert (await judge.validate(LIGHT)).pipeline.name == "a"


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (_nested(900), "nested more than 64"),
        (list(range(6000)), "over 5,000 entries"),
        ([list(range(4000))] * 30, "over 100,000 values"),
    ],
)
def test_json_has_the_bounds_of_yaml(value: Any, problem: str) -> None:
    with pytest.raises(SpecError, match=problem):
        read_value({"x": value})

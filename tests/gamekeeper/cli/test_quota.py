"""The commands of quotas, against a real api."""

from __future__ import annotations

import json

import pytest

from tests.fixtures.api import ApiUnderTest
from tests.gamekeeper.cli.test_key import Keys, keys

__all__ = ["keys"]


async def test_a_quota_is_set_shown_and_taken_away(keys: Keys) -> None:
    assert (await keys("user", "make", "mia", "--role", "developer")).code == 0
    limits = ("--instances", "3", "--cpus", "1.5", "--memory", "8g", "--ports", "6")
    said = await keys("user", "quota", "mia", *limits)
    assert said.code == 0, said.err
    assert [line.split() for line in said.lines] == [
        ["OF", "USED", "LIMIT"],
        ["instances", "0", "3"],
        ["CPUs", "0", "1.5"],
        ["memory", "0", "MiB", "8.0", "GiB"],
        ["ports", "0", "6"],
    ]
    shown = json.loads((await keys("user", "quota", "mia", "--ports", "none", "--json")).out)
    assert (shown["ports"]["limit"], shown["memory_bytes"]["limit"]) == (None, 8 * 2**30)
    assert (await keys("user", "quota", "mia")).lines[-1].split() == ["ports", "0", "no", "limit"]


async def test_ones_own(keys: Keys, api: ApiUnderTest) -> None:
    assert len((await keys("whoami")).lines) == 1
    own = (await api.http.get("/whoami")).json()["key"]["id"]
    assert (await keys("key", "quota", own, "--instances", "2")).code == 0
    assert (await keys("--api-key", api.http.headers["Authorization"].split()[1], "whoami")).lines[1:] == [
        "its instances have 0 of 2 instances"
    ]


@pytest.mark.parametrize(
    ("option", "text", "example"),
    [("--instances", "three", "write it as 3"), ("--cpus", "x", "as 1.5"), ("--memory", "lots", "as 8g")],
)
async def test_odd_limits(keys: Keys, option: str, text: str, example: str) -> None:
    await keys("user", "make", "mia")
    said = await keys("user", "quota", "mia", option, text)
    assert said.code == 1
    assert f"{option} {text}: " in said.err
    assert example in said.err

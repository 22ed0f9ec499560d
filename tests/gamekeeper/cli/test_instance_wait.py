"""Waits for an instance that is gone before anybody looks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gamekeeper.cli.context import Context
from gamekeeper.cli.instance_wait import Watch, finish
from tests.fixtures.api import ADMIN_KEY, ApiUnderTest

FOUND = {"id": "arena", "serial": 3, "state": "ready", "desired": "running", "revision": 1, "running_revision": 1}


async def test_one_that_is_gone_at_the_first_look(api: ApiUnderTest, capsys: pytest.CaptureFixture[str]) -> None:
    await api.serve_rest()
    obj = Context(f"http://{api.rest_address}", ADMIN_KEY, None)

    def wait(**options: Any) -> dict[str, Any]:
        return Watch(obj, FOUND | {"node": "node-1"}, quiet=True).settled(3, **options)

    for options in ({}, {"reverting": 4}):
        ended = await asyncio.to_thread(wait, **options)
        assert (ended["state"], ended["node"], ended["revision"]) == ("deleted", "node-1", 1)
        finish(ended, as_json=False)
        assert capsys.readouterr().out == "instance arena is deleted\n"

"""API keys on a real stack: rotated without a lock-out, and the way back when the last one is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gamekeeper.stack.layout import StateDir
from tests.fixtures.stack import Stack, node_id
from tests.hang import HANG_SECONDS


@pytest.fixture
def fresh(tmp_path: Path, test_image: str) -> Iterator[Stack]:
    made = Stack(tmp_path / "state", test_image)
    made.node = node_id("keys")
    yield made
    made.destroy()


def until_refused(stack: Stack, secret: str) -> None:
    url, deadline = StateDir(stack.state_dir).load().rest_url, time.monotonic() + HANG_SECONDS
    while time.monotonic() < deadline:
        answer = httpx.get(f"{url}/api/v1/whoami", headers={"Authorization": f"Bearer {secret}"})
        if answer.status_code == 401:
            return
        time.sleep(0.1)
    pytest.fail("the key is still good")


def test_keys_of_a_stack(fresh: Stack) -> None:
    file = StateDir(fresh.state_dir).key_file
    fresh.up()
    first = file.read_text().strip()
    fresh.command("key", "rotate", "--overlap", "0s")
    second = file.read_text().strip()
    assert second != first
    until_refused(fresh, first)
    other = fresh.json("key", "make", "other")
    fresh.command("--api-key", other["key"], "key", "revoke", "admin")
    until_refused(fresh, second)
    refused = fresh.command("whoami", check=False)
    assert (refused.returncode, "was revoked or ran out" in refused.stderr) == (5, True)
    again = fresh.command("up", "--detach", "--node", fresh.node)
    assert "the admin key of this stack was revoked or ran out" in again.stderr
    fresh.command("down")
    up = fresh.command("up", "--detach", "--node", fresh.node)
    assert f"made a new one, in {file}" in up.stderr
    assert file.read_text().strip() not in (first, second)
    assert fresh.json("whoami")["actor"] == "key:admin"
    until_refused(fresh, second)
    assert fresh.json("key", "show", other["id"])["state"] == "good"
    kinds = [event["kind"] for event in fresh.get("/events?kind=key").json()["items"]]
    assert kinds == ["key.made", "key.revoked", "key.made", "key.rotated", "key.made"]

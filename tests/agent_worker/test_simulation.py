"""A made-up fleet is there for the control plane like a real one, and comes back with the same identities."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from agent_worker.simulation import simulate
from tests.fixtures.api import ApiUnderTest
from tests.hang import HANG_SECONDS

COUNT = 12


async def test_a_fleet_comes_goes_and_comes_back(api: ApiUnderTest, tmp_path: Path) -> None:
    tokens = {}
    for number in range(COUNT):
        await api.add_node(f"sim-{number}")
        tokens[f"sim-{number}"] = await api.new_token(f"sim-{number}")
    server = await api.serve_rest()
    tokens_file = tmp_path / "tokens.json"
    for round_ in range(2):
        tokens_file.write_text(json.dumps(tokens if round_ == 0 else dict.fromkeys(tokens, "")))
        fleet = api.background(simulate(server, tokens_file, tmp_path))
        async with asyncio.timeout(HANG_SECONDS):
            while not await _all_are(api, "online", with_inventory=True):
                await asyncio.sleep(0.1)
        fleet.cancel()
        async with asyncio.timeout(HANG_SECONDS):
            while not await _all_are(api, "offline"):
                await asyncio.sleep(0.1)


async def _all_are(api: ApiUnderTest, status: str, *, with_inventory: bool = False) -> bool:
    items = (await api.http.get("/nodes?limit=500")).json()["items"]
    told = all(item["inventory"] for item in items) or not with_inventory
    return told and [item["status"] for item in items] == [status] * COUNT

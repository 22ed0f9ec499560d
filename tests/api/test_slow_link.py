"""A link with a round trip of a second and a half that jitters: beats come late, in clumps; the node stays online."""

from __future__ import annotations

import asyncio
from typing import Any

from api.services.node.presence import Lease
from tests.fixtures.api import ApiUnderTest
from tests.fixtures.slow_proxy import slow_proxy
from tests.hang import HANG_SECONDS

DELAYS = (0.6, 0.8, 0.55, 0.85, 0.65, 0.75)  # seconds each way


async def test_delay_and_jitter_raise_no_alarm_and_are_told(api: ApiUnderTest) -> None:
    api.process.presence._lease = Lease(heartbeat_ms=500, lease_ms=6000)
    await api.add_node()
    await api.enrol()
    async with slow_proxy(api.link_address, DELAYS) as address:
        api.identities["node-1"].link_port = int(address.partition(":")[2])
        agent = api.make_agent(api.identities["node-1"])
        for part in agent.work():
            api.background(part)
        await asyncio.wait_for(agent.link.connected.wait(), HANG_SECONDS)
        async with asyncio.timeout(HANG_SECONDS):
            while "LinkDegraded" not in [item["type"] for item in (await _node(api))["conditions"]]:
                await asyncio.sleep(0.1)
        epoch = agent.link.calls.epoch
        for _ in range(20):
            assert (await _node(api))["status"] == "online"
            await asyncio.sleep(0.2)
        assert agent.link.calls.epoch == epoch
        kinds = [item["kind"] for item in (await api.http.get("/events", params={"kind": "node"})).json()["items"]]
        assert not {"node.suspect", "node.offline"} & set(kinds)
        await agent.link.close()


async def _node(api: ApiUnderTest) -> dict[str, Any]:
    found: dict[str, Any] = (await api.http.get("/nodes/node-1")).json()
    return found

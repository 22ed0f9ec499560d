"""The words of commands about nodes."""

from __future__ import annotations

import json
from pathlib import Path

from gamekeeper.db.models import InstanceRevisionRow, InstanceRow
from tests.gamekeeper.cli.conftest import Command


async def test_a_node_is_taken_out_and_in_again(command: Command) -> None:
    said = await command("node", "cordon", "node-1")
    assert said.lines == ["node-1 is in maintenance: no new steps or instances, running ones go on"]
    said = await command("node", "uncordon", "node-1")
    assert said.lines == ["node-1 is active: it takes steps and instances"]
    said = await command("node", "drain", "node-1", "--deadline", "30m")
    assert said.lines[0].startswith("node-1 takes nothing new; it is disabled when its steps have ended, at 20")
    said = await command("node", "drain", "node-1", "--deadline", "soon")
    assert (said.code, '"soon" is not a duration' in said.err) == (2, True)


async def test_a_node_shows_its_room(command: Command) -> None:
    said = await command("node", "edit", "node-1", "--capacity", "cpus=6", "--capacity", "memory_bytes=8589934592")
    assert said.code == 0
    rows = [line.split() for line in (await command("node", "show", "node-1")).lines]
    assert ["ROOM", "HAS", "PROMISED", "FREE"] in rows
    assert ["CPUs", "6", "0", "6"] in rows
    assert ["memory", "8.0", "GiB", "0.0", "GiB", "8.0", "GiB"] in rows
    assert ["processes", "-", "0", "-"] in rows
    assert ["ports", "20000-29999", "0"] in rows


async def test_the_nodes_that_would_take_an_instance(command: Command, tmp_path: Path) -> None:
    await command.api.add_node("node-2")
    file = tmp_path / "arena.yaml"
    file.write_text("{node: {labels: {}}, container: {image: i, ports: [{name: game, target: 80, published: 0}]}}")
    said = await command("node", "fit", "-f", str(file))
    assert said.lines[0] == "node-1 would take it, game at 20000"
    assert said.lines[-1].split(maxsplit=1) == ["node-2", "it has never been there"]
    file.write_text("{node: {labels: {pool: z}}, container: {image: i}}")
    said = await command("node", "fit", "-f", str(file))
    assert said.lines[0] == "no node could ever take it"
    assert said.lines[-1].split(maxsplit=1) == ["node-2", "it has no label pool=z"]


async def test_a_node_shows_its_instances_and_no_others(command: Command) -> None:
    await command.api.add_node("node-2")
    async with command.api.database.write() as session:
        for name, node in (("arena", "node-1"), ("lobby", "node-2")):
            session.add(InstanceRow(id=name, node_id=node, state="ready", ports=["8303:8303/udp"]))
            await session.flush()
            spec = {"container": {"image": "arena:1"}}
            session.add(InstanceRevisionRow(instance_id=name, revision=1, spec=spec))
    lines = (await command("node", "show", "node-1")).lines
    at = lines.index(next(line for line in lines if line.startswith("ID")))
    assert lines[at].split() == ["ID", "STATE", "SINCE", "REV", "IMAGE", "PORTS"]
    told = lines[at + 1].split()
    assert (told[:2], told[-3:]) == (["arena", "ready"], ["1", "arena:1", "8303:8303/udp"])
    assert not any("lobby" in line for line in lines)
    shown = json.loads((await command("node", "show", "node-1", "--json")).out)
    assert [item["id"] for item in shown["instances"]] == ["arena"]


async def test_a_forced_removal_names_the_instances_that_are_left(command: Command) -> None:
    async with command.api.database.write() as session:
        session.add(InstanceRow(id="arena", node_id="node-1"))
        await session.flush()
        session.add(InstanceRevisionRow(instance_id="arena", revision=1, spec={"container": {"image": "i"}}))
    said = await command("node", "rm", "node-1")
    assert (said.code, "instance rm arena" in said.err) == (2, True)
    said = await command("node", "rm", "node-1", "--force")
    assert said.lines == [
        "removed node-1",
        "its machine keeps 1 instance, unknown from now on: arena",
    ]

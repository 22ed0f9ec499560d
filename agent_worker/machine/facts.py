"""Facts about this machine: read by well-kept libraries, told to the server at each session."""

from __future__ import annotations

import asyncio
import json
import platform
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from typing import Any

import distro
import psutil

from gamekeeper import __version__
from gamekeeper.domain.node.node import NodeFacts
from gamekeeper.errors import GamekeeperError, UnavailableError
from gamekeeper.logging import get_logger
from gamekeeper.ports.container_engine import ContainerEngine
from gamekeeper.whole_file import write_whole

log = get_logger(__name__)

CPUINFO_SECONDS = 15.0
_TOLD_BEFORE_JOINING = {"os", "kernel", "architecture", "cpu_model", "cpu_count", "memory_bytes", "agent_version"}


async def gather_facts(engine: ContainerEngine, state_dir: Path) -> NodeFacts:
    """Gathers the facts. Without the engine its fields are empty."""
    try:
        docker = await engine.version()
    except GamekeeperError as error:
        log.warning("%s", error)
        docker = {}
    told = {"docker_version": docker.get("version", ""), "docker_storage_driver": docker.get("storage_driver", "")}
    return (await machine_facts(state_dir)).model_copy(update=told)


async def machine_facts(state_dir: Path) -> NodeFacts:
    """The facts that need no engine."""
    addresses = [
        address.address
        for interface in psutil.net_if_addrs().values()
        for address in interface
        if address.family in (socket.AF_INET, socket.AF_INET6)
        and not address.address.startswith(("127.", "::1", "fe80"))
    ]
    return NodeFacts(
        hostname=socket.gethostname(),
        os=distro.name(pretty=True),
        kernel=platform.release(),
        architecture=platform.machine(),
        cpu_model=await _cpu_model(state_dir / "cpu-model"),
        cpu_count=psutil.cpu_count() or 0,
        memory_bytes=psutil.virtual_memory().total,
        disk_bytes=psutil.disk_usage("/").total,
        addresses=sorted(set(addresses))[:32],
        agent_version=__version__,
    )


async def describe_machine(state_dir: Path, node: str = "") -> dict[str, Any]:
    """This machine as it asks to join with a join key; ``node`` stands for its host name where it is given."""
    facts = await machine_facts(state_dir)
    return {"host": node or facts.hostname, "facts": facts.model_dump(include=_TOLD_BEFORE_JOINING)}


async def _cpu_model(cache: Path) -> str:
    """py-cpuinfo takes a second and its imports stay in memory, so it runs once, in a process of its own."""
    if cache.exists() and (known := cache.read_text()):
        return known
    command = (sys.executable, "-m", "cpuinfo", "--json")
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=DEVNULL)
    try:
        async with asyncio.timeout(CPUINFO_SECONDS):
            output, _ = await process.communicate()
        model = str(json.loads(output).get("brand_raw", ""))
        write_whole(cache, model, synced=False)
    except UnavailableError as error:
        log.warning("the CPU's model is asked for again at the next start: %s", error)
    except (TimeoutError, ValueError, OSError) as error:
        log.warning("the CPU's model is not known: %s", type(error).__name__)
        if process.returncode is None:
            process.kill()
        return ""
    return model

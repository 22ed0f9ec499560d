"""``make demo``: a real game server on this machine as the first node, from nothing, and a probe that talks to it."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import docker
from docker.errors import ImageNotFound

from scripts.base_image import ensure_base_image

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "teeworlds"
IMAGE = "gamekeeper/teeworlds:demo"
SOURCE_LABEL = "gamekeeper-demo.source"
GAMEKEEPER = str(Path(sys.executable).parent / "gamekeeper")


def main() -> None:
    client = docker.from_env()
    building = subprocess.Popen([sys.executable, "-m", "scripts.web", "--if-possible"], cwd=ROOT)
    ensure_image(client)
    run("up", "--detach")
    status = call("status", check=False)  # whose exit code tells of everything beside, as a nearly full disk
    node = status["agents"][0]["node"]
    arena = find_arena()
    if arena is None:
        port = free_udp_port()
        arguments = ["run", str(EXAMPLE / "deploy.yaml"), "--node", node, "--arg", f"port={port}", "--follow"]
    else:
        port = port_of(arena)
        print(f"\nthe arena of an earlier demo is up on port {port}: probing it")
        arguments = ["run", str(EXAMPLE / "probe.yaml"), "--node", node, "--arg", f"port={port}", "--follow"]
    print()
    if run(*arguments, check=False) != 0:
        raise SystemExit("\nthe example failed; its steps and logs stand above")
    building.wait()
    report(status)


def ensure_image(client: docker.DockerClient) -> None:
    """Builds the example's image, once for each content of its folder."""
    source = hashlib.sha256(b"".join((EXAMPLE / name).read_bytes() for name in ("Dockerfile", "probe.py"))).hexdigest()
    try:
        if client.images.get(IMAGE).labels.get(SOURCE_LABEL) == source:
            return
    except ImageNotFound:
        pass
    base = ensure_base_image(client)
    print(f"gamekeeper: building {IMAGE} on {base} (a minute, once)", flush=True)
    for event in client.api.build(
        path=str(EXAMPLE), tag=IMAGE, buildargs={"BASE": base}, labels={SOURCE_LABEL: source}, rm=True, decode=True
    ):
        if "error" in event:
            raise SystemExit(f"gamekeeper: {IMAGE} can't be built: {event['error']}")


def run(*arguments: str, check: bool = True) -> int:
    done = subprocess.run([GAMEKEEPER, *arguments], check=False)
    if check and done.returncode != 0:
        raise SystemExit(done.returncode)
    return done.returncode


def call(*arguments: str, check: bool = True) -> Any:
    done = subprocess.run([GAMEKEEPER, *arguments, "--json"], check=check, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def find_arena() -> dict[str, Any] | None:
    """The instance of an earlier demo, where it is ready."""
    found = [item for item in call("instance", "ls", "--pipeline", "deploy-teeworlds") if item["ports"]]
    return next((dict(item) for item in found if item["state"] == "ready"), None)


def port_of(arena: dict[str, Any]) -> int:
    return int(arena["ports"][0].split("->")[0].rpartition(":")[2])


def free_udp_port(usual: int = 8303) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("0.0.0.0", usual))
        except OSError:
            probe.bind(("0.0.0.0", 0))
        return int(probe.getsockname()[1])


def report(status: dict[str, Any]) -> None:
    arena = find_arena()
    newest = call("runs", "ls", "--limit", "1")[0]
    ui = status["temporal"].get("ui", "")
    prefix = "" if os.environ.get("PATH", "").startswith(str(ROOT / ".venv")) else ".venv/bin/"
    print(f"""
What ran      pipeline {newest["pipeline"]}, run {newest["id"]}: {newest["state"]}
Its log       {prefix}gamekeeper runs logs {newest["id"]}
Its history   {ui}/namespaces/default/workflows/run%2F{newest["id"]}""")
    if arena is not None:
        instance = f"{prefix}gamekeeper instance"
        print(f"""The server    {instance} ls   (logs, console, stop, start, update: {instance} -h)
To play       connect a Teeworlds 0.7 client to this machine, UDP port {port_of(arena)}
To stop       {instance} rm {arena["id"]}   (the game server; it survives what follows)
              make down   (Gamekeeper itself)""")
    print("Again         make demo")
    print(f"""
In a browser  {console_link(status, arena)}
              (signs in once, within 15 minutes; {prefix}gamekeeper user link prints another)""")


def console_link(status: dict[str, Any], arena: dict[str, Any] | None) -> str:
    """The web console at the game server, with a sign-in where the key of this stack may make one."""
    page = f"/instances/{arena['id']}" if arena is not None else "/"
    made = subprocess.run([GAMEKEEPER, "user", "link", "--page", page], check=False, capture_output=True, text=True)
    return made.stdout.strip() or f"{status['api']['url']}{page}"


if __name__ == "__main__":
    main()

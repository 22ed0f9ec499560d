"""A Gamekeeper stack of a benchmark's own, in a temporary directory, driven by its command and its REST API."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import httpx

NODE = "bench"
GAMEKEEPER = str(Path(sys.executable).parent / "gamekeeper")
TIMEOUT_SECONDS = 60


class Stack:
    """``options`` are those of ``gamekeeper up``."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self._nodes = [NODE]
        self.command("up", "--detach", "--node", NODE, *options)
        found = self.status()
        self.link_address: str = found["api"]["node_link"]
        self.rest_address: str = found["api"]["url"].removeprefix("http://")
        self.api_key = Path(found["api_key_file"]).read_text().strip()
        self.http = httpx.Client(
            base_url=f"{found['api']['url']}/api/v1",
            headers={"Authorization": f"Bearer {self.api_key}"},
            timeout=TIMEOUT_SECONDS,
        )

    def command(self, *arguments: str) -> str:
        command = [GAMEKEEPER, "--state-dir", str(self.folder / "state"), *arguments]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    def status(self) -> dict[str, Any]:
        """The answer of ``gamekeeper status --json``: processes with their pids and addresses."""
        found: dict[str, Any] = json.loads(self.command("status", "--json"))
        return found

    def pid(self, part: str) -> int:
        found = self.status()
        return int((found["agents"][0] if part == "agent" else found[part])["pid"])

    def close(self) -> None:
        """Ends the stack and its containers: the next agent of the same node would take them up, and their logs."""
        self.http.close()
        self.command("down")
        client = docker.from_env()
        for node in self._nodes:
            for container in client.containers.list(
                all=True, ignore_removed=True, filters={"label": f"gamekeeper.node={node}"}
            ):
                container.remove(force=True)
        client.close()

    def enrol(self, node: str) -> str:
        """A token for a new node."""
        self._nodes.append(node)
        self.http.post("/nodes", json={"id": node}).raise_for_status()
        return str(self.http.post(f"/nodes/{node}/enrolment-tokens", json={}).json()["token"])

    def submit(self, *steps: Mapping[str, Any], node: str = NODE) -> str:
        answer = self.http.post("/runs", json={"spec": {"name": "bench", "steps": list(steps)}, "node": node})
        answer.raise_for_status()
        return str(answer.json()["id"])

    def ended(self, run_id: str) -> dict[str, Any]:
        while not self._has_ended(run_id):
            time.sleep(0.4)  # seldom: asking loads the machine that is measured
        found: dict[str, Any] = self.http.get(f"/runs/{run_id}").json()
        assert found["state"] == "succeeded", found
        return found

    def _has_ended(self, run_id: str) -> bool:
        """Reads the list, which has no steps: a run of a thousand takes the api a tenth of a second."""
        newest = self.http.get("/runs", params={"limit": 50}).json()["items"]
        return any(item["id"] == run_id and item["finished_at"] for item in newest)


@contextmanager
def stack(*options: str) -> Iterator[Stack]:
    folder = Path(tempfile.mkdtemp(prefix="gk-bench-"))
    try:
        made = Stack(folder, *options)
        try:
            yield made
        finally:
            made.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)

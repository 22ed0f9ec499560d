"""A Gamekeeper stack of a benchmark's own, in a temporary directory, driven by its command and its REST API."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

NODE = "bench"
GAMEKEEPER = str(Path(sys.executable).parent / "gamekeeper")


class Stack:
    """``environment`` is added to that of every process of the stack."""

    def __init__(self, folder: str, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self._environment = dict(environment or {})
        self._command("up", "--detach", "--node", NODE)
        status = self.status()
        key = Path(status["api_key_file"]).read_text().strip()
        url = status["api"]["url"]
        self.http = httpx.Client(base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {key}"}, timeout=60)

    def _command(self, *arguments: str) -> str:
        command = [GAMEKEEPER, "--state-dir", self.folder, *arguments]
        environment = {**_inherited(), **self._environment}
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout

    def status(self) -> dict[str, Any]:
        """As ``gamekeeper status --json`` tells it: processes with their pids and addresses."""
        found: dict[str, Any] = json.loads(self._command("status", "--json"))
        return found

    def close(self) -> None:
        self.http.close()
        self._command("down")

    def submit(self, *steps: Mapping[str, Any]) -> str:
        answer = self.http.post("/runs", json={"spec": {"name": "bench", "steps": list(steps)}, "node": NODE})
        answer.raise_for_status()
        return str(answer.json()["id"])

    def ended(self, run_id: str) -> dict[str, Any]:
        while True:
            found: dict[str, Any] = self.http.get(f"/runs/{run_id}").json()
            if found["state"] in ("succeeded", "failed", "canceled"):
                assert found["state"] == "succeeded", found
                return found
            time.sleep(0.4)  # seldom: asking loads the machine that is measured


def _inherited() -> dict[str, str]:
    import os

    return dict(os.environ)

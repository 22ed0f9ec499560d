"""The command as a process of its own, against a real api whose agents have a dummy engine."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from gamekeeper.cli.app import build, exit_code
from gamekeeper.errors import GamekeeperError
from tests.fixtures.api import ADMIN_KEY, ApiUnderTest
from tests.hang import HANG_SECONDS

# As a shell's foreground does; tests that run in a background inherit that SIGINT is ignored. There is no preexec_fn,
# because the copy of a process in which gRPC runs may abort.
TAKES_INTERRUPTS = ("env", "--default-signal=INT")
SHELL_PASSWORD = "correct horse battery"
GAMEKEEPER = str(Path(sys.executable).parent / "gamekeeper")


@dataclass(frozen=True)
class Said:
    code: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.decode().splitlines()


class Command:
    """Types commands at an api."""

    def __init__(self, api: ApiUnderTest, folder: Path) -> None:
        self.api = api
        self._folder = folder

    async def begin(self, *words: str) -> Process:
        options = ["--server", f"http://{self.api.rest_address}", "--api-key", ADMIN_KEY]
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self._folder), "PYTHONUNBUFFERED": "1"}
        return await asyncio.create_subprocess_exec(
            *TAKES_INTERRUPTS,
            GAMEKEEPER,
            *options,
            *words,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=environment,
        )

    async def __call__(self, *words: str, given: bytes = b"") -> Said:
        process = await self.begin(*words)
        async with asyncio.timeout(HANG_SECONDS):
            out, err = await process.communicate(given)
        return Said(process.returncode or 0, out, err.decode())

    async def interrupt_after(self, part: str, *words: str) -> Said:
        """Ctrl-C as soon as the command has said ``part``."""
        process = await self.begin(*words)
        assert process.stdout is not None
        said = b""
        async with asyncio.timeout(HANG_SECONDS):
            while part.encode() not in said:
                said += await process.stdout.readline()
            process.send_signal(signal.SIGINT)
            out, err = await process.communicate()
        return Said(process.returncode or 0, said + out, err.decode())

    def write(self, *steps: dict[str, Any], **keys: Any) -> str:
        """A pipeline file."""
        path = self._folder / "pipeline.yaml"
        path.write_text(yaml.safe_dump({"version": 1, "name": "test", "steps": list(steps)} | keys))
        return str(path)


def step(name: str, **fields: Any) -> dict[str, Any]:
    """A step of the dummy engine, which does what ``dummy`` says."""
    environment = {f"DUMMY_{key.upper()}": str(value) for key, value in fields.pop("dummy", {}).items()}
    return {"name": name, "container": {"image": "image", "environment": environment}} | fields


@pytest.fixture
async def command(api: ApiUnderTest, tmp_path: Path) -> Command:
    """With node-1 and its agent."""
    await api.add_node()
    await api.serve_rest()
    await api.start_control_worker()
    await api.start_agent()
    return Command(api, tmp_path)


class Shell:
    """Types commands in a home of its own. ``server`` stands before each, unless it is empty."""

    def __init__(self, api: ApiUnderTest, folder: Path) -> None:
        self.url = f"http://{api.rest_address}"
        self._folder = folder

    async def __call__(self, *words: str, given: str = "") -> Said:
        async with asyncio.timeout(HANG_SECONDS):
            done = await asyncio.to_thread(CliRunner().invoke, build(), list(words), input=given)
        if isinstance(done.exception, GamekeeperError):
            return Said(exit_code(done.exception), done.stdout_bytes, str(done.exception))
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return Said(done.exit_code, done.stdout_bytes, done.stderr)

    async def as_admin(self, *words: str, given: str = "") -> Said:
        return await self("--server", self.url, "--api-key", ADMIN_KEY, *words, given=given)

    async def made(self, name: str, *words: str) -> str:
        """A user's one-time password."""
        said = await self.as_admin("user", "make", name, *words)
        assert said.code == 0, said.err
        return said.lines[0]

    async def signs_in(self, name: str, *words: str) -> None:
        """Makes the user, signs it in, and takes its context from now on."""
        once = await self.made(name, *words)
        said = await self("login", "--server", self.url, "--password-stdin", name, given=f"{once}\n{SHELL_PASSWORD}\n")
        assert said.code == 0, said.err


@pytest.fixture
async def shell(api: ApiUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("SERVER", "API_KEY", "CONTEXT", "STATE_DIR", "PIN"):
        monkeypatch.delenv(f"GAMEKEEPER_{name}", raising=False)
    await api.serve_rest()
    return Shell(api, tmp_path)

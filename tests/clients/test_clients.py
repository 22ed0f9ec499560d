"""Clients that two generators make of a running api's document list nodes, check, submit and read; `/docs` shows it."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.api import ADMIN_KEY, ApiUnderTest
from tests.hang import HANG_SECONDS

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
HOME = ROOT / ".cache" / "clients"
PYTHON, NODE = HOME / "python" / "bin", HOME / "node" / "node_modules"
pytestmark = [
    pytest.mark.xdist_group("clients"),
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),  # no matter of the database
]
WALKED = {
    "nodes": ["node-1"],
    "valid": True,
    "problem": "steps",
    "run": True,
    "steps": ["one"],
    "missing": "not_found",
}


async def run(*command: object, folder: Path) -> str:
    """The output of a command that runs beside this process's event loop, which serves the api to it."""
    environment = os.environ | {"PATH": f"{PYTHON}:{os.environ['PATH']}"}  # the generator calls ruff
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(HANG_SECONDS):
        printed = (await process.communicate())[0].decode()
    assert process.returncode == 0, printed
    return printed


@pytest.fixture
async def url(api: ApiUnderTest, tmp_path: Path) -> str:
    """The address of an api with a node, its document in a file, and the generators installed."""
    await run(ROOT / "scripts" / "make_tools.sh", "clients", "tests/clients", folder=ROOT)
    address = f"http://{await api.serve_rest()}"
    await api.start_control_worker()
    await api.add_node()
    await api.start_agent()
    (tmp_path / "openapi.json").write_text((await api.http.get("/openapi.json")).text)
    return address


async def test_a_client_by_openapi_python_client(url: str, tmp_path: Path) -> None:
    generate = (PYTHON / "openapi-python-client", "generate", "--path", "openapi.json", "--fail-on-warning")
    await run(*generate, "--config", HERE / "generator.yaml", "--output-path", "client", folder=tmp_path)
    (tmp_path / "client" / "walk.py").write_text((HERE / "walk.py").read_text())
    walked = await run(PYTHON / "python", "walk.py", url, ADMIN_KEY, "node-1", folder=tmp_path / "client")
    assert json.loads(walked) == WALKED


async def test_a_client_by_openapi_typescript(url: str, tmp_path: Path) -> None:
    for name in ("walk.ts", "tsconfig.json", "package.json"):
        (tmp_path / name).write_text((HERE / name).read_text())
    (tmp_path / "node_modules").symlink_to(NODE)
    await run(NODE / ".bin" / "openapi-typescript", "openapi.json", "-o", "schema.d.ts", folder=tmp_path)
    await run(NODE / ".bin" / "tsc", folder=tmp_path)
    walked = await run("node", "out/walk.js", url, ADMIN_KEY, "node-1", folder=tmp_path)
    assert json.loads(walked) == WALKED


async def test_the_page_docs_asks_for_the_key_and_shows_every_tag(url: str, tmp_path: Path) -> None:
    (tmp_path / "page.mjs").write_text((HERE / "page.mjs").read_text())
    (tmp_path / "node_modules").symlink_to(NODE)
    seen: dict[str, Any] = json.loads(await run("node", "page.mjs", url, ADMIN_KEY, folder=tmp_path))
    document = json.loads((tmp_path / "openapi.json").read_text())
    assert seen["tags"] == [tag["name"] for tag in document["tags"]]
    assert "key" in seen["trouble"]
    assert seen["hidden"]
    assert seen["kept"] == 0
    assert seen["asked"] == [f"{url}/api/v1/openapi.json"]
    assert seen["troubles"] == []

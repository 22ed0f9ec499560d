"""Nodes with a keeper, on the dummy and on Docker."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Generator
from pathlib import Path

import pytest

from agent_worker.docker_engine import DockerEngine
from agent_worker.dummy_engine import DummyEngine
from tests.agent_worker.instance.node import NODES, KeptNode
from tests.hang import HANG_SECONDS

SETTLE_SECONDS = 0.05


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails shows what its keepers told: an assertion shows the beginning and the end of one status."""
    report = yield
    if report.failed:
        report.sections += [(f"told of instance {node.instance}", node.story) for node in NODES]
    return report


@pytest.fixture(autouse=True)
def _no_nodes_of_other_tests() -> None:
    NODES.clear()


@pytest.fixture(autouse=True)
def _soon_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_worker.instance.readiness.SETTLE_SECONDS", SETTLE_SECONDS)


@pytest.fixture
def never_ready(_soon_ready: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """For processes that end at once: on a busy machine they may be up for longer than is asked of others."""
    monkeypatch.setattr("agent_worker.instance.readiness.SETTLE_SECONDS", HANG_SECONDS)


@pytest.fixture
def dummy() -> DummyEngine:
    return DummyEngine("node-1")


@pytest.fixture
async def node(tmp_path: Path, dummy: DummyEngine) -> AsyncIterator[KeptNode]:
    node = KeptNode(tmp_path, dummy).begin()
    yield node
    await node.kill()


@pytest.fixture
async def docker_node(tmp_path: Path, docker_engine: DockerEngine, test_image: str) -> AsyncIterator[KeptNode]:
    """Its instance has a name that no other test's has."""
    node = KeptNode(tmp_path, docker_engine, test_image, docker_engine._node)
    node.instance = f"game-{uuid.uuid4().hex[:8]}"
    node.begin()
    yield node
    await node.kill()

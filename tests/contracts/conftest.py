"""Both engines, as the subject of each test of a contract."""

from __future__ import annotations

import pytest

from agent_worker.dummy_engine import DummyEngine
from tests.contracts.subject import Subject


@pytest.fixture(params=["dummy", "docker"])
def subject(request: pytest.FixtureRequest) -> Subject:
    if request.param == "dummy":
        return Subject(DummyEngine("node-1"), "image", "node-1", dummy=True)
    engine = request.getfixturevalue("docker_engine")
    return Subject(engine, request.getfixturevalue("test_image"), engine._node, dummy=False)

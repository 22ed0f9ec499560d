"""Addresses of servers."""

from __future__ import annotations

import pytest

from agent_worker.node_link.dial import addresses
from gamekeeper.errors import InvalidError


def test_several_servers() -> None:
    assert addresses("a:1") == ["a:1"]
    assert addresses(" a:1, b:2,,") == ["a:1", "b:2"]
    with pytest.raises(InvalidError, match="no server is named"):
        addresses(" , ")

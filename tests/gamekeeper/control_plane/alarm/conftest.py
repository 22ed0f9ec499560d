"""A scene on each database."""

from __future__ import annotations

import pytest

from gamekeeper.db.engine import Database
from tests.gamekeeper.control_plane.alarm.scenes import Scene


@pytest.fixture
def scene(database: Database) -> Scene:
    return Scene(database)

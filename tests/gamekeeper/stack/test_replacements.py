"""The event of a replaced process outlives an api that does not take it yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gamekeeper.errors import UnavailableError
from gamekeeper.stack.layout import Ports, StackRecord, StateDir
from gamekeeper.stack.replacements import Replacements
from tests.gamekeeper.stack.small_api import SmallApi, serving


@pytest.fixture
def api() -> Iterator[SmallApi]:
    with serving() as api:
        yield api


def told(replacements: Replacements) -> None:
    """Until one call to the api has come to its end."""
    replacements._telling.is_done()
    while replacements._telling._thread is not None:
        replacements._telling.is_done()


@pytest.fixture
def replacements(api: SmallApi, tmp_path: Path) -> Replacements:
    state = StateDir(tmp_path)
    state.ensure_admin_key()
    return Replacements(state, StackRecord(ports=Ports(rest=api.port, grpc=1, temporal=2, temporal_ui=3)))


def answered(api: SmallApi, monkeypatch: pytest.MonkeyPatch, status: int) -> list[str]:
    asked: list[str] = []

    def post(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        asked.append(path)
        return status, {"message": "no"}

    monkeypatch.setattr(api, "post", post)
    return asked


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_it_is_kept_until_it_is_taken(
    replacements: Replacements, api: SmallApi, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """As while the admin key is refused: its file has a good one again after the next start of the api."""
    replacements.note("api", 8.0)
    answered(api, monkeypatch, status)
    with pytest.raises(UnavailableError, match=str(status)):
        told(replacements)
    asked = answered(api, monkeypatch, 204)
    told(replacements)
    assert asked == ["/api/v1/processes/api/replaced"]
    assert not replacements._untold


def test_an_answer_that_stays_the_same_is_logged_once(
    replacements: Replacements, api: SmallApi, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As that of an api without the route."""
    replacements.note("api", 8.0)
    answered(api, monkeypatch, 404)
    told(replacements)
    assert not replacements._untold
    assert "process.replaced of api is not taken (404)" in caplog.text

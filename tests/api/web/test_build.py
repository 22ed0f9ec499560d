"""The build of the console where npm's registry does not answer."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest

from scripts import web


def test_a_registry_that_answers_nothing_is_told_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(web.WEB / "package.json", tmp_path)
    shutil.copy(web.WEB / "package-lock.json", tmp_path)
    path = web._path_with_node()
    monkeypatch.setattr(web, "ROOT", tmp_path)
    monkeypatch.setattr(web, "WEB", tmp_path)
    monkeypatch.setattr(web, "_path_with_node", lambda: path)
    monkeypatch.setattr(web, "REGISTRY_SECONDS", 1)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"http://127.0.0.1:{silent.getsockname()[1]}/")
        with pytest.raises(web.WebError, match="registry does not answer") as told:
            web.install()
    assert "npm config set registry" in str(told.value)
    assert "timeout" in str(told.value)
    assert not (tmp_path / "node_modules").exists()

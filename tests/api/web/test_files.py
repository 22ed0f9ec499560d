"""The built files: all forms are read, a new build is seen, and what is no file of the folder is not there."""

from __future__ import annotations

import os
from pathlib import Path

from api.web.files import INDEX, STAMP, WebFiles


def build(folder: Path, name: str, made: int) -> None:
    (folder / "assets").mkdir(parents=True, exist_ok=True)
    (folder / "index.html").write_text(f"<title>{name}</title>")
    (folder / "index.html.br").write_bytes(b"br")
    (folder / "assets" / "a-1234.js").write_text("1")
    (folder / STAMP).write_text(f"{name}\n")
    os.utime(folder / STAMP, ns=(made, made))


def test_no_build(tmp_path: Path) -> None:
    files = WebFiles(tmp_path / "built")
    assert files.build == ""
    assert files.find(INDEX) is None


def test_a_build_that_comes_later_and_one_that_takes_its_place(tmp_path: Path) -> None:
    files = WebFiles(tmp_path)
    assert files.find(INDEX) is None
    build(tmp_path, "one", 1)
    assert files.build == "one"
    build(tmp_path, "two", 2)
    found = files.find(INDEX)
    assert found is not None
    assert found.forms == {"": b"<title>two</title>", "br": b"br"}
    assert not found.never_changes
    assert files.build == "two"
    (tmp_path / STAMP).unlink()
    assert files.find(INDEX) is None


def test_names_are_whole_paths(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    build(tmp_path / "built", "one", 1)
    files = WebFiles(tmp_path / "built")
    asset = files.find("/assets/a-1234.js")
    assert asset is not None
    assert asset.never_changes
    assert asset.media_type == "text/javascript"
    for path in (
        "/assets/../../secret",
        "/../secret",
        "//index.html",
        "/assets/",
        "/assets",
        "/index.html.br",
        "/build.txt",
        "",
    ):
        assert files.find(path) is None, path

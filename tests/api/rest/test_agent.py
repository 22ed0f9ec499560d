"""The files that a joining machine downloads: nothing else of the disk, and bounded."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from api.rest.agent import JOIN_SCRIPT
from api.services.access import bundle as bundle_service
from gamekeeper.bundles import Bundle
from gamekeeper.errors import UnavailableError
from tests.fixtures.api import ApiUnderTest

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # no matter of the database
CONTENT = b"an archive" * 100_000


@pytest.fixture
def bundle(api: ApiUnderTest, tmp_path: Path) -> Bundle:
    made = Bundle("9", "x86_64", "2.36", hashlib.sha256(CONTENT).hexdigest())
    folder = tmp_path / "bundles"
    folder.mkdir()
    (folder / made.file).write_bytes(CONTENT)
    (folder / "secret").write_text("a secret")
    made.save(folder)
    api.process.services.bundles._folder = folder
    return made


async def test_a_machine_gets_script_note_and_archive_without_a_key(api: ApiUnderTest, bundle: Bundle) -> None:
    script = await api.anonymous.get("/join.sh")
    assert script.content == JOIN_SCRIPT
    assert script.headers["content-type"] == "text/x-shellscript; charset=utf-8"
    note = (await api.anonymous.get("/agent/x86_64.txt")).text
    assert Bundle.parse(note) == bundle
    assert f"file {bundle.file}\nsha256 {bundle.sha256}\n" in note
    archive = await api.anonymous.get(f"/agent/{bundle.file}")
    assert archive.content == CONTENT
    assert archive.headers["content-length"] == str(len(CONTENT))


@pytest.mark.parametrize("name", ["secret", "x86_64.made-from", "..", ".", "..%2fsecret", "x" * 201, "%00", "a.txt"])
async def test_no_other_file_is_served(api: ApiUnderTest, bundle: Bundle, name: str) -> None:
    answer = await api.anonymous.get(f"/agent/{name}")
    assert answer.status_code in (404, 422) or answer.url.path == "/"  # the client itself takes ".." away
    assert "a secret" not in answer.text


async def test_no_bundle_says_how_to_make_one(api: ApiUnderTest, tmp_path: Path) -> None:
    api.process.services.bundles._folder = tmp_path / "nothing"
    answer = await api.anonymous.get("/agent/x86_64.txt")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "no agent bundle for x86_64 is here"
    assert "make agent-bundle" in answer.json()["hint"]


async def test_a_note_whose_archive_is_gone_is_no_bundle(api: ApiUnderTest, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "bundles" / bundle.file).unlink()
    (tmp_path / "bundles" / "odd.txt").write_bytes(b"\xff\x00 file ../../etc/passwd\nversion a/b\n")
    assert (await api.anonymous.get("/agent/x86_64.txt")).status_code == 404
    assert (await api.anonymous.get("/agent/odd.txt")).status_code == 404


async def test_downloads_are_counted_by_address_and_in_all(api: ApiUnderTest, bundle: Bundle) -> None:
    bundles = api.process.services.bundles
    with bundles.download("127.0.0.1"):
        one = [bundles.download("192.0.2.1") for _ in range(bundle_service.DOWNLOADS_OF_ADDRESS)]
        for place in one:
            place.__enter__()
        with pytest.raises(UnavailableError, match="too many machines"), bundles.download("192.0.2.1"):
            pass
        others = [bundles.download(f"192.0.2.{number}") for number in range(2, 40)]
        entered = 1 + len(one)
        for place in others[: bundle_service.DOWNLOADS - entered]:
            place.__enter__()
        refused = await api.anonymous.get(f"/agent/{bundle.file}")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        for place in [*one, *others[: bundle_service.DOWNLOADS - entered]]:
            place.__exit__(None, None, None)
    assert (await api.anonymous.get(f"/agent/{bundle.file}")).content == CONTENT
    assert bundles._downloads.total() == 0

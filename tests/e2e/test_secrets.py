"""Secrets on a real stack: no file of it holds a value in any writing, and a kill amid a rotation loses none."""

from __future__ import annotations

import asyncio
import base64
import html
import json
import re
import secrets
import shlex
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from gamekeeper.control_plane.secret.values import OutsideStores, StoredSecretValues
from gamekeeper.db.engine import Database
from gamekeeper.domain.secret.use import SecretUse, UserKind
from gamekeeper.sealing.key_file import KeyFile
from gamekeeper.stack.layout import StateDir
from tests.fixtures.stack import Stack

USE = SecretUse(UserKind.RUN_STEP, pipeline="p", step="s", node="n")
ODD = "-\"'<&%+/ ü"


def canary() -> str:
    return secrets.token_hex(10) + ODD


def writings(value: str) -> Iterator[bytes]:
    """The value as it is, and as others write it: in base64 whatever stands before it."""
    core = value.removesuffix(ODD).encode()
    yield core
    yield from (core.hex().encode(), value.encode("utf-16-le"), value.encode())
    yield from (
        text.encode() for text in (quote(value), json.dumps(value)[1:-1], html.escape(value), shlex.quote(value))
    )
    for before in (b"", b"a", b"aa"):
        yield from (code(before + core + b"aaa")[8:-8] for code in (base64.b64encode, base64.b32encode))


def found_in(folder: Path, values: list[str]) -> list[str]:
    needles = re.compile(b"|".join({re.escape(text) for value in values for text in writings(value)}))
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in files if needles.search(path.read_bytes())]


def put(stack: Stack, name: str, body: Any) -> httpx.Response:
    """As it is answered, an error too."""
    state = StateDir(stack.state_dir)
    headers = {"Authorization": f"Bearer {state.key_file.read_text().strip()}"}
    return httpx.put(f"{state.load().rest_url}/api/v1/secrets/{name}", json=body, headers=headers, timeout=60)


def values_of(stack: Stack, names: list[str]) -> dict[str, bytes]:
    """By the reader of the control plane, on the files of the stack."""
    state = StateDir(stack.state_dir)

    async def read() -> dict[str, bytes]:
        database = Database(state.database_url)
        try:
            values = StoredSecretValues(database, KeyFile(state.secrets_key_file), OutsideStores())
            return dict(await values.values(names, USE))
        finally:
            await database.close()

    return asyncio.run(read())


def key_ids(stack: Stack) -> set[str]:
    return set(json.loads(StateDir(stack.state_dir).secrets_key_file.read_text())["keys"])


def test_no_file_of_a_stack_holds_a_value(stack: Stack, tmp_path: Path) -> None:
    given: list[str] = []

    def new() -> str:
        given.append(canary())
        return given[-1]

    said: list[str] = []
    for number in range(12):
        answer = put(stack, f"stored-{number}", {"value": new(), "scope": {"nodes": ["*"]}})
        assert answer.status_code == 201, answer.text
        said.append(answer.text)
    (tmp_path / "value").write_text(new())
    done = stack.command("secret", "set", "stored-file", "--from-file", str(tmp_path / "value"), "--all")
    said.append(done.stdout + done.stderr)
    for body in (
        {"value": (wrong := new()), "encoding": wrong},
        new(),
        {"value": {"a": new()}},
        {"value": new() * 9000},
        {"value": "x", "scope": new()},
        {"value": "x", "scope": {"nodes": [new()]}},
        {"value": new(), "file": {"path": "a"}},
        {"value": new(), "description": new() * 40},
    ):
        refused = put(stack, "stored-0", body)
        assert refused.status_code == 422, refused.text
        said.append(refused.text)
    stack.ask("DELETE", "/secrets/stored-1")
    stack.ask("POST", "/secret-key/rotate")
    assert values_of(stack, ["stored-2"]) == {"stored-2": given[2].encode()}
    said += [
        stack.get(path).text for path in ("/secrets?limit=500", "/secrets/stored-2", "/events?kind=secret&limit=500")
    ]
    assert [value for value in given if value.removesuffix(ODD) in "".join(said)] == []
    assert found_in(stack.state_dir, given) == []
    (tmp_path / "planted").write_bytes(b"x" * 100 + base64.b64encode(b"ab" + given[5].encode()))
    assert found_in(tmp_path, [given[5]]) == [str(tmp_path / "planted")], "the search itself finds"


def test_a_kill_of_the_api_amid_a_rotation_loses_no_value(stack: Stack) -> None:
    names = [f"kept-{number}" for number in range(120)]
    for name in names:
        assert put(stack, name, {"value": f"of {name}", "scope": {"nodes": ["*"]}}).status_code == 201
    before = key_ids(stack)

    def rotate() -> None:
        with suppress(httpx.HTTPError):
            stack.ask("POST", "/secret-key/rotate")

    asking = threading.Thread(target=rotate)
    asking.start()
    stack.until(lambda: key_ids(stack) != before)
    stack.kill("api")
    asking.join()
    assert values_of(stack, names) == {name: f"of {name}".encode() for name in names}
    stack.until(lambda: stack.get("/secrets/kept-0").status_code == 200)
    stack.until(lambda: len(key_ids(stack)) == 1 and key_ids(stack) != before)
    assert values_of(stack, names) == {name: f"of {name}".encode() for name in names}

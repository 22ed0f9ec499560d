"""Secrets over REST: set, versioned, scoped, removed; and no answer, event or row that holds a value."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import traceback
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from gamekeeper.db.models import InstanceRow, RunRow, SecretRow, SecretVersionRow
from gamekeeper.db.repositories.secret_use import SecretUseRepository
from gamekeeper.domain.run.run import RunState
from gamekeeper.domain.secret.use import SecretUse, UserKind
from gamekeeper.domain.secret.version import KEPT_VERSIONS
from tests.fixtures.api import ADMIN_KEY, ApiUnderTest, make_api
from tests.gamekeeper.domain.language.test_random_documents import assert_plain

CANARY = "canary-5a1f-correct horse"
USE = SecretUse(UserKind.RUN_STEP, pipeline="deploy", step="build", node="n")
ALL = {"nodes": ["*"]}


async def put(api: ApiUnderTest, name: str, status: int = 201, headers: Any = None, **body: Any) -> dict[str, Any]:
    answer = await api.http.put(f"/secrets/{name}", json=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert CANARY not in answer.text
    return dict(answer.json())


async def value_of(api: ApiUnderTest, name: str) -> bytes:
    return (await api.process.services.secrets.values.values([name], USE))[name]


async def events(api: ApiUnderTest) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await api.http.get("/events", params={"kind": "secret"})).json()["items"]
    return items[::-1]


async def test_a_secret_is_set_seen_used_and_removed(api: ApiUnderTest) -> None:
    made = await put(api, "s3-key", value=CANARY, scope=ALL, description="of the bucket")
    assert (made["name"], made["current"], made["version"], made["created_by"]) == ("s3-key", 1, 1, "key:admin")
    assert made["scope"] == {"pipelines": [], "instances": [], "nodes": ["*"], "labels": {}}
    assert (made["last_used_at"], made["last_used_by"], made["used_by"]) == (None, "", [])
    (version,) = made["versions"]
    assert (version["number"], version["state"], version["reference"]) == (1, "current", None)
    assert version["key_id"].startswith("mk-")
    assert await value_of(api, "s3-key") == CANARY.encode()
    found = await api.http.get("/secrets/s3-key")
    assert found.headers["etag"] == '"1"'
    assert found.json()["last_used_by"] == 'step "build" of pipeline "deploy" on node "n"'
    listed = await api.http.get("/secrets")
    assert [(item["name"], item["description"]) for item in listed.json()["items"]] == [("s3-key", "of the bucket")]
    assert CANARY not in found.text + listed.text
    assert (await api.http.delete("/secrets/s3-key")).status_code == 204
    assert (await api.http.get("/secrets/s3-key")).status_code == 404
    assert (await api.http.delete("/secrets/s3-key")).status_code == 404
    told = await events(api)
    assert [(item["kind"], item["message"], item["actor"]) for item in told] == [
        ("secret.set", "s3-key", "key:admin"),
        ("secret.read", "s3-key", "key:admin"),
        ("secret.deleted", "s3-key", "key:admin"),
    ]
    assert told[0]["data"]["version"] == 1
    assert CANARY not in str(told)


async def test_each_value_makes_a_version_and_fields_that_are_left_out_stay(api: ApiUnderTest) -> None:
    await put(api, "a", value="one", scope=ALL)
    second = await put(api, "a", 200, value="two")
    assert (second["current"], second["version"], second["scope"]["nodes"]) == (2, 2, ["*"])
    scoped = await put(api, "a", 200, scope={"pipelines": ["deploy"]})
    assert (scoped["current"], scoped["version"]) == (2, 3)
    assert await value_of(api, "a") == b"two"
    assert (await events(api))[2]["data"] == {
        "secret": "a",
        "fields": ["scope"],
        "scope": [
            {"pipelines": [], "instances": [], "nodes": ["*"], "labels": {}},
            {"pipelines": ["deploy"], "instances": [], "nodes": [], "labels": {}},
        ],
    }
    binary = base64.encodebytes(b"\0\xff" * 100).decode()
    await put(api, "a", 200, value=binary, encoding="base64")
    assert await value_of(api, "a") == b"\0\xff" * 100


async def test_an_earlier_value_comes_back_or_is_destroyed(api: ApiUnderTest) -> None:
    for value in ("one", "two", "three"):
        await api.http.put("/secrets/a", json={"value": value, "scope": ALL})
    restored = await api.http.post("/secrets/a/versions/1/restore")
    assert restored.status_code == 200
    assert [(item["number"], item["state"]) for item in restored.json()["versions"]] == [
        (4, "current"),
        (3, "earlier"),
        (2, "earlier"),
        (1, "earlier"),
    ]
    assert await value_of(api, "a") == b"one"
    for _ in range(2):
        assert (await api.http.delete("/secrets/a/versions/2")).status_code == 204
    gone = (await api.http.get("/secrets/a")).json()["versions"][2]
    assert (gone["state"], gone["destroyed_by"], gone["key_id"]) == ("destroyed", "key:admin", "")
    async with api.database.read() as session:
        row = await session.get(SecretVersionRow, ("a", 2))
    assert row is not None
    assert (row.data, row.wrapped_key) == (b"", b"")
    for method, path, status, part in (
        ("POST", "2/restore", 409, "was destroyed"),
        ("POST", "4/restore", 409, "is in use already"),
        ("POST", "9/restore", 404, "has no version 9"),
        ("DELETE", "4", 409, "is in use"),
        ("DELETE", "9", 404, "has no version 9"),
        ("DELETE", "0", 422, "use a value at least 1"),
    ):
        answer = await api.http.request(method, f"/secrets/a/versions/{path}")
        assert (answer.status_code, part in answer.text) == (status, True), answer.text
    kinds = [item["kind"] for item in await events(api)]
    assert kinds.count("secret.deleted") == 1


async def test_so_many_versions_are_kept(api: ApiUnderTest) -> None:
    for number in range(KEPT_VERSIONS + 2):
        seen = (await api.http.put("/secrets/a", json={"value": str(number)})).json()
    assert [item["number"] for item in seen["versions"]] == list(range(KEPT_VERSIONS + 2, 2, -1))


async def test_of_two_writers_the_second_sees_what_the_first_did(api: ApiUnderTest) -> None:
    await put(api, "a", value="one")
    both = await asyncio.gather(
        *(api.http.put("/secrets/a", json={"value": text}, headers={"If-Match": '"1"'}) for text in ("x", "y"))
    )
    assert sorted(answer.status_code for answer in both) == [200, 412]
    assert "somebody changed it; read it again" in next(
        f"{answer.json()['detail']}; {answer.json()['hint']}" for answer in both if answer.status_code == 412
    )
    assert (await api.http.delete("/secrets/a", headers={"If-Match": '"1"'})).status_code == 412
    assert (await api.http.post("/secrets/a/versions/1/restore", headers={"If-Match": '"1"'})).status_code == 412
    assert (await api.http.delete("/secrets/a/versions/1", headers={"If-Match": '"1"'})).status_code == 412
    assert (await api.http.delete("/secrets/a", headers={"If-Match": '"2"'})).status_code == 204
    await put(api, "a", 412, value="one", headers={"If-Match": '"2"'})


async def test_many_writers_at_once_lose_no_version(api: ApiUnderTest) -> None:
    answers = await asyncio.gather(*(api.http.put("/secrets/a", json={"value": f"v{n}"}) for n in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    seen = (await api.http.get("/secrets/a")).json()
    assert (seen["current"], seen["version"], len(seen["versions"])) == (8, 8, 8)


async def test_a_secret_that_is_used_is_not_removed_by_a_slip(api: ApiUnderTest) -> None:
    await put(api, "a", value="one", scope=ALL)
    async with api.database.write() as session:
        session.add(RunRow(id="r1", pipeline="p", state=RunState.RUNNING))
        session.add(InstanceRow(id="arena", node_id="n", revision=3))
        await SecretUseRepository(session).note_run("r1", ["a"])
        await SecretUseRepository(session).note_revision("arena", 3, ["a"])
    assert (await api.http.get("/secrets/a")).json()["used_by"] == ["instance arena", "run r1"]
    refused = await api.http.delete("/secrets/a")
    assert (refused.status_code, refused.json()["code"]) == (409, "secret_used")
    assert refused.json()["detail"] == 'the secret "a" is used by instance arena, run r1'
    assert (await api.http.delete("/secrets/a", params={"force": True})).status_code == 204
    last = (await events(api))[-1]
    assert (last["reason"], last["data"]["used_by"]) == ("forced", ["instance arena", "run r1"])


BODIES: list[tuple[str, Any, int, str]] = [
    ("no value", {}, 422, "a new one needs a value"),
    ("a scope alone", {"scope": ALL}, 422, "a new one needs a value"),
    ("an empty value", {"value": ""}, 422, "the value is empty"),
    ("a number", {"value": 519_151}, 422, "must be text"),
    ("a list", {"value": [CANARY]}, 422, "must be text"),
    ("a mapping", {"value": {"a": CANARY}}, 422, "must be text"),
    ("a long value", {"value": CANARY * 4000}, 422, "the limit is 65,536"),
    ("a longer value", {"value": CANARY * 8000}, 422, "has more than the limit of 131072 characters"),
    ("no base64", {"value": CANARY, "encoding": "base64"}, 422, "the value is no base64"),
    ("another encoding", {"value": CANARY, "encoding": "hex"}, 422, "use text or base64"),
    ("a value twice", {"value": CANARY, "file": {"path": "a"}}, 422, "give one of value, vault and file"),
    ("an unknown field", {"value": CANARY, "valeu": CANARY}, 422, "is not known here"),
    ("a way out", {"file": {"path": "../../etc/shadow"}}, 422, "a path has names"),
    ("a pattern that is none", {"value": CANARY, "scope": {"nodes": ["A B"]}}, 422, "a pattern has 1 to 63"),
    ("an unknown scope", {"value": CANARY, "scope": {"users": ["x"]}}, 422, "is not known here"),
    ("a text", CANARY, 422, "must be a mapping"),
    ("a value in another place", {"value": "x", "encoding": CANARY}, 422, "use text or base64"),
    ("a value as a scope", {"value": "x", "scope": CANARY}, 422, "must be a mapping"),
    ("a value as a pattern", {"value": "x", "scope": {"nodes": [CANARY]}}, 422, "a pattern has 1 to 63"),
    ("a value as a place", {"vault": {"path": CANARY, "key": 519_151}}, 422, "must be text"),
    ("a value as a number", {"vault": {"path": "a", "key": "b", "version": CANARY}}, 422, "must be a whole number"),
    ("a list of texts", [CANARY], 422, ""),
    ("half a pair", b'{"value": "canary-5a1f-correct horse\\ud800"}', 400, "Unicode"),
    ("a NUL", b'{"value": "canary-5a1f-correct horse\\u0000"}', 400, "NUL"),
    ("no JSON", b'{"value": "canary-5a1f-correct horse', 422, "JSON"),
    ("not UTF-8", b'{"value": "canary-5a1f-correct horse\xff"}', 400, ""),
]


@pytest.mark.parametrize(("label", "body", "status", "part"), BODIES, ids=[row[0] for row in BODIES])
async def test_a_wrong_body_is_told_without_its_value(
    refusing_api: ApiUnderTest, caplog: pytest.LogCaptureFixture, label: str, body: Any, status: int, part: str
) -> None:
    caplog.set_level(logging.DEBUG)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    answer = await refusing_api.http.put("/secrets/refused", content=content, headers=headers)
    assert (answer.status_code, part in answer.text) == (status, True), answer.text
    assert "canary" not in answer.text
    assert "519" not in answer.text
    for problem in answer.json()["problems"]:
        assert_plain(problem["message"], problem["hint"])
    told = caplog.text + "".join(
        "".join(traceback.format_exception(*record.exc_info)) for record in caplog.records if record.exc_info
    )
    assert "canary" not in told
    assert (await refusing_api.http.get("/secrets/refused")).status_code == 404


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("S3_KEY", 'try \\"s3_key\\"'),
        ("пароль", "may use a-z, 0-9"),
        ("密码", "may use a-z, 0-9"),
        ("a%00b", "may use a-z, 0-9"),
        ("a" * 64, "more than 63 characters"),
        ("%20", "may use a-z, 0-9"),
        ("..%2f..%2fetc%2fpasswd", ""),
    ],
)
async def test_a_name_that_is_none_is_told(refusing_api: ApiUnderTest, name: str, part: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        body = {"value": "x"} if method == "PUT" else None
        answer = await refusing_api.http.request(method, f"/secrets/{name}", json=body)
        assert answer.status_code in (404, 422), answer.text
        assert part in answer.text


async def test_a_key_of_less_may_not_write_and_a_viewer_not_even_read(api: ApiUnderTest) -> None:
    await put(api, "a", value=CANARY)
    for role, expected in (("viewer", 403), ("operator", 403), ("developer", 200)):
        key = (await api.http.post("/keys", json={"name": role, "role": role})).json()["key"]
        headers = {"Authorization": f"Bearer {key}"}
        assert (await api.anonymous.get("/api/v1/secrets", headers=headers)).status_code == expected
        refused = await api.anonymous.put("/api/v1/secrets/a", json={"value": CANARY}, headers=headers)
        assert refused.status_code == 403
        assert "canary" not in refused.text


async def test_a_lost_key_file_is_told_and_the_rest_goes_on(api: ApiUnderTest, tmp_path: Path) -> None:
    await put(api, "a", value="one", scope=ALL)
    file = tmp_path / "secrets.key"
    file.rename(tmp_path / "elsewhere")
    for method, path, body in (
        ("PUT", "/secrets/a", {"value": "two"}),
        ("PUT", "/secrets/b", {"value": "two"}),
        ("POST", "/secret-key/rotate", None),
    ):
        answer = await api.http.request(method, path, json=body)
        assert answer.status_code == 409, answer.text
        assert (answer.json()["code"], str(file) in answer.json()["detail"]) == ("master_key", True)
        assert "restore it from a backup" in answer.json()["hint"]
    assert not file.exists()
    told = (await api.anonymous.get("/readyz")).json()["parts"]["secrets"]
    assert f"{file}, the file with the master keys of secrets, is not there; restore it" in told
    assert (await api.http.get("/secrets/b")).status_code == 404, "a refused secret leaves nothing"
    assert (await put(api, "a", 200, scope={}))["current"] == 1
    assert (await api.http.get("/nodes")).status_code == 200
    (tmp_path / "elsewhere").rename(file)
    assert (await api.anonymous.get("/readyz")).json()["parts"]["secrets"] == "ok"
    await put(api, "a", 200, scope=ALL)
    assert await value_of(api, "a") == b"one"


async def test_with_a_key_file_that_is_gone_for_good_one_begins_anew(api: ApiUnderTest, tmp_path: Path) -> None:
    await put(api, "a", value="one", scope=ALL)
    (tmp_path / "secrets.key").unlink()
    assert (await api.http.delete("/secrets/a")).status_code == 204
    await put(api, "a", value="two", scope=ALL)
    assert await value_of(api, "a") == b"two"


async def test_a_reference_is_a_version_like_any_other(api: ApiUnderTest) -> None:
    made = await put(api, "a", vault={"path": "team/db", "key": "password"}, scope=ALL)
    assert made["versions"][0]["reference"] == "vault:team/db#password"
    assert made["versions"][0]["key_id"] == ""
    await put(api, "a", 200, file={"path": "db-password"})
    restored = (await api.http.post("/secrets/a/versions/1/restore")).json()
    assert [item["reference"] for item in restored["versions"]] == [
        "vault:team/db#password",
        "file:db-password",
        "vault:team/db#password",
    ]


async def test_no_row_holds_a_value(api: ApiUnderTest) -> None:
    await put(api, "a", value=CANARY)
    async with api.database.read() as session:
        rows = [*(await session.exec(select(SecretRow))).all(), *(await session.exec(select(SecretVersionRow))).all()]
    held = "".join(f"{row.model_dump()}" for row in rows).encode()
    held += b"".join(row.data + row.wrapped_key for row in rows if isinstance(row, SecretVersionRow))
    assert len(rows) == 2
    assert b"canary" not in held


async def test_two_api_processes_share_the_key_file(api: ApiUnderTest, database_url: str, tmp_path: Path) -> None:
    other = await make_api(api.database, database_url, api.client, tmp_path)
    try:
        await put(api, "a", value="one", scope=ALL)
        rotated = await other.http.post("/secret-key/rotate")
        assert rotated.json()["rewrapped"] == 1
        assert await value_of(api, "a") == b"one"
        await put(api, "b", value="two", scope=ALL)
        assert await value_of(other, "b") == b"two"
        seen = [(await api.http.get(f"/secrets/{name}")).json()["versions"][0]["key_id"] for name in ("a", "b")]
        assert seen == [rotated.json()["key_id"]] * 2
    finally:
        await other.close()
        await other.process.link_server.stop(0)


async def test_so_many_secrets_there_may_be(api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.services.secret.secret.MAX_SECRETS", 2)
    await put(api, "a", value="x")
    await put(api, "b", value="x")
    refused = await api.http.put("/secrets/c", json={"value": CANARY})
    assert (refused.status_code, "there are 2 secrets already" in refused.text) == (409, True)
    await put(api, "b", 200, value="y")
    page = (await api.http.get("/secrets", params={"limit": 1})).json()
    assert [item["name"] for item in page["items"]] == ["a"]
    rest = (await api.http.get("/secrets", params={"limit": 1, "cursor": page["next_cursor"]})).json()
    assert ([item["name"] for item in rest["items"]], rest["next_cursor"]) == (["b"], None)
    assert ADMIN_KEY not in str(page)

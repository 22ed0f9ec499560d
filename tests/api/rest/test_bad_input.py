"""Whatever is sent: a clear error that names the thing, never a 500, and nothing accepted is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fixtures.api import ApiUnderTest
from tests.gamekeeper.domain.language.test_random_documents import assert_plain

STEP = {"name": "a", "container": {"image": "i"}}


def spec(**fields: Any) -> dict[str, Any]:
    return {"spec": {"name": "t", "steps": [STEP]} | fields, "node": "node-1"}


INFINITY = json.dumps(spec(args=["n"]) | {"args": {"n": float("inf")}}).encode()
BODIES: list[tuple[str, bytes | dict[str, Any], int, str]] = [
    ("not JSON", b"{", 422, "JSON"),
    ("no body", b"", 422, ""),
    ("a list", b"[]", 422, ""),
    ("neither yaml nor spec", {"node": "node-1"}, 422, "as one of"),
    ("both", {"yaml": "a: b", "spec": {}}, 422, "as one of"),
    ("yaml of the wrong type", {"yaml": 5}, 422, "yaml"),
    ("malformed yaml", {"yaml": "a: [1"}, 422, "not valid YAML"),
    ("unknown key", spec(stages=1), 422, 'unknown key "stages"'),
    ("wrong type", spec(steps={}), 422, "list"),
    ("a cycle", spec(steps=[STEP | {"needs": ["b"]}, STEP | {"name": "b", "needs": ["a"]}]), 422, "cycle"),
    ("3,000 steps", spec(steps=[STEP | {"name": f"s{n}"} for n in range(3000)]), 422, "the limit of 2000"),
    ("10,000 steps", spec(steps=[STEP | {"name": f"s{n}"} for n in range(10_000)]), 422, "over 5,000 entries"),
    ("unknown node", spec() | {"node": "nope"}, 422, 'node "nope" has never registered'),
    ("a node of the wrong type", spec() | {"node": 5}, 422, "node"),
    ("no node", spec() | {"node": None}, 422, "names no node"),
    ("an integer over 2^63", spec(args={"n": {"type": "integer"}}) | {"args": {"n": 2**63}}, 422, "2^63"),
    ("an integer of 5000 digits", b'{"spec": ' + b"9" * 5000 + b"}", 400, ""),
    ("a negative limit", spec(steps=[STEP | {"retry": {"attempts": -1}}]), 422, "-1; use 1 or more"),
    ("NaN", b'{"spec": {"name": "t", "args": {"n": NaN}, "steps": []}}', 422, ""),
    ("infinity as an argument", INFINITY, 422, ""),
    ("a NUL", spec() | {"args": {"a": "\0"}}, 400, "NUL"),
    ("a lone surrogate", b'{"yaml": "name: \\ud800"}', 422, "surrogate"),
    ("a lone surrogate in a spec", spec(steps=[STEP | {"container": {"image": "\ud800"}}]), 422, "surrogate"),
    ("a lone surrogate in an argument", spec(args={"a": "x"}) | {"args": {"a": "\ud800"}}, 422, "surrogate"),
    ("a lone surrogate in a key", spec(labels={"\ud800": "x"}), 422, "surrogate"),
    ("deep JSON", b'{"spec": ' + b"[" * 5000 + b"]" * 5000 + b"}", 400, ""),
    ("an unknown field", spec() | {"colour": "red"}, 422, "colour"),
    ("5 MB", b'{"yaml": "' + b"x" * 5_000_000 + b'"}', 413, "over the limit"),
    ("a name that is no text", {"spec": {"name": {"a": 1}, "steps": [STEP]}}, 422, "name"),
    ("steps that are no mappings", {"spec": {"name": "t", "steps": [1, None, "x"]}}, 422, "steps[0]"),
]


@pytest.mark.parametrize(("label", "body", "status", "part"), BODIES, ids=[case[0] for case in BODIES])
async def test_bad_runs(
    refusing_api: ApiUnderTest, label: str, body: bytes | dict[str, Any], status: int, part: str
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    for path in ("/runs", "/pipelines/validate"):
        answer = await refusing_api.http.post(path, content=content, headers={"Content-Type": "application/json"})
        if answer.status_code == 200:
            assert path == "/pipelines/validate"
            assert answer.json()["valid"] is False
        else:
            assert answer.status_code == status, answer.text
            assert answer.headers["content-type"] == "application/problem+json"
        assert part in answer.text.replace('\\"', '"')
        for problem in answer.json()["problems"]:
            assert_plain(problem["message"], problem["hint"])
    assert (await refusing_api.http.get("/runs")).json()["items"] == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/runs/nope", 404),
        ("GET", "/runs/" + "x" * 100, 422),
        ("GET", "/runs?state=nope", 422),
        ("GET", f"/runs?limit={2**64}", 422),
        ("GET", "/runs?cursor=%00", 422),
        ("GET", "/runs?group=%00", 422),
        ("GET", "/runs?schedule=%00", 422),
        ("GET", "/runs?parent=%00", 422),
        ("GET", "/runs?pipeline=%00", 422),
        ("GET", "/run-groups?name=%00", 422),
        ("GET", "/schedules/%00", 422),
        ("GET", "/instances/nope/schedules/%00", 422),
        ("PUT", "/instances/nope/schedules/Nightly", 422),
        ("POST", "/instances/nope/schedules/nightly/trigger", 404),
        ("GET", "/runs/nope/steps/a/logs", 404),
        ("GET", "/runs/nope/steps/a/logs?try=-1", 422),
        ("GET", f"/runs/nope/steps/a/logs?try={2**63}", 422),
        ("GET", "/runs/nope/events", 404),
        ("GET", "/runs/..%2f..%2fetc/steps/passwd/logs", 404),
        ("POST", "/runs/nope/cancel", 404),
        ("DELETE", "/runs", 405),
        ("GET", "/nope", 404),
        ("GET", "/nodes/%00", 422),
    ],
)
async def test_bad_paths(refusing_api: ApiUnderTest, method: str, path: str, status: int) -> None:
    answer = await refusing_api.http.request(method, path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    for problem in answer.json()["problems"]:
        assert_plain(problem["message"], problem["hint"])


@pytest.mark.parametrize("header", ["-1", "x", "9" * 30, "1; DROP TABLE runs"])
async def test_bad_last_event_ids(refusing_api: ApiUnderTest, header: str) -> None:
    answer = await refusing_api.http.get("/runs/nope/events", headers={"Last-Event-ID": header})
    assert answer.status_code == 422


async def test_schema_is_served(refusing_api: ApiUnderTest) -> None:
    import jsonschema

    schema = (await refusing_api.http.get("/schema/pipeline-v1.json")).json()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate({"name": "t", "steps": [STEP]}, schema)

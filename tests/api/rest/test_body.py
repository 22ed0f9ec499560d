"""Values of another kind than the document tells are refused by name, in every body and query of every route."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

import pytest
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel

from api.app import create_routes
from api.openapi import openapi_document
from api.rest.body import Body
from tests.fixtures.api import ApiUnderTest

ANOTHER_KIND = [
    ("POST", "/ca/rotate", {"overlap_days": True}, "body.overlap_days: must be a whole number, got a boolean"),
    ("POST", "/ca/rotate", {"overlap_days": "5"}, 'body.overlap_days: must be a whole number, got "5"'),
    ("POST", "/ca/rotate", {"again": 1}, "body.again: must be true or false"),
    ("POST", "/processes/api/replaced", {"at": "2026-11-24T02:12:45Z", "silent_seconds": False}, "body.silent_seconds"),
    ("POST", "/processes/api/replaced", {"at": 0, "silent_seconds": 1}, "body.at: is not a time"),
    ("POST", "/processes/api/replaced", {"at": "0", "silent_seconds": 1}, "body.at: is not a time"),
    ("POST", "/join-keys", {"policy": {"defaults": {"ulimits": {"nofile": False}}}}, "ulimits.nofile"),
    ("POST", "/join-keys", {"policy": {"rules": [{"allow": {"root": 1}}]}}, "rules[0].allow.root"),
    ("POST", "/join-keys", {"capacity_override": {"gpus": "1"}}, "capacity_override.gpus"),
    ("POST", "/nodes/node-1/drain", {"deadline": 0}, "body.deadline: must be text"),
    ("POST", "/nodes/node-1/drain", {"deadline": "${{ args.a }}"}, "is not a duration"),
    ("PATCH", "/instances/nope", {"labels": {"": "x"}}, 'body.labels: label ""'),
    ("POST", "/instances/nope/update", {"auto_revert": 1}, "body.auto_revert"),
]


@pytest.mark.parametrize(("method", "path", "body", "words"), ANOTHER_KIND)
async def test_a_body_with_a_value_of_another_kind(
    refusing_api: ApiUnderTest, method: str, path: str, body: dict[str, Any], words: str
) -> None:
    answer = await refusing_api.http.request(method, path, json=body)
    assert answer.status_code == 422, answer.text
    assert words in answer.json()["detail"]


@pytest.mark.parametrize("text", ["0.5", "0", "1e9", "2026"])
async def test_a_number_is_no_time(refusing_api: ApiUnderTest, text: str) -> None:
    for name in ("since", "until"):
        answer = await refusing_api.http.get("/events", params={name: text})
        assert answer.status_code == 422, answer.text
        assert f"query.{name}: is not a time" in answer.json()["detail"]


def test_every_body_holds_its_values_to_their_kinds() -> None:
    bodies = [*_bodies()]
    assert len(bodies) > 15
    assert [model.__name__ for model in bodies if not issubclass(model, Body)] == []


def _bodies() -> Iterator[type[BaseModel]]:
    for route in iter_route_contexts(create_routes().routes):
        if (field := getattr(route.original_route, "body_field", None)) is not None:
            annotation = field.field_info.annotation
            yield from (part for part in (annotation, *get_args(annotation)) if _is_model(part))


def _is_model(part: Any) -> bool:
    return isinstance(part, type) and issubclass(part, BaseModel)


def test_no_parameter_may_be_null() -> None:
    """It would be sent as the text ``null``."""
    document: Any = openapi_document(create_routes())
    parameters = [parameter for operation in _operations(document) for parameter in operation.get("parameters", ())]
    assert len(parameters) > 100
    assert [parameter["name"] for parameter in parameters if "null" in str(parameter["schema"])] == []


def _operations(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for operations in document["paths"].values():
        yield from operations.values()

"""The OpenAPI document, walked by the rules that make it readable by people and by generators of clients."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from api.app import create_routes
from api.needs import PUBLIC_PATHS
from api.openapi import TAGS, openapi_document
from api.openapi_words import FIELDS, PARAMETERS
from api.openapi_words import SCHEMAS as MEANINGS

DOCUMENT: dict[str, Any] = openapi_document(create_routes())
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
}
VERBS = frozenset(
    "acknowledge answer apply approve backfill begin cancel change close cordon create decode delete destroy diff "
    "drain edit end "
    "export follow get join kill list pause push refresh refuse remove rerun reset restart restore resume revoke "
    "rollback rotate set silence start stop test trigger try uncordon update use validate".split()
)


def operation_problems(operation: dict[str, Any]) -> Iterator[str]:
    """The rules of one operation that it breaks."""
    yield from name_problems(operation)
    if not operation.get("summary"):
        yield "has no summary"
    if not operation.get("description", "").strip().endswith("."):
        yield "has no description that is a sentence"
    for parameter in operation.get("parameters", []):
        if not parameter.get("description"):
            yield f"parameter {parameter['name']} has no description"
        if parameter["name"].lower() == "authorization":
            yield "the key is a parameter, and not a security scheme"
    yield from response_problems(operation["responses"])


def name_problems(operation: dict[str, Any]) -> Iterator[str]:
    """The rules of names that an operation breaks."""
    verb, _, noun = operation.get("operationId", "").partition("_")
    if verb not in VERBS or not re.fullmatch("[a-z]+(_[a-z]+)*", noun):
        yield f"operation id {operation.get('operationId')} is no verb_noun"
    if not set(operation.get("tags", [])) <= TAGS.keys() or len(operation.get("tags", [])) != 1:
        yield "has not one tag, of those that are described"


NO_PROBLEM = ("503", "431")  # of a probe; and of an address that is too long, which nobody has read whole


def response_problems(responses: dict[str, Any]) -> Iterator[str]:
    """The rules of answers that an operation breaks."""
    for status, response in responses.items():
        if not response.get("description") or response["description"] == "Successful Response":
            yield f"{status} has no description"
        types = response.get("content", {}).keys()
        if status < "202" and not types:
            yield f"{status} has no content, so that a client can't read it"
        if status >= "400" and status not in NO_PROBLEM and types != {"application/problem+json"}:
            yield f"{status} is no application/problem+json"


def schema_problems(name: str, schema: dict[str, Any]) -> Iterator[str]:
    """The rules of one schema that it breaks."""
    if re.search("__|-|(Input|Output)$", name):
        yield "is a twin, or named by its module"
    if not schema.get("description"):
        yield "has no description"
    for field, value in schema.get("properties", {}).items():
        if not value.get("description"):
            yield f"field {field} has no description"


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_is_told(name: str) -> None:
    assert list(operation_problems(OPERATIONS[name])) == []


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_schema_is_told(name: str) -> None:
    assert list(schema_problems(name, SCHEMAS[name])) == []


def test_operation_ids_are_unique() -> None:
    counts = Counter(operation["operationId"] for operation in OPERATIONS.values())
    assert [name for name, count in counts.items() if count > 1] == []


def test_tags_are_described_and_used() -> None:
    assert {tag["name"]: tag["description"] for tag in DOCUMENT["tags"]} == TAGS
    used = {tag for operation in OPERATIONS.values() for tag in operation["tags"]}
    assert TAGS.keys() - used == {"consoles"}  # WebSockets, which OpenAPI can't describe


def test_the_key_is_a_security_scheme() -> None:
    assert DOCUMENT["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert DOCUMENT["security"] == [{"key": []}]
    without = {name.split()[1] for name, operation in OPERATIONS.items() if operation.get("security") == []}
    assert without == PUBLIC_PATHS


def test_each_reference_leads_somewhere() -> None:
    named = set(re.findall(r"#/components/schemas/(\w+)", str(DOCUMENT)))
    assert named == SCHEMAS.keys()


def test_no_meaning_is_left_over() -> None:
    fields = {(f"{name}.{key}", key, field["description"]) for name, key, field in all_fields()}
    told = {(name, text) for full, key, text in fields for name in (full, key)}
    assert FIELDS.items() - told == set()
    assert MEANINGS.items() - {(name, schema["description"]) for name, schema in SCHEMAS.items()} == set()
    asked = {
        (name, parameter["description"])
        for operation in OPERATIONS.values()
        for parameter in operation.get("parameters", [])
        for name in (parameter["name"], f"{operation['operationId']}.{parameter['name']}")
    }
    assert PARAMETERS.items() - asked == set()


def all_fields() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each field of each schema."""
    for name, schema in SCHEMAS.items():
        for key, field in schema.get("properties", {}).items():
            yield name, key, field


BAD = {
    "operationId": "list_nodes_api_v1_nodes_get",
    "parameters": [{"name": "authorization"}],
    "responses": {"200": {"description": "Successful Response"}, "404": {"description": "x", "content": {}}},
}


def test_the_rules_find_what_breaks_them() -> None:
    assert len(list(operation_problems(BAD | {"operationId": "nodes"}))) == 9
    twin: dict[str, Any] = {"properties": {"id": {}}}
    assert len(list(schema_problems("Node-Input", twin))) == 3


def test_an_event_of_a_stream_is_not_told_to_be_a_text() -> None:
    document: Any = openapi_document(create_routes())
    answers = [
        answer["content"]["text/event-stream"]
        for operations in document["paths"].values()
        for operation in operations.values()
        for answer in operation["responses"].values()
        if "text/event-stream" in answer.get("content", {})
    ]
    assert len(answers) > 3
    assert [answer for answer in answers if "schema" in answer] == []

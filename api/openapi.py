"""The OpenAPI document: what FastAPI reads from the routes, with the words that all of them share."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from api.needs import PUBLIC_PATHS, needs_of_routes
from api.openapi_words import FIELDS, FORMS, PARAMETERS, SCHEMAS
from api.problems import WITH_BODY, ProblemDetails
from gamekeeper.domain.language.key_docs import MODELS

DESCRIPTION = """\
Everything that the command `gamekeeper` does, it does by these routes. Each needs `Authorization: Bearer KEY`, but for
the few that say otherwise; `gamekeeper status` names the file that holds the key. Each needs a verb of the key's
role (`x-needs`), and answers 403 without it.

Errors are `application/problem+json` (RFC 9457): `code` is for programs, `detail` says what was wrong, `hint` what to
do. 503 and 429 tell in `Retry-After` when to ask again. Lists have pages: `next_cursor` of one is `cursor` of the next,
and null on the last. Times are RFC 3339. What streams does it as server-sent events: a reader that was cut off goes on
with the header `Last-Event-ID`. When the key that asked is revoked or runs out, a stream ends within 5 s, with an event
`refused` that holds the problem; a WebSocket is closed with 4401, and any other answer is cut off."""
TAGS = {
    "nodes": "Machines with an agent: what they are, what they may do, and how each becomes one.",
    "runs": "Runs of pipelines: start one, look at it, answer what it asks, end it, run it again.",
    "instances": "Servers and desktops that stay up on a node: make one, act on it, change it, remove it.",
    "logs": "What steps write, byte for byte, and what of it was lost.",
    "consoles": """\
Consoles over WebSockets, which OpenAPI can't describe: `/api/v1/runs/{run_id}/steps/{step}/exec` with the query \
`command` (once for each word), `tty`, `columns` and `rows` runs a command beside a step's process; \
`/api/v1/runs/{run_id}/steps/{step}/attach` is the console of the process itself. An instance has \
`/api/v1/instances/{instance_id}/exec` and `/api/v1/instances/{instance_id}/console`, which shows the last `history` \
lines of its log first and tells who looks on (`{"viewers": [...]}`). Binary messages are a byte of \
channel (0 typed, 1 output, 2 errors) and bytes. Text messages are JSON: `{"resize": {"columns": 80, "rows": 24}}` and \
`{"end_of_input": true}` from the client; `{"exit_code": 0}` or `{"failed": "why"}` from the server, as its last. A \
refusal is a close with 4000 plus the HTTP status.""",
    "events": "What happened to nodes, runs, steps and containers, and who did it.",
    "alarms": "What is wrong now, and who is told: alarms, their rules, channels, silences and maintenance windows.",
    "metrics": "Numbers of nodes and of steps' containers over time.",
    "pipelines": "Pipelines: check one, store it as a numbered version, compare versions.",
    "schedules": "Schedules of stored pipelines, which start runs by themselves.",
    "secrets": "Secrets, which pipelines and instances name: set one, say who may have it. No answer holds a value.",
    "users": "People and services that call under a name of their own.",
    "sessions": "Who is signed in, from where, since when; and who asks.",
    "grants": "What users and keys may do, and to which objects.",
    "quotas": "The most that the instances of a user or a key hold together.",
    "keys": "API keys: who may call, since when, until when, and when each was used last.",
    "join keys": "Keys by which machines become nodes that nobody has named before.",
    "joins": "Machines that brought a join key, and those of them that wait for an operator.",
    "join": "What a machine asks for to become a node. These routes need no API key.",
    "payload keys": "Keys that encrypt what goes through Temporal, and the decoder for Temporal's web UI.",
    "ca": "The certificate authority of this control plane, and its rotation.",
    "health": "For load balancers and Prometheus. The first two need no key; `/metrics` none on the machine itself.",
}
EVENTS = "text/event-stream"
_UNTOLD = "Successful Response"  # FastAPI's own words
# Schemas of a resolved pipeline have the keys of the language under the names of other models.
_LIKE = {
    "ResolvedPipeline": "Pipeline",
    "ResolvedStep": "Step",
    "ResolvedRetry": "Retry",
    "ResolvedApproval": "Approval",
    "ResolvedCall": "PipelineCall",
    "ResolvedConcurrency": "Concurrency",
}
# Schemas that have all fields of another one, and more.
_EXTENDS = {
    "NewRun": "Run",
    "Run": "RunSummary",
    "NewJoinKey": "JoinKey",
    "NewApiKey": "ApiKey",
    "RotatedApiKey": "NewApiKey",
    "NewUserAnswer": "User",
    "PushedPipeline": "StoredPipeline",
    "Secret": "SecretSummary",
    "StoredPipeline": "PipelineSummary",
}
_RESOLVED = {
    "if_": "A boolean expression: `if` of the language",
    "finally_": "Steps that run after success, failure and cancel",
    "node_wait": "Seconds for which a step waits for its node",
    "hold": "Seconds for which the step is held after a failure",
    "call": "The stored pipeline that it runs",
    "cell_of": "Of a cell: the step with the matrix",
    "cell": "Of a cell: its values",
}


def operation_id(route: APIRoute) -> str:
    """The name of the route's function, which is a verb and a noun: ``list_nodes``."""
    return route.name


def openapi_document(app: FastAPI) -> dict[str, object]:
    """The OpenAPI document, with the key and the problem format that every route shares."""
    document = app.openapi()
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    problem = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}), ProblemDetails=problem)
    for name, schema in schemas.items():
        _tell_schema(name, schema)
    needs = {(method.lower(), path): need for method, path, need in needs_of_routes(app)}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if (need := needs.get((method, path))) is not None and need.verb is not None:
                operation["x-needs"] = {
                    "verb": need.verb.value,
                    "on": need.on.value if need.on is not None else "anything",
                }
            if method in ("post", "put", "patch"):
                operation["responses"].update({str(status): response for status, response in WITH_BODY.items()})
            if path in PUBLIC_PATHS:
                operation["security"] = []
            _tell_operation(operation, schemas)
    key = "`gamekeeper status` names the file that holds the API key."
    document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": key}}
    document["security"] = [{"key": []}]
    return document


def _tell_schema(name: str, schema: dict[str, Any]) -> None:
    if not schema.get("description"):
        schema["description"] = SCHEMAS.get(name, "")
    schema["description"] = schema["description"].replace("``", "`")
    meanings = FIELDS | {key: meaning for key, (meaning, _) in MODELS.get(_LIKE.get(name, name), {}).items()}
    if name in _LIKE:
        meanings |= _RESOLVED
    for key, field in schema.get("properties", {}).items():
        meaning = _own_meaning(name, key) or meanings.get(key)
        if meaning and not field.get("description"):
            field["description"] = meaning


def _own_meaning(schema: str, field: str) -> str | None:
    """The words for a field of this schema, or of the one that it extends."""
    if (meaning := FIELDS.get(f"{schema}.{field}")) is not None or schema not in _EXTENDS:
        return meaning
    return _own_meaning(_EXTENDS[schema], field)


def _never_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a parameter: one is left out, and never null, which would be sent as the text ``null``."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]
    if len(kinds) != 1:
        return schema
    kind: dict[str, Any] = kinds[0]
    return {key: value for key, value in schema.items() if key != "anyOf"} | kind


def _tell_operation(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    name = operation["operationId"]
    operation["summary"] = name.replace("_", " ").capitalize().replace(" ca", " CA")
    operation["description"] = operation.get("description", "").replace("``", "`")
    for parameter in operation.get("parameters", []):
        meaning = PARAMETERS.get(f"{name}.{parameter['name']}") or PARAMETERS.get(parameter["name"])
        if meaning and not parameter.get("description"):
            parameter["description"] = meaning
        parameter["schema"] = _never_null(parameter["schema"]) | FORMS.get(parameter["name"], {})
    for response in operation["responses"].values():
        if EVENTS in (content := response.get("content", {})):
            content[EVENTS] = {}  # a schema there is of each event, and FastAPI's is of a text
        if response.get("description") == _UNTOLD:
            reference = response.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref", "")
            response["description"] = schemas.get(reference.rpartition("/")[2], {}).get("description") or "It is done."

"""Renders docs/rest.md, the page of all routes by tag, each with a line of curl, from the OpenAPI document."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

from api.app import create_routes
from api.openapi import DESCRIPTION, TAGS, openapi_document

HEAD = f"""\
# The REST API

Written by `make pages` from the routes; [openapi.json](openapi.json) has every field, and `/docs` of a running api
shows it as a page that asks for the key and tries requests out.

{DESCRIPTION}

The lines below want two variables. On the machine of `gamekeeper up`, with its default state folder:

```sh
URL=http://127.0.0.1:7380
KEY=$(cat "$(gamekeeper status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["api_key_file"])')")
```

On another machine `URL` is `https://HOST:7380`, and curl wants `--cacert roots.pem`: the roots of
`curl -k $URL/api/v1/roots`, once their pin is the one that `gamekeeper ca show` prints there
([certificates](certificates.md)).

## Clients

Clients are generated from the document. These two work, which a test holds
(`tests/clients/`):

```sh
curl -sH "Authorization: Bearer $KEY" $URL/api/v1/openapi.json -o openapi.json
openapi-python-client generate --path openapi.json
npx openapi-typescript openapi.json -o schema.d.ts         # with openapi-fetch
```

openapi-python-client leaves out what it can't read; `tests/clients/generator.yaml` (`--config`) tells it how to.
"""


def render() -> str:
    document: dict[str, Any] = openapi_document(create_routes())
    parts = [HEAD]
    for tag, text in TAGS.items():
        parts += [f"## {tag.capitalize()}", "", text, ""]
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                if operation["tags"] == [tag]:
                    parts += _operation(document, path, method, operation)
    return "\n".join(parts).rstrip() + "\n"


def _operation(document: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### `{method.upper()} {path}`"
    yield ""
    yield f"{operation['description']} (`{operation['operationId']}`)"
    yield ""
    if (needs := operation.get("x-needs")) is not None:
        yield f"Needs [`{needs['verb']}`](roles.md) on the {needs['on']}."
        yield ""
    yield "```sh"
    yield _curl(document, path, method, operation)
    yield "```"
    yield ""
    told = [item for item in operation.get("parameters", []) if item["in"] != "path"]
    if told:
        yield "| in | name | meaning |\n| --- | --- | --- |"
        yield from (f"| {item['in']} | `{item['name']}` | {_cell(item['description'])} |" for item in told)
        yield ""


def _curl(document: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> str:
    target = path
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            target = target.replace(f"{{{parameter['name']}}}", parameter["name"].upper())
    query = [p["name"] for p in operation.get("parameters", []) if p["in"] == "query" and p.get("required")]
    if query:
        target += "?" + "&".join(f"{name}={name.upper()}" for name in query)
    words = ["curl", "-s"]
    if method != "get":
        words += ["-X", method.upper()]
    if operation.get("security") != []:
        words += ["-H", '"Authorization: Bearer $KEY"']
    body = _example(document, operation)
    if body is not None:
        words += ["-H", '"Content-Type: application/json"', "-d", shlex.quote(json.dumps(body, ensure_ascii=False))]
    return " ".join([*words, f'"$URL{target}"'])


def _example(document: dict[str, Any], operation: dict[str, Any]) -> Any:
    """The example of the body's schema; an empty one where the body may be left out."""
    body = operation.get("requestBody")
    if body is None:
        return None
    schema = body["content"].get("application/json", {}).get("schema", {})
    for part in [schema, *schema.get("anyOf", [])]:
        name = part.get("$ref", "").rpartition("/")[2]
        examples = document["components"]["schemas"].get(name, {}).get("examples", part.get("examples"))
        if examples:
            return examples[0]
    return {}


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")

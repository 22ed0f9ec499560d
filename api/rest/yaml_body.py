"""Bodies of YAML: a pipeline file as it is, as `curl --data-binary @FILE` sends it with its content type.

The OpenAPI document tells of them in words: of a body in two types generators of clients make code that does not run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import Message

from gamekeeper.errors import InvalidError

YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml")


class YamlRoute(APIRoute):
    """Gives a body of YAML to its route as the field ``yaml`` of one of JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def read(request: Request) -> Response:
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            return await handle(await _as_json(request) if kind in YAML_TYPES else request)

        return read


async def _as_json(request: Request) -> Request:
    try:
        text = (await request.body()).decode()
    except UnicodeDecodeError as error:
        raise InvalidError(f"the body is not UTF-8 text (byte {error.start})") from error
    body = json.dumps({"yaml": text}).encode()
    others = [(name, value) for name, value in request.scope["headers"] if name not in (b"content-type",)]
    scope = {**request.scope, "headers": [*others, (b"content-type", b"application/json")]}

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request(scope, receive)

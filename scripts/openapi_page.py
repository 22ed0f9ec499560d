"""Renders docs/openapi.json, the OpenAPI document of the REST API, in an order that does not change by itself."""

from __future__ import annotations

import json

from api.app import create_routes
from api.openapi import openapi_document


def render() -> str:
    return json.dumps(openapi_document(create_routes()), indent=1, sort_keys=True, ensure_ascii=False) + "\n"

"""Renders docs/node-policy.schema.json, by which editors know the keys of a policy file."""

from __future__ import annotations

import json

from gamekeeper.domain.node.policy import NodePolicy

ADDRESS = "https://json-schema.org/draft/2020-12/schema"


def render() -> str:
    schema = {"$schema": ADDRESS, **NodePolicy.model_json_schema(), "title": "Gamekeeper node policy"}
    return json.dumps(schema, indent=2) + "\n"

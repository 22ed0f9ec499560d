"""The first things that a client does, by what openapi-python-client made: ``python walk.py URL KEY NODE``."""

from __future__ import annotations

import json
import sys

from gamekeeper_client import AuthenticatedClient
from gamekeeper_client.api.nodes import list_nodes
from gamekeeper_client.api.pipelines import validate_pipeline
from gamekeeper_client.api.runs import create_run, get_run
from gamekeeper_client.models import NewRun, NodeList, NodeStatus, ProblemDetails, Run, RunCreate, Validation


def main(url: str, key: str, node: str) -> dict[str, object]:
    client = AuthenticatedClient(base_url=url, token=key)
    steps = [{"name": "one", "container": {"image": "debian:12", "commands": ["echo hello"]}}]
    body = RunCreate(spec={"name": "walk", "steps": steps}, node=node)
    nodes = list_nodes.sync(client=client, status=NodeStatus.ONLINE, limit=10)
    checked = validate_pipeline.sync(client=client, body=body)
    wrong = validate_pipeline.sync(client=client, body=RunCreate(spec={"name": "walk", "steps": []}))
    made = create_run.sync(client=client, body=body)
    assert isinstance(nodes, NodeList)
    assert isinstance(checked, Validation)
    assert isinstance(wrong, Validation)
    assert isinstance(made, NewRun), made
    run = get_run.sync(made.id, client=client)
    missing = get_run.sync("none", client=client)
    assert isinstance(run, Run)
    assert isinstance(missing, ProblemDetails)
    return {
        "nodes": [item.id for item in nodes.items],
        "valid": checked.valid,
        "problem": wrong.problems[0].path,
        "run": run.id == made.id,
        "steps": [step.name for step in run.steps],
        "missing": missing.code,
    }


print(json.dumps(main(*sys.argv[1:])))  # noqa: T201

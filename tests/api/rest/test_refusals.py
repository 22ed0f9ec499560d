"""One check for all: the command without a server, the route that validates, a push and a submission refuse the same
pipelines in the same words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gamekeeper.cli.app import build
from tests.fixtures.api import ApiUnderTest

HEAD = "version: 1\nname: refused\n"
STEP = HEAD + "steps:\n  - name: a\n    {more}\n    container: {{image: i}}\n"
CONTAINER = HEAD + "steps:\n  - name: a\n    container:\n      image: i\n      {more}\n"
TOP = HEAD + "{more}\nsteps:\n  - name: a\n    container: {{image: i}}\n"

ARG = HEAD + "args: {{{arg}}}\nsteps:\n  - name: a\n    {more}\n    container: {{image: i, {container}}}\n"

REFUSED = {
    "a relative path": CONTAINER.format(more="volumes: [./data:/data, ~/saves:/saves, '${DATA}:/d']"),
    "a path by an argument": TOP.format(more="args: {p: ./x}").replace(
        "image: i", "image: i, volumes: ['${{ args.p }}:/x']"
    ),
    "an empty matrix": STEP.format(more="matrix: {x: []}"),
    "a matrix without a list": STEP.format(more="matrix: {x: 5}"),
    "a matrix of many cells": STEP.format(more="matrix: {x: '${{ range(20) }}', y: '${{ range(20) }}'}"),
    "a matrix by an argument": TOP.format(more="args: {n: 300}").replace(
        "name: a", "name: a\n    matrix: {x: '${{ range(args.n) }}'}"
    ),
    "a cell that can't run": STEP.format(more="matrix: {x: [99999]}").replace(
        "image: i", "image: i, ports: ['${{ matrix.x }}:80']"
    ),
    "a large container": CONTAINER.format(more=f"commands: [{'x' * 20_000}]"),
    "a large pipeline": HEAD
    + "steps:\n"
    + "".join(f"  - {{name: s{index}, container: {{image: i, command: [{'x' * 15_000}]}}}}\n" for index in range(70)),
    "no time at all": STEP.format(more="timeout: 0s"),
    "a time by an argument": TOP.format(more="args: {t: soon}\ntimeout: ${{ args.t }}"),
    "too many tries": STEP.format(more="retry: {attempts: '${{ 50 * 3 }}'}"),
    "a hold too long": STEP.format(more="on_failure: hold 8d"),
    "an if that is a text": STEP.format(more="if: ${{ 'yes' }}"),
    "an expression that fails": STEP.format(more="if: ${{ 1 / 0 == 1 }}"),
    "an expression of two types": TOP.format(more="args: {n: 5}\nlabels: {x: '${{ args.n + \"a\" }}'}"),
    "an expression that is none": STEP.format(more="if: ${{ 1 + }}"),
    "a group without a name": TOP.format(more="concurrency: {group: '${{ \"\" }}'}"),
    "a priority": STEP.format(more="priority: 101"),
    "a pattern that is none": TOP.format(more="args: {n: {pattern: '('}}").replace("{pattern", "{default: a, pattern"),
    "a default out of its limits": TOP.format(more="args: {n: {type: integer, default: 5, max: 4}}"),
    "foreign words": STEP.format(more="runs-on: ubuntu"),
    "words of later versions": STEP.format(more="strategy: blue_green"),
    "a wrong key and an unknown need": STEP.format(more="needs: [b]\n    timeout: soon"),
    "restart without lifetime": STEP.format(more="type: service").replace("image: i", "image: i, restart: always"),
    "a cycle": HEAD
    + "steps:\n  - {name: a, needs: [b], container: {image: i}}\n  - {name: b, container: {image: i}}\n",
    "not YAML": HEAD + "steps: [",
}


def offline(folder: Path, text: str) -> list[dict[str, Any]]:
    file = folder / "pipeline.yaml"
    file.write_text(text)
    shown = CliRunner().invoke(build(), ["pipeline", "validate", str(file), "--json"])
    assert shown.exit_code == 2, shown.output
    found: list[dict[str, Any]] = json.loads(shown.stdout)["problems"]
    return found


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
async def test_a_pipeline_is_refused_everywhere_in_the_same_words(
    refusing_api: ApiUnderTest, tmp_path: Path, text: str
) -> None:
    found = offline(tmp_path, text)
    assert found
    body = {"yaml": text, "node": "node-1"}
    validated = await refusing_api.http.post("/pipelines/validate", json=body)
    assert validated.json() == {"valid": False, "problems": found, "warnings": []}
    submitted = await refusing_api.http.post("/runs", json=body)
    pushed = await refusing_api.http.post("/pipelines", json={"yaml": text})
    assert (submitted.status_code, submitted.json()["problems"]) == (422, found)
    assert (pushed.status_code, pushed.json()["problems"]) == (422, found)


async def test_what_a_call_gives_is_no_matter_of_the_pipeline(api: ApiUnderTest) -> None:
    await api.add_node()
    text = TOP.format(more="args: [size, t]\nenvs: [E]\ntimeout: ${{ args.t }}").replace(
        "name: a",
        "name: a\n    if: ${{ args.size == 'big' && envs.E != node.id }}\n    matrix: {x: '${{ [args.size] }}'}"
        "\n    priority: ${{ size(args.size) }}\n    retry: {attempts: '${{ size(args.t) }}'}",
    )
    pushed = await api.http.post("/pipelines", json={"yaml": text})
    assert pushed.status_code == 201, pushed.text
    wrong = {"args": {"t": "soon"}, "envs": {"E": "e", "F": "f"}}
    answer = await api.http.post("/pipelines/validate", json={"yaml": text, "node": "node-1", **wrong})
    assert [problem["path"] for problem in answer.json()["problems"]] == ["args.size", "envs.F", "timeout"]


@pytest.mark.parametrize("value", ["duration('5m')", "timestamp('2026-01-31T12:00:00Z')", "[duration('90s')]"])
async def test_a_duration_or_a_time_in_a_container_is_taken_everywhere(api: ApiUnderTest, value: str) -> None:
    await api.add_node()
    text = STEP.format(more="").replace("image: i", f'image: i, environment: {{D: "${{{{ {value} }}}}"}}')
    body = {"yaml": text, "node": "node-1"}
    validated = await api.http.post("/pipelines/validate", json=body)
    assert validated.json() == {"valid": True, "problems": [], "warnings": []}
    assert (await api.http.post("/runs", json=body)).status_code == 201

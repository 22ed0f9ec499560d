"""The words of commands on runs: ids and their beginnings, standard input, arguments, and how a failure is told."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.gamekeeper.cli.conftest import Command, step

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def test_a_pipeline_from_standard_input_on_the_only_node_is_waited_for(command: Command) -> None:
    text = yaml.safe_dump(
        {
            "version": 1,
            "name": "maps",
            "labels": {"stage": "live"},
            "args": {"maps": {"type": "array", "default": ["dm1"]}},
            "steps": [step("a", matrix={"m": "${{ args.maps }}"})],
        }
    ).encode()
    assert (await command("pipeline", "validate", "-", given=text)).code == 0
    assert (await command("pipeline", "push", "-", given=text)).code == 0
    made = await command("run", "-", "--arg", 'maps=["dm1","ctf1"]', "--json", given=text)
    run = json.loads(made.out)["id"]
    waited = await command("runs", "wait", run[:12])
    assert waited.code == 0
    assert [line.split()[0] for line in waited.lines if line.startswith("a.")] == ["a.0", "a.1"]
    stored = await command("run", "maps@1", "--arg", "maps=dm1")
    assert (stored.code, "must be an array" in stored.err, "write it as JSON" in stored.err) == (2, True, True)
    assert run in (await command("runs", "ls", "--label", "stage=live")).out.decode()
    assert run not in (await command("runs", "ls", "--label", "stage=test")).out.decode()


async def test_the_beginning_of_an_id_is_enough_where_it_names_one_run(command: Command) -> None:
    file = command.write(step("a"))
    runs = [(await command("run", file)).lines[0].split()[1] for _ in range(2)]
    shared = runs[0][:4]
    several = await command("runs", "show", shared)
    assert several.code == 2
    assert all(f"{run} (test, " in several.err for run in runs)
    assert (await command("runs", "show", runs[0][:14])).lines[0].startswith(f"run {runs[0]} ")


async def test_a_table_in_a_pipe_is_whole(command: Command) -> None:
    message = "a long message " * 20
    run = (await command("run", command.write(step("a", dummy={"start_error": message})), "-f")).lines[0].split()[1]
    row = (await command("runs", "ls")).lines[1]
    assert row.startswith(f"{run}  test      failed")
    assert message.strip() in row


@pytest.mark.parametrize(
    ("words", "code", "kind", "said"),
    [
        (["runs", "show", "0000000000000000"], 4, "not_found", "there is no run"),
        (["node", "show", "nope"], 4, "not_found", "there is no node"),
        (["--api-key", "wrong", "runs", "ls"], 5, "unauthenticated", "API key"),
        (["--server", "http://127.0.0.1:1", "runs", "ls"], 3, "unavailable", "does not answer"),
        (["runs", "ls", "--nope"], 2, "invalid", "--nope"),
        (["runs", "ls", "--state", "nope"], 2, "invalid_request", "state"),
    ],
)
async def test_a_failure_is_told_apart_by_its_code_and_is_json_when_asked(
    command: Command, words: list[str], code: int, kind: str, said: str
) -> None:
    plain = await command(*words)
    assert (plain.code, said in plain.err, plain.out) == (code, True, b"")
    told = await command(*words, "--json")
    assert (told.code, told.out) == (code, b"")
    error = json.loads(told.err)["error"]
    assert error["code"] == kind
    assert said in error["message"] or error["problems"]


async def test_a_body_of_yaml(command: Command) -> None:
    text = yaml.safe_dump({"version": 1, "name": "test", "steps": [step("a")]})
    for path, status in (("/pipelines/validate", 200), ("/pipelines", 201), ("/runs?node=node-1", 201)):
        answer = await command.api.http.post(
            path, content=text.encode(), headers={"Content-Type": "application/yaml; charset=utf-8"}
        )
        assert answer.status_code == status, answer.text
    wrong = await command.api.http.post("/runs", content=b"\xff", headers={"Content-Type": "application/yaml"})
    assert (wrong.status_code, "not UTF-8" in wrong.text) == (422, True)

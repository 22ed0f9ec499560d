"""Control of runs, and stored pipelines, by the command, on a real engine."""

from __future__ import annotations

from tests.fixtures.stack import Stack

PIPELINE = """
name: release
args: {{code: 3}}
steps:
  - name: list
    outputs: [maps]
    container:
      image: {image}
      user: "65534"
      commands: ['echo "maps=[1, 2]" >> "$STEP_OUTPUT"', 'echo listed']
  - name: build
    matrix: {{map: "${{{{ from_json(steps.list.outputs.maps) }}}}"}}
    container: {{image: {image}, commands: ["echo map ${{{{ matrix.map }}}}"]}}
  - name: ask
    type: approval
    approval: {{message: "publish ${{{{ steps.list.outputs.maps }}}}?"}}
  - name: publish
    on_failure: hold 10m
    container: {{image: {image}, commands: ["exit ${{{{ args.code }}}}"]}}
"""


def test_from_an_output_to_a_rerun(stack: Stack) -> None:
    file = stack.write(PIPELINE.format(image=stack.image))
    stored = stack.json("pipeline", "push", file)
    assert stored["version"] == 1
    assert "release is stored as version 1" in stack.command("pipeline", "push", file).stdout
    run_id: str = stack.json("run", "--pipeline", "release@1", "--node", stack.node)["id"]

    stack.until(lambda: stack.step(run_id, "ask")["state"] == "running")
    assert stack.step(run_id, "ask")["message"] == "publish [1, 2]?"
    assert stack.step(run_id, "build")["state"] == "succeeded"
    assert "map 2\n" in stack.log(run_id, "build.1")
    stack.command("runs", "approve", run_id, "ask", "-m", "looks good")
    assert stack.command("runs", "approve", run_id, "ask", check=False).returncode == 2

    stack.until(lambda: stack.step(run_id, "publish")["state"] == "held")
    stack.command("runs", "retry", run_id, "publish")
    stack.until(lambda: (row := stack.step(run_id, "publish"))["try"] == 2 and row["state"] == "held")
    stack.command("runs", "fail", run_id, "publish")
    assert stack.until_ended(run_id)["state"] == "failed"

    again: str = stack.json("runs", "rerun", run_id, "--arg", "code=0")["id"]
    stack.until(lambda: stack.step(again, "ask")["state"] == "running")  # what was approved had other arguments
    stack.command("runs", "approve", again, "ask")
    ended = stack.until_ended(again)
    assert (ended["state"], ended["rerun_of"], ended["pipeline_version"]) == ("succeeded", run_id, 1)
    rows = {row["name"]: row for row in ended["steps"]}
    assert [name for name, row in rows.items() if row["carried_from"]] == ["list", "build", "build.0", "build.1"]
    assert stack.log(again, "list").endswith("listed\n")
    merged = stack.command("runs", "logs", run_id, "--merge").stdout
    assert merged.index("list | listed") < merged.index("build.0 | map 1")


def test_stored_pipelines(stack: Stack) -> None:
    text = "name: stored\nsteps:\n  - {name: a, container: {image: one}}\n"
    stack.command("pipeline", "push", stack.write(text))
    stack.command("pipeline", "push", stack.write(text.replace("one", "two")))
    assert [row["version"] for row in stack.json("pipeline", "versions", "stored")] == [2, 1]
    assert "stored" in stack.command("pipeline", "ls").stdout
    assert stack.command("pipeline", "show", "stored@1").stdout == text
    assert "-  - {name: a, container: {image: one}}\n" in stack.command("pipeline", "diff", "stored", "1").stdout
    assert stack.command("pipeline", "graph", "stored").stdout == 'flowchart TD\n    s0["a"]\n'
    stack.command("pipeline", "rm", "stored")
    assert stack.command("pipeline", "show", "stored", check=False).returncode == 4


def test_pause_and_the_end_of_one_step(stack: Stack) -> None:
    text = f"""
name: paused
steps:
  - {{name: a, container: {{image: '{stack.image}', command: [sleep, "60"], stop_grace_period: 0s}}}}
  - {{name: b, needs: [], container: {{image: '{stack.image}', command: ["true"]}}}}
  - {{name: c, needs: [b], container: {{image: '{stack.image}', command: ["true"]}}}}
"""
    run_id = stack.submit(text)
    stack.until(lambda: stack.step(run_id, "a")["state"] == "running")
    stack.command("runs", "cancel", run_id, "--step", "a", "--reason", "enough")
    ended = stack.until_ended(run_id)
    assert {row["name"]: row["state"] for row in ended["steps"]} == {
        "a": "canceled",
        "b": "succeeded",
        "c": "succeeded",
    }
    assert "enough" in ended["steps"][0]["message"]
    assert stack.command("runs", "pause", run_id, check=False).returncode == 2

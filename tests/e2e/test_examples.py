"""Each example of a feature does what its first line says, run by the command on a real engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.fixtures.stack import Stack

FOLDER = Path(__file__).parent.parent.parent / "examples" / "features"


def start(stack: Stack, name: str, *options: str) -> str:
    arguments = ("run", str(FOLDER / f"{name}.yaml"), "--node", stack.node, "--arg", f"image={stack.image}", *options)
    return str(stack.json(*arguments)["id"])


def states(run: dict[str, Any]) -> dict[str, str]:
    return {row["name"]: row["state"] for row in run["steps"]}


def test_there_is_a_test_for_each() -> None:
    tested = {"matrix", "outputs", "approval", "hold", "retry", "conditions", "service", "priority", "older"}
    tested |= {"announce", "calls", "concurrency", "schedule", "compose", "started", "instance"}
    assert {path.stem for path in FOLDER.glob("*.yaml")} == tested


def test_matrix(stack: Stack) -> None:
    run = stack.until_ended(start(stack, "matrix"))
    assert run["state"] == "succeeded"
    cells = [row["matrix"] for row in run["steps"] if row["cell_of"]]
    assert cells == [
        {"map": "dm1", "bots": 4},
        {"map": "dm1", "bots": 16},
        {"map": "ctf1", "bots": 16},
        {"map": "dm1", "bots": 64},
    ]
    assert stack.log(run["id"], "play.3").endswith("playing dm1 with 64 bots\n")


def test_outputs(stack: Stack) -> None:
    run = stack.until_ended(start(stack, "outputs"))
    assert run["state"] == "succeeded"
    assert stack.log(run["id"], "show").endswith('hello\nplayers ["dm1-64x64","ctf1-64x64"]\n')


def test_calls(stack: Stack) -> None:
    stack.command("pipeline", "push", str(FOLDER / "announce.yaml"))
    run = stack.until_ended(start(stack, "calls"))
    assert run["state"] == "succeeded"
    called = stack.json("runs", "ls", "--parent", run["id"])
    said = sorted(stack.log(item["id"], "say").splitlines()[-1] for item in called)
    assert said == ["announced: ctf1 is up", "announced: dm1 is up"]


def test_concurrency(stack: Stack) -> None:
    first = start(stack, "concurrency", "--arg", "seconds=600")
    second = start(stack, "concurrency", "--arg", "seconds=0")
    stack.until(lambda: stack.json("runs", "queue", "arena-8303")[0]["waiting"] == [second])
    stack.command("runs", "cancel", first)
    ends = [stack.until_ended(run_id) for run_id in (first, second)]
    assert [end["state"] for end in ends] == ["canceled", "succeeded"]
    assert ends[0]["finished_at"] <= ends[1]["started_at"]


def test_schedule(stack: Stack) -> None:
    stack.command("pipeline", "push", str(FOLDER / "schedule.yaml"))
    refused = stack.command("schedule", "apply", "nightly@newest", check=False)
    assert (refused.returncode, '"newest" is no version; write nightly@3' in refused.stderr) == (2, True)
    made = stack.json("schedule", "apply", "nightly", "--node", stack.node, "--arg", f"image={stack.image}")
    assert [item["cron"] for item in made] == ["0 5 * * *", "@hourly"]
    assert "nightly-0" in stack.command("schedule", "ls").stdout
    stack.command("schedule", "trigger", "nightly-0")
    stack.until(lambda: stack.json("runs", "ls", "--schedule", "nightly-0") != [])
    (run,) = stack.json("runs", "ls", "--schedule", "nightly-0")
    assert stack.until_ended(run["id"])["state"] == "succeeded"
    stack.command("schedule", "pause", "nightly-1", "-m", "holidays")
    assert stack.json("schedule", "show", "nightly-1")["note"] == "holidays"
    for name in ("nightly-0", "nightly-1"):
        stack.command("schedule", "rm", name)
    assert stack.json("schedule", "ls") == []


def test_approval(stack: Stack) -> None:
    run_id = start(stack, "approval")
    stack.until(lambda: stack.step(run_id, "publish-it")["message"] == "Publish abc123?")
    stack.command("runs", "approve", run_id, "publish-it", "-m", "looks good")
    assert stack.until_ended(run_id)["state"] == "succeeded"
    assert stack.log(run_id, "publish").endswith("published, as key:admin said\n")


def test_hold(stack: Stack) -> None:
    run_id = start(stack, "hold")
    stack.until(lambda: stack.step(run_id, "flaky")["state"] == "held")
    stack.command("runs", "skip", run_id, "flaky")
    assert states(stack.until_ended(run_id)) == {"flaky": "skipped", "after": "succeeded"}


def test_retry(stack: Stack) -> None:
    run = stack.until_ended(start(stack, "retry"))
    assert (run["state"], run["steps"][0]["try"]) == ("succeeded", 2)
    assert stack.log(run["id"], "twice").endswith("done\n")


def test_conditions(stack: Stack) -> None:
    run = stack.until_ended(start(stack, "conditions"))
    assert run["state"] == "succeeded"
    assert states(run) == {"try-it": "failed", "long-check": "skipped", "tell": "succeeded", "report": "succeeded"}
    assert stack.log(run["id"], "report").endswith("the run is succeeded\n")


def test_started(stack: Stack) -> None:
    run = stack.until_ended(start(stack, "started"))
    assert states(run) == {"router": "succeeded", "register": "succeeded", "play": "succeeded"}
    assert stack.log(run["id"], "play").endswith("playing\n")


def test_service(stack: Stack) -> None:
    run_id = start(stack, "service")
    assert stack.until_ended(run_id)["state"] == "succeeded"
    assert "hello" in stack.log(run_id, "ask")
    (shown,) = [row for row in stack.json("runs", "show", run_id)["steps"] if row["name"] == "cache"]
    number = shown["named_ports"]["web"]
    assert f":{number}->8080/tcp" in " ".join(shown["ports"])
    assert stack.log(run_id, "tell").endswith(f"web is at {number}\n")
    assert f"web at {number}" in stack.command("runs", "show", run_id).stdout


def test_compose(stack: Stack) -> None:
    run_id = start(stack, "compose")
    assert stack.until_ended(run_id)["state"] == "succeeded"
    assert "hello" in stack.log(run_id, "ask")


def test_priority(stack: Stack) -> None:
    assert states(stack.until_ended(start(stack, "priority"))) == {"index": "succeeded", "hotfix": "succeeded"}


def test_older(stack: Stack) -> None:
    run = stack.until_ended(start(stack, "older", "--arg", "map=dm1", "--env", "ROOT=/srv", "--env", "DEBUG=1"))
    assert run["state"] == "succeeded"
    assert "map dm1 below /srv\n" in stack.log(run["id"], "prepare")


def test_instance(stack: Stack) -> None:
    def run(*options: str) -> dict[str, Any]:
        return stack.until_ended(start(stack, "instance", *options))

    try:
        first, second = run(), run("--arg", "motd=again")
        assert [run["state"] for run in (first, second)] == ["succeeded", "succeeded"]
        assert stack.log(second["id"], "tell").endswith("instance instance-server has revision 2\n")
        assert stack.log(second["id"], "server").startswith("again\n")
        failed = run("--arg", "command=exit 7")
        assert failed["state"] == "failed"
        assert "the revision before it is back" in failed["message"]
        shown = stack.json("instance", "show", "instance-server")
        assert (shown["state"], shown["revision"]) == ("ready", 2)
    finally:
        stack.command("instance", "rm", "instance-server", "--yes")

"""A stack whose Temporal database is read by a stranger, and whose payload key is rotated under its runs."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from urllib.parse import quote

import psutil
import pytest

from gamekeeper.stack.layout import StateDir
from gamekeeper.stack.own_server import CODEC_PATH
from tests.fixtures.stack import Stack

pytestmark = pytest.mark.xdist_group("stack gateway")


def pipeline(image: str, name: str, command: str, *, schedule: str = "") -> str:
    return (
        f"name: {name}\nargs: {{word: {{type: string, default: none}}}}\n{schedule}steps:\n"
        f"  - name: a\n    container:\n      image: '{image}'\n      environment: {{WORD: '${{{{ args.word }}}}'}}\n"
        f"      commands: ['{command}']\n    outputs: [word]\n"
        "  - {name: agreed, type: approval, approval: {message: 'Go on?'}}\n"
        f"  - {{name: b, container: {{image: '{image}', commands: ['echo ran']}}}}\n"
    )


def forms(canary: str) -> Iterator[bytes]:
    """Base64 has three forms, by where the canary begins in it."""
    raw = canary.encode()
    yield from (raw, raw.hex().encode(), quote(canary).encode(), canary.encode("utf-16-le"))
    for shift in range(3):
        yield base64.b64encode(b"x" * shift + raw)[4 if shift else 0 : -4]


def in_temporal(stack: Stack, canary: str) -> list[bytes]:
    kept = b"".join(path.read_bytes() for path in stack.state_dir.glob("temporal.db*"))
    assert len(kept) > 100_000
    return [form for form in forms(canary) if form in kept]


def test_temporal_keeps_nothing_that_can_be_read(stack: Stack) -> None:
    canary = f"canary-{uuid.uuid4().hex}"
    text = pipeline(stack.image, "canaries", "echo word=$WORD > $STEP_OUTPUT; case $WORD in bad*) exit 3;; esac")
    path = stack.write(text, "canaries.yaml")
    run = str(stack.json("run", path, "--node", stack.node, "--arg", f"word={canary}")["id"])
    stack.until(lambda: stack.step(run, "agreed")["state"] == "running")
    stack.command("runs", "approve", run, "agreed", "--comment", f"comment {canary}")
    assert stack.until_ended(run)["state"] == "succeeded"
    failed = str(stack.json("run", path, "--node", stack.node, "--arg", f"word=bad-{canary}")["id"])
    assert stack.until_ended(failed)["state"] == "failed"
    ended = str(stack.json("run", path, "--node", stack.node, "--arg", f"word={canary}")["id"])
    stack.until(lambda: stack.step(ended, "agreed")["state"] == "running")
    stack.command("runs", "cancel", ended, "--reason", f"because {canary}")
    told = stack.until_ended(ended)
    assert (told["state"], told["message"]) == ("canceled", f"because {canary}")
    timed = pipeline(stack.image, "timed", "true", schedule='schedule: [{cron: "0 5 1 1 *"}]\n')
    stack.command("pipeline", "push", stack.write(timed, "timed.yaml"))
    stack.command("schedule", "apply", "timed", "--node", stack.node, "--arg", f"word={canary}")
    (schedule,) = stack.json("schedule", "ls")
    stack.command("schedule", "pause", schedule["id"], "--note", f"note {canary}")
    assert stack.json("schedule", "show", schedule["id"])["note"] == f"note {canary}"
    assert in_temporal(stack, canary) == []
    assert in_temporal(stack, run), "the ids of workflows stand there in clear"
    stack.command("schedule", "rm", schedule["id"])


def test_a_key_is_rotated_under_a_run_that_goes_on(stack: Stack) -> None:
    run = stack.submit(pipeline(stack.image, "rotated", "echo word=x > $STEP_OUTPUT"))
    stack.until(lambda: stack.step(run, "agreed")["state"] == "running")
    before = stack.json("payload-key", "ls")["items"]
    made = stack.json("payload-key", "rotate", "--delay", "0")
    assert made["state"] == "writes"
    stack.command("runs", "approve", run, "agreed")
    assert stack.until_ended(run)["state"] == "succeeded"
    assert stack.until(lambda: in_temporal(stack, made["id"])), "the new key writes"
    refused = stack.command("payload-key", "drop", before[0]["id"], check=False)
    assert refused.returncode != 0
    assert "histories in Temporal began before" in refused.stderr
    unsure = stack.command("payload-key", "give-up", before[0]["id"], check=False)
    assert "add --yes" in unsure.stderr
    assert StateDir(stack.state_dir).payload_keys.stat().st_mode & 0o777 == 0o600


def test_temporals_ui_is_told_where_payloads_are_decrypted(stack: Stack) -> None:
    record = StateDir(stack.state_dir).load()
    command = psutil.Process(stack.pid("temporal")).cmdline()
    assert command[command.index("--ui-codec-endpoint") + 1] == record.rest_url + CODEC_PATH
    api = psutil.Process(stack.pid("api")).environ()
    assert record.ports is not None
    assert f"http://127.0.0.1:{record.ports.temporal_ui}" in api["GAMEKEEPER_TEMPORAL_UI_ORIGINS"].split(",")

"""200 secrets go to containers of a whole stack, which print them in every encoding: then they are looked for.

All values begin with one text that nothing else has, so that each encoding of all of them is found by a few needles.
"""

from __future__ import annotations

import base64
import json
import secrets
import shlex
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psutil
import pytest
from docker.errors import NotFound

from agent_worker.mounts.secret_files import SECRETS_FOLDER
from tests.fixtures.stack import Stack
from tests.hang import HANG_SECONDS

PREFIX = f"Cn\"'+/\\ {secrets.token_hex(9)}"
COUNT, OF_STEP = 200, 50
SAYS = r"""
say() {
  printf '%s\n' "$1"
  printf %s "$1" | base64 -w 0; echo
  printf %s "$1" | base64 -w 0 | tr '+/' '-_'; echo
  printf %s "$1" | od -An -v -tx1 | tr -d ' \n'; echo
  printf %s "$1" | od -An -v -tx1 | tr -d '\n' | sed 's/ /%/g'; echo
  printf %s "$1" | sed 's/\\/\\\\/g; s/"/\\"/g'
  printf %s "$1" | sed "s/'/'\\\\''/g"
}
i=0
while [ $i -lt 25 ]; do eval "v=\$SECRET_$i"; say "$v"; i=$((i + 1)); done
for file in /run/secrets/*; do say "$(cat "$file")"; done
while [ ! -e /go ]; do sleep 0.1; done
echo "handed_on=$SECRET_0" >> "$STEP_OUTPUT"
echo "the end: $SECRET_1" >&2
exit 3
"""


def needles() -> list[bytes]:
    """The beginning of all values, in all encodings and at each place within a longer base64 text."""
    text = PREFIX.encode()
    found = {text, text.hex().encode(), text.hex().upper().encode(), quote(text, safe="").encode()}
    found |= {b"".join(b"%%%02x" % byte for byte in text), json.dumps(PREFIX)[1:-1].encode()}
    found |= {shlex.quote(PREFIX)[1:-1].encode(), text.replace(b"'", b"'\\''")}
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + text)
        inner = encoded[(offset * 8 + 5) // 6 : (offset + len(text)) * 8 // 6]
        found |= {inner, inner.translate(bytes.maketrans(b"+/", b"-_"))}
    return sorted(found)


NEEDLES = needles()


def has_canary(data: bytes) -> bool:
    return any(needle in data for needle in NEEDLES)


def keep(stack: Stack, name: str, value: str) -> None:
    body = {"value": value, "scope": {"pipelines": ["canaries"], "instances": ["canary-*"]}}
    deadline = time.monotonic() + HANG_SECONDS
    while True:
        try:
            stack.ask("PUT", f"/secrets/{name}", body)
            return
        except httpx.HTTPStatusError as error:  # as many as these are more than a user writes
            if error.response.status_code != httpx.codes.TOO_MANY_REQUESTS or time.monotonic() > deadline:
                raise
            time.sleep(float(error.response.headers["retry-after"]))


def pipeline(stack: Stack) -> str:
    steps: list[dict[str, Any]] = []
    for first in range(0, COUNT, OF_STEP):
        half = first + OF_STEP // 2
        environment = {f"SECRET_{index}": {"secret": f"canary-{first + index}"} for index in range(half - first)}
        container = {
            "image": stack.image,
            "command": ["sh", "-c", SAYS],
            "environment": environment,
            "secrets": [f"canary-{index}" for index in range(half, first + OF_STEP)],
        }
        steps.append({"name": f"says-{first}", "needs": [], "outputs": ["handed_on"], "container": container})
    return json.dumps({"version": 1, "name": "canaries", "steps": steps})


def in_files(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue
            if has_canary(data):
                yield str(path)


def in_processes(roots: set[int]) -> Iterator[str]:
    """Arguments and environments of all processes but those of the containers that name them, by the first of each."""
    for process in psutil.process_iter():
        if is_below(process, roots):
            continue
        for what in ("cmdline", "environ"):
            try:
                data = Path(f"/proc/{process.pid}/{what}").read_bytes()
            except OSError:
                continue
            if has_canary(data):
                yield f"{what} of {process.pid} ({process.name()})"


def in_engine(stack: Stack, named: set[str]) -> Iterator[str]:
    """Finds canaries in the words of the Engine on all containers but these, on images, volumes and networks."""
    api = stack.docker.api
    for item in api.containers(all=True):
        if item["Id"] in named:
            continue
        with suppress(NotFound):  # it was removed meanwhile: others use this Engine too
            if has_canary(json.dumps(api.inspect_container(item["Id"])).encode()):
                yield f"container {item['Names']}"
    for image in api.images(all=True):
        with suppress(NotFound):
            if has_canary(json.dumps(api.inspect_image(image["Id"])).encode()):  # type: ignore[no-untyped-call]
                yield f"image {image['RepoTags']}"
    if has_canary(json.dumps([api.volumes(), api.networks()]).encode()):
        yield "volumes or networks"


def is_below(process: psutil.Process, roots: set[int]) -> bool:
    with suppress(psutil.Error):
        return bool(roots & {process.pid, *(parent.pid for parent in process.parents())})
    return True  # it has ended meanwhile


def told(stack: Stack, run_id: str) -> Iterator[str]:
    for path in (f"/runs/{run_id}", "/events?limit=500", "/secrets?limit=200", "/nodes", "/instances", "/metrics"):
        try:
            text = stack.get(path).text
        except httpx.HTTPStatusError:
            continue
        if has_canary(text.encode()):
            yield path
    for step in stack.run(run_id)["steps"]:
        log = stack.log(run_id, step["name"])
        assert log.count("***") >= OF_STEP * 6, log[:500]
        if has_canary(log.encode()):
            yield f"log of {step['name']}"


@pytest.fixture(scope="module")
def canaries(stack: Stack) -> None:
    for number in range(COUNT):
        keep(stack, f"canary-{number}", f"{PREFIX}-{number:03}-{secrets.token_hex(4)} $x&ü")


def test_200_secrets_are_found_nowhere(stack: Stack, canaries: None) -> None:
    run_id = stack.submit(pipeline(stack))

    def running() -> list[Any]:
        found = stack.containers(run_id)
        return found if [item.status for item in found] == ["running"] * (COUNT // OF_STEP) else []

    containers = stack.until(running)
    for item in containers:
        item.reload()
    named = {item.id for item in containers}
    shown = json.dumps(containers[0].attrs)
    assert json.dumps(PREFIX)[1:-1] in shown  # this way of looking finds what is there: its own variables
    processes = {int(item.attrs["State"]["Pid"]) for item in containers}
    assert any(has_canary(Path(f"/proc/{pid}/environ").read_bytes()) for pid in processes)
    stack.until(lambda: all(stack.log(run_id, step["name"]).count("***") for step in stack.run(run_id)["steps"]))
    assert list(in_processes(processes)) == []
    assert list(in_engine(stack, named)) == []
    for item in containers:
        item.exec_run(["touch", "/go"])
    run = stack.until_ended(run_id)
    assert {step["reason"] for step in run["steps"]} == {"exit_code"}
    assert [step["outputs"] for step in run["steps"]] == [{"handed_on": "***"}] * len(run["steps"])
    stack.until(lambda: not stack.containers(run_id))
    assert list(told(stack, run_id)) == []
    assert list(in_files(stack.state_dir)) == []
    assert list(in_engine(stack, set())) == []
    stack.until(lambda: not Path(SECRETS_FOLDER, stack.node).exists())
    for part in ("agent", "api"):
        limits = Path(f"/proc/{stack.pid(part)}/limits").read_text()
        assert next(line.split()[4] for line in limits.splitlines() if line.startswith("Max core")) == "1"


def test_an_instance_takes_a_rotated_secret_with_its_next_start_and_outlives_its_agent(
    stack: Stack, canaries: None
) -> None:
    name = f"canary-{secrets.token_hex(4)}"
    keep(stack, "canary-0", f"{PREFIX}-first")
    container = {
        "image": stack.image,
        "command": ["sh", "-c", "cat /run/secrets/canary-0; trap 'exit 0' TERM; sleep 600 & wait"],
        "secrets": ["canary-0"],
    }
    assert stack.ask("POST", "/instances", {"id": name, "container": container}).status_code == 201

    def is_ready() -> bool:
        row = stack.get(f"/instances/{name}").json()
        return bool(row["state"] == "ready" and row["operation"] is None)

    stack.until(is_ready)
    server = stack.docker.containers.get(f"gk-i-{name}-1")
    keep(stack, "canary-0", f"{PREFIX}-second")
    assert server.exec_run(["cat", "/run/secrets/canary-0"]).output == f"{PREFIX}-first".encode()
    stack.kill("agent")
    stack.ask("POST", f"/instances/{name}/restart", {})
    stack.until(lambda: is_ready() and b"second" in server.exec_run(["cat", "/run/secrets/canary-0"]).output)
    assert not has_canary(stack.get(f"/instances/{name}/logs").content)
    stack.ask("DELETE", f"/instances/{name}")
    stack.until(lambda: not Path(SECRETS_FOLDER, stack.node).exists())
    assert list(in_files(stack.state_dir)) == []

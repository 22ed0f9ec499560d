"""The command as a user types it, against a real stack on a real Docker Engine."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import httpx
import pytest

from gamekeeper.cli.pipeline import validate
from tests.fixtures.stack import NODE, Stack

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def test_up_is_idempotent(stack: Stack) -> None:
    before = stack.status()
    done = stack.command("up", "--detach", "--node", NODE)
    assert "already up" in done.stdout
    assert stack.status()["api"]["pid"] == before["api"]["pid"]


def test_status_for_scripts(stack: Stack) -> None:
    found = stack.json("status")
    for part in ("temporal", "api", "control_worker", "supervisor"):
        assert found[part]["health"] == "ok"
        assert found[part]["pid"] > 0
    assert found["agents"][0]["node"] == NODE
    assert found["agents"][0]["health"] == "ok"
    key_file = Path(found["api"]["key_file"])
    assert stat.S_IMODE(os.stat(key_file).st_mode) == 0o600
    answer = httpx.get(
        f"{found['api']['url']}/api/v1/nodes", headers={"Authorization": f"Bearer {key_file.read_text().strip()}"}
    )
    assert [item["id"] for item in answer.json()["items"]] == [NODE]
    assert "127.0.0.1" in found["temporal"]["ui"]
    assert f"(web UI {found['temporal']['ui']})" in stack.command("status").stdout


def test_hello_with_follow(stack: Stack) -> None:
    done = stack.command(
        "run", str(EXAMPLES / "hello.yaml"), "--node", NODE, "--arg", f"image={stack.image}", "--arg", "who=night", "-f"
    )
    assert "hello, night" in done.stdout
    assert re.search(r"show +succeeded", done.stdout)


def test_a_failed_run_is_exit_code_1(stack: Stack) -> None:
    text = f"name: bad\nsteps:\n  - {{name: a, container: {{image: '{stack.image}', commands: [exit 3]}}}}\n"
    done = stack.command("run", stack.write(text), "--node", NODE, "--follow", check=False)
    assert done.returncode == 1
    assert "exit code 3" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (["run", "/no/such/file"], 2, "No such file"),
        (["runs", "show", "nope"], 4, 'there is no run "nope"'),
        (["node", "show", "nope"], 4, 'there is no node "nope"'),
        (["nonsense"], 2, "No such command"),
        (["node", "add", "Bad_Name"], 2, "id"),
        (["run", str(EXAMPLES / "hello.yaml"), "--arg", "who"], 2, "is not KEY=VALUE"),
        (["run", str(EXAMPLES / "hello.yaml"), "--arg", "whoo=x", "--node", NODE], 2, "no such argument"),
        (["run", str(EXAMPLES / "hello.yaml"), "--node", "nope"], 2, "has never registered"),
        (["--server", "http://127.0.0.1:1", "runs", "ls"], 3, "does not answer"),
        (["--server", "nonsense", "runs", "ls"], 2, "is not a URL"),
        (["--api-key", "wrong", "runs", "ls"], 5, "API key is not known"),
    ],
)
def test_exit_codes_and_errors(stack: Stack, arguments: list[str], code: int, part: str) -> None:
    done = stack.command(*arguments, check=False)
    assert done.returncode == code, done.stderr
    assert part in done.stderr
    assert "Traceback" not in done.stderr


def test_nodes_from_the_command(stack: Stack) -> None:
    stack.command("node", "add", "spare", "--location", "shelf", "--label", "pool=a")
    assert "spare" in stack.command("node", "ls").stdout
    assert stack.json("node", "ls", "--label", "pool=a")[0]["status"] == "never_seen"
    assert "--token gke_" in stack.command("node", "enrol", "spare").stdout
    stack.command("node", "edit", "spare", "--mode", "maintenance")
    assert stack.json("node", "show", "spare")["mode"] == "maintenance"
    stack.command("node", "rm", "spare")
    assert [item["id"] for item in stack.json("node", "ls")] == [NODE]


def test_a_cancel_ends_the_container_in_its_own_way(stack: Stack) -> None:
    commands = "trap 'exit 7' TERM; while true; do sleep 0.05; done"
    text = (
        f'name: long\nsteps:\n  - {{name: a, container: {{image: "{stack.image}", command: [sh, -c, "{commands}"]}}}}\n'
    )
    run_id = stack.submit(text)
    stack.until(lambda: stack.step(run_id, "a")["state"] == "running")
    stack.command("runs", "cancel", run_id, "--reason", "enough")
    ended = stack.until_ended(run_id)
    assert ended["state"] == "canceled"
    assert ended["steps"][0]["exit_code"] == 7


def test_validate_gives_the_servers_errors_offline(stack: Stack) -> None:
    good = stack.command("pipeline", "validate", str(EXAMPLES / "teeworlds" / "deploy.yaml"))
    assert "is valid" in good.stdout
    bad = stack.command("pipeline", "validate", stack.write("name: X\nsteps: []\n", "bad.yaml"), check=False)
    assert bad.returncode == 2
    assert 'line 1: name: "X" may use a-z' in bad.stderr


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_valid(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    validate(path)
    assert "is valid" in capsys.readouterr().out


def test_a_service_and_the_job_that_calls_it_by_name(stack: Stack) -> None:
    text = f"""
name: serving
steps:
  - name: web
    type: service
    lifetime: run
    container:
      image: {stack.image}
      commands: [echo hello > /tmp/greeting, exec httpd -f -p 8080 -h /tmp]
      healthcheck: {{test: [CMD, wget, -qO-, "http://127.0.0.1:8080/greeting"], interval: 200ms}}
  - name: call
    container: {{image: "{stack.image}", commands: ["wget -qO- http://web:8080/greeting"]}}
"""
    run_id = stack.submit(text)
    ended = stack.until_ended(run_id)
    assert [step["state"] for step in ended["steps"]] == ["succeeded", "succeeded"], ended
    assert "hello" in stack.log(run_id, "call")
    stack.until(lambda: stack.containers(run_id) == [])
    network = f"gk-{run_id}"
    stack.until(lambda: network not in [item.name for item in stack.docker.networks.list()])


def test_every_container_key_reaches_docker(stack: Stack) -> None:
    text = f"""
name: keys
steps:
  - name: keys
    container:
      image: {stack.image}
      command: [sh, -c, "touch /srv/x 2>&1; id -u; hostname; echo $A; ls -d /shm /dev/shm; exit 0"]
      environment: {{A: "1"}}
      working_dir: /tmp
      user: "65534"
      hostname: arena
      labels: {{team: blue}}
      init: true
      read_only: true
      shm_size: 16m
      ulimits: {{nofile: 512, nproc: {{soft: 100, hard: 200}}}}
      extra_hosts: ["peer:10.0.0.9"]
      dns: [10.0.0.53]
      tmpfs: ["/shm:size=1m"]
      cap_drop: [ALL]
      cap_add: [NET_RAW]
      security_opt: ["no-new-privileges:true"]
      stop_signal: SIGINT
      stop_grace_period: 3s
      ports: ["0:8303/udp"]
      deploy: {{resources: {{limits: {{cpus: "0.5", memory: 64m, pids: 32}}, reservations: {{memory: 32m}}}}}}
      healthcheck: {{test: "true", interval: 5s, timeout: 1s, retries: 2, start_period: 1s}}
"""
    run_id = stack.submit(text)
    container = stack.until(lambda: [found for found in stack.containers(run_id) if found.name.endswith("-keys-1")])[0]
    attributes = container.attrs
    config, host = attributes["Config"], attributes["HostConfig"]
    assert (config["User"], config["Hostname"], config["WorkingDir"]) == ("65534", "arena", "/tmp")
    assert "A=1" in config["Env"]
    assert config["Labels"]["team"] == "blue"
    assert (config["StopSignal"], config["StopTimeout"]) == ("SIGINT", 3)
    assert config["Healthcheck"]["Test"] == ["CMD-SHELL", "true"]
    assert (host["Init"], host["ReadonlyRootfs"], host["ShmSize"]) == (True, True, 16 * 2**20)
    assert {item["Name"]: (item["Soft"], item["Hard"]) for item in host["Ulimits"]} == {
        "nofile": (512, 512),
        "nproc": (100, 200),
    }
    assert (host["ExtraHosts"], host["Dns"], host["Tmpfs"]) == (["peer:10.0.0.9"], ["10.0.0.53"], {"/shm": "size=1m"})
    assert (host["CapDrop"], host["CapAdd"], host["SecurityOpt"]) == (
        ["ALL"],
        ["NET_RAW"],
        ["no-new-privileges:true"],
    )
    assert (host["NanoCpus"], host["Memory"], host["PidsLimit"], host["MemoryReservation"]) == (
        500_000_000,
        64 * 2**20,
        32,
        32 * 2**20,
    )
    assert "8303/udp" in host["PortBindings"]
    assert stack.until_ended(run_id)["state"] == "succeeded"


def test_a_missing_image_and_a_policy_say_what_to_do(stack: Stack) -> None:
    text = "name: gone\nsteps:\n  - {name: a, container: {image: 'missing.invalid/x:1'}}\n"
    ended = stack.until_ended(stack.submit(text))
    assert ended["steps"][0]["reason"] == "pull_failed"
    assert "docker pull missing.invalid/x:1" in ended["steps"][0]["message"]
    text = f"name: evil\nsteps:\n  - {{name: a, container: {{image: '{stack.image}', volumes: ['/etc:/x']}}}}\n"
    done = stack.command("run", stack.write(text), "--node", NODE, check=False)
    assert done.returncode == 2
    assert f"host path /etc is not in the policy of {NODE}" in done.stderr

"""``runs exec`` and ``runs attach``, through the real server, as a user's shell runs them."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator

import pytest

from tests.fixtures.stack import GAMEKEEPER, Stack
from tests.hang import HANG_SECONDS

pytestmark = pytest.mark.xdist_group("console")  # they share what the module makes
BYTES = bytes(range(256)) * 400


@pytest.fixture(scope="module")
def run_id(stack: Stack) -> Iterator[str]:
    spec = f"""
name: console
steps:
  - name: work
    container:
      image: {stack.image}
      command: [sh, -c, "trap 'exit 0' TERM; while true; do echo tick; sleep 0.2; done"]
"""
    made = stack.submit(spec)
    stack.until(lambda: stack.step(made, "work")["state"] == "running")
    yield made
    stack.command("runs", "cancel", made)
    stack.until_ended(made)


def command(stack: Stack, *arguments: str) -> list[str]:
    return [GAMEKEEPER, "--state-dir", str(stack.state_dir), "runs", *arguments]


def test_a_pipe_through_a_command(stack: Stack, run_id: str) -> None:
    """Every byte both ways, both streams, the end of the input, and the exit code."""
    script = "cat; echo err >&2; exit 5"
    done = subprocess.run(
        command(stack, "exec", run_id, "work", "--", "sh", "-c", script), input=BYTES, capture_output=True
    )
    assert (done.stdout, done.stderr, done.returncode) == (BYTES, b"err\n", 5)


def test_a_terminal(stack: Stack, run_id: str) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
    process = subprocess.Popen(
        command(stack, "exec", run_id, "work", "--", "sh"), stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    try:
        os.write(ours, b"stty size; echo done\n")  # ahead of the connection: nothing typed is lost
        until(ours, b"33 99\r\ndone\r\n")
        os.write(ours, b"echo a; echo b; sleep 100\n")
        until(ours, b"a\r\nb\r\n")
        os.write(ours, b"\x03")  # Ctrl-C is the container's, not ours
        os.write(ours, b"exit 4\n")
        assert process.wait(HANG_SECONDS) == 4
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def until(descriptor: int, wanted: bytes) -> None:
    text = b""
    while wanted not in text:
        assert select.select([descriptor], [], [], HANG_SECONDS)[0], text
        text += os.read(descriptor, 4096)


def test_attach_and_leave(stack: Stack, run_id: str) -> None:
    with subprocess.Popen(
        ["env", "--default-signal=INT", *command(stack, "attach", run_id, "work")],  # also where it is ignored here
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"tick\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(HANG_SECONDS) == 0
    assert stack.containers(run_id)[0].status == "running"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [(("exec", "RUN", "nothing", "--", "sh"), 'no step "nothing"'), (("attach", "nothing", "work"), "there is no run")],
)
def test_refusals(stack: Stack, run_id: str, arguments: tuple[str, ...], part: str) -> None:
    done = subprocess.run(
        command(stack, *[run_id if part == "RUN" else part for part in arguments]),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 4
    assert part in done.stderr


def test_events_tell_who_was_there(stack: Stack, run_id: str) -> None:
    subprocess.run(command(stack, "exec", run_id, "work", "--", "true"), check=True)
    found = stack.until(lambda: stack.json("events", "--kind", "step.console_closed", "--run", run_id))
    assert (found[0]["message"], found[0]["step"]) == ("exit code 0", "work")


def test_a_shell_in_a_held_step(stack: Stack) -> None:
    spec = f"""
name: held
steps:
  - name: work
    on_failure: hold 5m
    container: {{image: "{stack.image}", commands: [echo reason > /workspace/why, cp /workspace/why /tmp/, exit 3]}}
"""
    made = stack.submit(spec)
    stack.until(lambda: stack.step(made, "work")["state"] == "held")
    look = command(stack, "exec", made, "work", "--", "sh", "-c", "cat /workspace/why /tmp/why; exit 6")
    done = subprocess.run(look, capture_output=True, check=False)
    assert (done.stdout, done.returncode) == (b"reason\nreason\n", 6)
    stack.command("runs", "fail", made, "work")
    assert stack.until_ended(made)["state"] == "failed"
    again = subprocess.run(look, capture_output=True, check=False)
    assert b"has no running container: it is failed" in again.stderr

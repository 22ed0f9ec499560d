"""``instance console``, ``exec`` and ``top`` on a whole stack, in a terminal and in a pipe, as a shell runs them."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.test_console import BYTES, until
from tests.fixtures.stack import Stack, node_id
from tests.hang import HANG_SECONDS

pytestmark = pytest.mark.xdist_group("instance console")  # they share what the module makes
TAKES_INTERRUPTS = ("env", "--default-signal=INT")  # also where it is ignored here
SCRIPT = 'echo up; while read line; do [ "$line" = end ] && exit 3; echo "got $line"; done; exec sleep 600'


@pytest.fixture(scope="module")
def server(stack: Stack) -> Iterator[str]:
    """An instance that answers lines."""
    name = node_id("talker")
    stack.command("instance", "create", name, "--image", stack.image, "--node", stack.node, "--", "sh", "-c", SCRIPT)
    yield name
    stack.command("instance", "rm", name, "--volumes", "--yes")


def words(stack: Stack, *arguments: str) -> list[str]:
    return [*TAKES_INTERRUPTS, *stack.prefixed("instance", *arguments)]


@contextmanager
def typing(stack: Stack, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A command in a terminal of 33 rows and 99 columns, which ends with the block."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
    its_own = ["setsid", "--ctty"]  # so that Ctrl-C in it is a signal to the command
    process = subprocess.Popen([*its_own, *words(stack, *arguments)], stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@contextmanager
def piped(stack: Stack, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        words(stack, *arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_with(process: subprocess.Popen[bytes], part: bytes) -> bytes:
    """The next line of output that has it."""
    assert process.stdout is not None
    for line in process.stdout:
        if part in line:
            return line
    pytest.fail(f"the command ended without {part!r}")


def test_a_console_in_a_pipe_goes_on_behind_the_end_of_its_input(stack: Stack, server: str) -> None:
    """So ``console < /dev/null`` looks on. The end of one's input is not that of the server, nor of the next one."""
    for said in (b"one", b"two"):
        with piped(stack, "console", server) as process:
            assert process.stdin is not None
            process.stdin.write(said + b"\n")
            process.stdin.close()
            line_with(process, b"got " + said)
            stack.command("instance", "exec", server, "--", "sh", "-c", f"echo later-{said.decode()} > /proc/1/fd/1")
            line_with(process, b"later-" + said)
            process.send_signal(signal.SIGINT)
            assert process.wait(HANG_SECONDS) == 0
    assert stack.json("instance", "show", server)["crash_count"] == 0


@pytest.mark.parametrize("key", [b"\x1d", b"\x03"], ids=["Ctrl-]", "Ctrl-C"])
def test_a_console_in_a_terminal_is_left_by_a_key_and_the_server_stays(stack: Stack, server: str, key: bytes) -> None:
    with typing(stack, "console", server) as (process, ours):
        until(ours, b"up")
        os.write(ours, b"hello\n")
        until(ours, b"got hello")
        os.write(ours, key)
        assert process.wait(HANG_SECONDS) == 0
    found = stack.json("instance", "show", server)
    assert (found["state"], found["crash_count"]) == ("ready", 0)


def test_a_console_ends_with_the_process_and_its_exit_code(stack: Stack, server: str) -> None:
    with piped(stack, "console", server) as process:
        out, _ = process.communicate(b"end\n", timeout=HANG_SECONDS)
        assert (process.returncode, b"up" in out) == (3, True)
    stack.command("instance", "wait", server)  # it is started again


def test_two_who_look_on_are_told_of_each_other(stack: Stack, server: str) -> None:
    with typing(stack, "console", server) as (_, first):
        until(first, b"up")
        with typing(stack, "console", server) as (process, second):
            until(second, b"looking on: ")
            until(first, b"looking on: ")
            os.write(second, b"from the second\n")
            until(first, b"got from the second")
            os.write(second, b"\x1d")
            assert process.wait(HANG_SECONDS) == 0


def test_a_command_in_a_pipe(stack: Stack, server: str) -> None:
    """Every byte both ways, both streams, the end of the input, and the exit code."""
    command = words(stack, "exec", server, "--", "sh", "-c", "cat; echo err >&2; exit 5")
    done = subprocess.run(command, input=BYTES, capture_output=True, timeout=2 * HANG_SECONDS, check=False)
    assert (done.stdout, done.stderr, done.returncode) == (BYTES, b"err\n", 5)


def test_a_command_in_a_terminal(stack: Stack, server: str) -> None:
    with typing(stack, "exec", server, "--", "sh") as (process, ours):
        os.write(ours, b"stty size; echo done\n")  # ahead of the connection: nothing typed is lost
        until(ours, b"33 99\r\ndone\r\n")
        os.write(ours, b"echo a; echo b; sleep 600; echo never\n")
        until(ours, b"a\r\nb\r\n")
        os.write(ours, b"\x03")  # the container's, not ours
        os.write(ours, b"exit 4\n")
        assert process.wait(HANG_SECONDS) == 4


def test_ctrl_c_ends_a_command_in_a_pipe(stack: Stack, server: str) -> None:
    """The command inside goes, too: nobody could reach it any more."""
    with piped(stack, "exec", server, "--", "sh", "-c", "echo begun; exec sleep 1234") as process:
        line_with(process, b"begun")
        process.send_signal(signal.SIGINT)
        assert process.wait(HANG_SECONDS) == 0
    look = words(stack, "exec", server, "--", "sh", "-c", "grep -l '^sleep.*1234' /proc/[0-9]*/cmdline")
    stack.until(lambda: subprocess.run(look, capture_output=True, stdin=subprocess.DEVNULL, check=False).returncode)


@pytest.mark.parametrize("what", ["console", "exec", "top"])
def test_an_instance_that_is_not_there(stack: Stack, what: str) -> None:
    refused = stack.command("instance", what, "no-such", *(["--", "true"] if what == "exec" else []), check=False)
    assert (refused.returncode, "no-such" in refused.stderr) == (4, True)


def test_a_command_in_a_stopped_instance_says_how_to_start_it(stack: Stack, server: str) -> None:
    stack.command("instance", "stop", server)
    try:
        for arguments in (("exec", server, "--", "true"), ("console", server)):
            refused = stack.command("instance", *arguments, check=False)
            assert (refused.returncode, f"gamekeeper instance start {server}" in refused.stderr) == (2, True)
    finally:
        stack.command("instance", "start", server)


def test_what_instances_use(stack: Stack, server: str) -> None:
    """Once in a pipe, as a table and as JSON; again and again in a terminal, until q or Ctrl-C."""
    head, *rows = stack.command("instance", "top", server).stdout.splitlines()
    assert (head.split()[:3], [row.split()[0] for row in rows]) == (["ID", "NODE", "STATE"], [server])
    (item,) = json.loads(stack.command("instance", "top", server, "--json").stdout)
    assert (item["id"], item["node"], item["state"]) == (server, stack.node, "ready")
    stack.until(lambda: stack.json("instance", "top", server)[0]["values"].get("memory_working_set_bytes"))
    for key in (b"\x03", b"q"):
        with typing(stack, "top") as (process, ours):
            until(ours, server.encode())
            until(ours, server.encode())
            os.write(ours, key)
            assert process.wait(HANG_SECONDS) == 0

"""Ports that are chosen before their process listens."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gamekeeper.errors import ConflictError
from gamekeeper.stack.layout import Ports
from gamekeeper.stack.ports import choose_ports, free_port, free_ports

TIME_WAIT = "06"  # of the table's fourth column


def states(port: int) -> set[str]:
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[3] for row in rows if row[1].endswith(f":{port:04X}")}


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_free_port_is_kept_from_others_until_its_server_listens(host: str) -> None:
    port = free_port(host)
    assert TIME_WAIT in states(port), "another process may get it"
    with socket.create_server((host, port)), socket.create_connection(("127.0.0.1", port)):
        pass


@pytest.fixture
def kept() -> Ports:
    return Ports(**{name: free_port("127.0.0.1") for name in Ports.model_fields})


def test_a_kept_port_that_is_taken_is_told_with_its_holder(kept: Ports) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        kept.rest = port
        with pytest.raises(ConflictError, match=rf"port {port} on 127.0.0.1 \(REST\) is taken by .*pid {os.getpid()}"):
            choose_ports("127.0.0.1", kept, set())
        assert choose_ports("127.0.0.1", kept, {"rest"}) == kept
        moved = free_ports("127.0.0.1", kept)
        assert moved.rest != port
        assert moved.model_copy(update={"rest": port}) == kept


def test_temporal_is_on_loopback_whatever_the_host_is(kept: Ports) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert choose_ports("127.0.0.2", kept.model_copy(update={"rest": port}), set()).rest == port
        with pytest.raises(ConflictError, match=r"on 127\.0\.0\.1 \(Temporal\)"):
            choose_ports("127.0.0.2", kept.model_copy(update={"temporal": port}), set())


def test_a_port_on_which_nothing_will_listen_may_be_anybodys(kept: Ports) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        kept.temporal = taken.getsockname()[1]
        assert choose_ports("127.0.0.1", kept, set(), frozenset({"temporal"})) == kept
        with pytest.raises(ConflictError, match=r"\(Temporal\)"):
            choose_ports("127.0.0.1", kept, set(), frozenset({"temporal_ui"}))


LISTENER = """
import socket, sys
listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(("host", "is_ours"), [("127.0.0.3", True), ("127.0.0.4", False)])
def test_the_holder_is_the_one_that_is_in_the_way(kept: Ports, host: str, is_ours: bool) -> None:
    """Two processes may listen on one port, at addresses of their own."""
    with socket.create_server(("127.0.0.3", 0)) as ours:
        kept.rest = ours.getsockname()[1]
        other = [sys.executable, "-c", LISTENER, "127.0.0.4", str(kept.rest)]
        with subprocess.Popen(other, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            with pytest.raises(ConflictError, match=rf"pid {os.getpid() if is_ours else process.pid}\)"):
                choose_ports(host, kept, set())

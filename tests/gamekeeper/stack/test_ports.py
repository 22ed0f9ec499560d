"""Ports that are chosen before their process listens."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from gamekeeper.stack.ports import free_port

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

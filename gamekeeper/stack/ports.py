"""Chooses ports: the usual ones where they are free, else free ones, and then the same ones for ever."""

from __future__ import annotations

import socket

from gamekeeper.stack.layout import Ports

USUAL = Ports(rest=7380, grpc=7381, temporal=7233, temporal_ui=8233)


def is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def choose_ports(host: str, kept: Ports | None, ours: set[str]) -> Ports:
    """``kept`` are the ports of an earlier start; those in ``ours`` are held by our own living processes."""
    wanted = (kept or USUAL).model_dump()
    for name, port in wanted.items():
        if not (name in ours or is_free(host, port)):
            wanted[name] = _free_port(host)
    return Ports(**wanted)

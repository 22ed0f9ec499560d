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


def free_port(host: str) -> int:
    """A free port that the kernel gives to nobody else for a minute, so that a process may yet listen on it.

    A connection to it was just closed. Its rest (TIME_WAIT) keeps the port from those who ask for any free one, and not
    from a server, which binds it by number. A port that was only looked at is soon another process's: Temporal's
    development server asks for several of its own at each start.
    """
    with socket.create_server((host, 0)) as listener:
        port = int(listener.getsockname()[1])
        with socket.create_connection(("127.0.0.1" if host == "0.0.0.0" else host, port)):
            accepted, _ = listener.accept()
            accepted.close()  # the side that closes first keeps the rest
    return port


def choose_ports(host: str, kept: Ports | None, ours: set[str]) -> Ports:
    """``kept`` are the ports of an earlier start; those in ``ours`` are held by our own living processes."""
    wanted = (kept or USUAL).model_dump()
    for name, port in wanted.items():
        if not (name in ours or is_free(host, port)):
            wanted[name] = free_port(host)
    return Ports(**wanted)

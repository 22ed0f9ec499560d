"""A PostgreSQL server of one's own for tests and benchmarks, from the machine's packages, on loopback."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gamekeeper.stack.ports import free_port

USER = "gk"


@contextmanager
def postgres_server() -> Iterator[str]:
    """HOST:PORT, for the user ``gk`` without a password. Not durable. Raises RuntimeError where it can't be had."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    if not found:
        raise RuntimeError("PostgreSQL is missing: run the tests by `make test`, or apt-get install postgresql")
    binaries, folder = found[-1], Path(tempfile.mkdtemp(prefix="gk-postgres-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    data, port = folder / "data", free_port("127.0.0.1")
    _as_server_user([f"{binaries}/initdb", "-D", str(data), "-A", "trust", "-U", USER, "--no-sync"])
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories= -c fsync=off"
    _as_server_user([f"{binaries}/pg_ctl", "-D", str(data), "-w", "-o", options, "-l", str(folder / "log"), "start"])
    try:
        yield f"127.0.0.1:{port}"
    finally:
        _as_server_user([f"{binaries}/pg_ctl", "-D", str(data), "-m", "immediate", "stop"])
        shutil.rmtree(folder, ignore_errors=True)


def _as_server_user(command: list[str]) -> None:
    """PostgreSQL refuses to run as root."""
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    done = subprocess.run([*prefix, *command], capture_output=True, text=True, check=False, cwd="/tmp")
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr or done.stdout}")

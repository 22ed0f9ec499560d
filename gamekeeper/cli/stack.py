"""``up``, ``down``, ``status``: the embedded stack."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from gamekeeper.cli.context import Context
from gamekeeper.cli.options import JsonOption, StateDirOption
from gamekeeper.cli.output import coloured, print_json, printable, say, warn
from gamekeeper.disk import disk_room
from gamekeeper.domain.access.user import FIRST_USER
from gamekeeper.errors import ConflictError, InvalidError, UnavailableError
from gamekeeper.keys import hash_key
from gamekeeper.logging import configure_logging
from gamekeeper.stack.enrol import ensure_node
from gamekeeper.stack.first_user import make_first_user
from gamekeeper.stack.hosts import bind_address
from gamekeeper.stack.layout import Replacement, StackRecord, StateDir
from gamekeeper.stack.outside import host_and_port
from gamekeeper.stack.own_server import LOOPBACK
from gamekeeper.stack.plan import given_way, temporal_address
from gamekeeper.stack.ports import free_ports
from gamekeeper.stack.process import OWN_FILES, LockedFile, wait_released
from gamekeeper.stack.status import PROCESSES, stack_status
from gamekeeper.stack.supervisor import Supervisor, stop_leftovers

UP_SECONDS = 150.0
DOWN_SECONDS = 60.0
NO_NODE = "none"
STATUS_CODES = {"ok": 0, "unhealthy": 1, "down": 3}  # as `systemctl status` has them, and 3 is ours for a server away


def up(
    context: typer.Context,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when all is ready")] = False,
    node: Annotated[
        str, typer.Option(help=f'Id of this machine as a node; "{NO_NODE}" for none; default: its host name')
    ] = "",
    state_dir: StateDirOption = None,
    temporal: Annotated[
        str, typer.Option(help="HOST:PORT of a Temporal server to use instead of the embedded one")
    ] = "",
    database: Annotated[
        str, typer.Option(help="postgresql+psycopg://USER:PASSWORD@HOST/NAME to use instead of a SQLite file")
    ] = "",
    host: Annotated[
        str, typer.Option(help="Address or network interface to serve on; 0.0.0.0 for all; default: 127.0.0.1")
    ] = "",
    policy: Annotated[Path | None, typer.Option(help="This node's policy file", exists=True, dir_okay=False)] = None,
    new_ports: Annotated[
        bool, typer.Option("--new-ports", help="Choose other ports for those that were taken since the last start")
    ] = False,
) -> None:
    """Start Temporal, api, control_worker and this machine's agent, and keep them running."""
    state = _state(context.obj, state_dir)
    os.umask(OWN_FILES)
    state.prepare()
    lock = LockedFile(state.run_dir / "supervisor.lock")
    record = _record(state, node, temporal, database, host, policy)
    if lock.is_held():
        _check_same(state.load(), record, new_ports=new_ports)
        _wait_ready(state, None)
        _enrol_again(state)
        say("already up")
        _print_addresses(state, state.load())
        return
    if new_ports and record.ports is not None:
        record.ports = free_ports(bind_address(record.host), record.ports)
    _keep(state, record)
    if detach:
        _wait_ready(state, _spawn(state))
        _print_addresses(state, state.load())
        return
    configure_logging("INFO")
    Supervisor(state, record).run(lambda now: _print_addresses(state, now))


def _state(context: Context, state_dir: Path | None) -> StateDir:
    return StateDir(state_dir) if state_dir else context.state


def _record(state: StateDir, node: str, temporal: str, database: str, host: str, policy: Path | None) -> StackRecord:
    from gamekeeper.domain.language.values import as_label  # its imports are a third of the command's start

    record = state.load()
    record.node = None if node == NO_NODE else node or record.node or as_label(socket.gethostname())
    record.temporal = temporal or os.environ.get("TEMPORAL_ADDRESS", "") or record.temporal
    if record.temporal:
        host_and_port(record.temporal)
    record.database = database or os.environ.get("GAMEKEEPER_DATABASE", "") or record.database
    record.host = host or record.host
    bind_address(record.host)
    record.temporal_way = {name: hash_key(value) for name, value in given_way(record).items()}
    record.policy_file = str(policy.absolute()) if policy else record.policy_file
    record.ready = False
    if record.node is not None and as_label(record.node) != record.node:
        raise InvalidError(f'"{record.node}" is not a node id', hint=f'try "{as_label(record.node)}"')
    return record


def _check_same(now: StackRecord, wanted: StackRecord, *, new_ports: bool) -> None:
    """Raises ConflictError when the stack is up with other options than the ones given."""
    names = {"node": "--node", "temporal": "--temporal", "database": "--database", "host": "--host"}
    names["policy_file"] = "--policy"
    other = [option for name, option in names.items() if getattr(now, name) != getattr(wanted, name)]
    # A shell that doesn't have them is no wish for others.
    other += [name for name, value in wanted.temporal_way.items() if now.temporal_way.get(name) != value]
    if new_ports:
        raise ConflictError(
            "the stack is up, and its ports do not move meanwhile", hint="run gamekeeper down first; containers go on"
        )
    if other:
        raise ConflictError(
            f"the stack is up already, with another {' and '.join(other)}",
            hint="run gamekeeper down first; containers go on",
        )


def _enrol_again(state: StateDir) -> None:
    """Has a node that was removed while the stack is up back. Its agent, which is refused, finds the new token."""
    record = state.load()
    try:
        if record.node is not None:
            ensure_node(state, record, record.node)
    except UnavailableError as error:
        warn(str(error))


def _keep(state: StateDir, record: StackRecord) -> None:
    """Saves what the supervisor is to be started with. A full disk stops no start with the terms of the last one."""
    before = state.load()
    before.ready = False
    try:
        state.save(record)
    except UnavailableError:
        if record != before:
            raise


def _open_log(state: StateDir) -> BinaryIO:
    try:
        return open(state.process_logs / "supervisor.log", "ab")
    except OSError as error:
        warn(f"the supervisor runs without a log: {error}")
        return open(os.devnull, "ab")


def _spawn(state: StateDir) -> subprocess.Popen[bytes]:
    with _open_log(state) as output:
        return subprocess.Popen(
            [sys.executable, "-m", "gamekeeper.stack", str(state.root)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=state.run_dir,
        )


def _wait_ready(state: StateDir, child: subprocess.Popen[bytes] | None) -> None:
    """Waits until the supervisor says that all is ready. Raises UnavailableError with the end of its log."""
    deadline = time.monotonic() + UP_SECONDS
    lock = LockedFile(state.run_dir / "supervisor.lock")
    while time.monotonic() < deadline:
        if state.load().ready and lock.is_held():
            return
        if child is not None and child.poll() is not None:
            break
        time.sleep(0.1)
    log = state.process_logs / "supervisor.log"
    lines = log.read_text(errors="replace").splitlines()[-15:] if log.exists() else []
    if child is not None and child.poll() is not None and (why := _last_error(lines)):
        raise UnavailableError(f"the stack did not come up: {why}")
    tail = "\n".join(lines)
    room = disk_room(state.root)
    hint = f"{room}; free space there" if room.is_full else ""
    raise UnavailableError(f"the stack did not come up; the end of {log}:\n{tail}", hint=hint)


def _last_error(lines: list[str]) -> str:
    """The supervisor's last word, when it is an error."""
    with suppress(ValueError, IndexError, TypeError, KeyError):
        last = json.loads(lines[-1])
        return str(last["message"]) if last["level"] == "error" else ""
    return ""


def _print_addresses(state: StateDir, record: StackRecord) -> None:
    assert record.ports is not None
    ui = "" if record.temporal else f" (web UI http://{LOOPBACK}:{record.ports.temporal_ui})"
    say(f"api       {record.rest_url}")
    say(f"node link {record.address}:{record.ports.grpc}")
    say(f"temporal  {temporal_address(record)}{ui}")
    say(f"node      {record.node or '(none on this machine)'}")
    if record.has_new_key:
        warn(f"the admin key was revoked or ran out; this start made a new one, in {state.key_file}")
    if record.trouble:
        warn(record.trouble)
    _print_first_user(state, record)


def _print_first_user(state: StateDir, record: StackRecord) -> None:
    """On a terminal alone, and once."""
    if not sys.stdout.isatty():
        return
    try:
        password = make_first_user(state, record)
    except UnavailableError as error:
        warn(str(error))
        return
    if password:
        say(f"user      {FIRST_USER}, with the password {password}")
        warn("it is not shown again; gamekeeper user recover makes another one")


def down(
    context: typer.Context,
    state_dir: StateDirOption = None,
) -> None:
    """Stop the stack. Running containers go on, and so does all that is kept."""
    state = _state(context.obj, state_dir)
    lock = LockedFile(state.run_dir / "supervisor.lock")
    supervisor = lock.holder()
    if supervisor is not None:
        supervisor.send_signal(signal.SIGTERM)
        if not wait_released(lock, DOWN_SECONDS):
            raise UnavailableError(f"the supervisor (pid {supervisor.pid}) did not end within {DOWN_SECONDS:.0f} s")
        say("down")
        return
    stopped = stop_leftovers(state)
    say(f"down; ended what a dead supervisor had left: {', '.join(stopped)}" if stopped else "not running")


def status(
    context: typer.Context,
    as_json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Show each process of the stack: pid, addresses, health. Exits with 0 when all is well, with 3 when the stack is
    down, and with 1 when something is down, unhealthy or full."""
    found = stack_status(_state(context.obj, state_dir))
    if as_json:
        print_json(found)
    else:
        _print_status(found)
    raise typer.Exit(STATUS_CODES[found["health"]])


def _print_status(found: dict[str, Any]) -> None:
    rows = [(name, found[name]) for name in PROCESSES]
    rows += [(f"agent {agent['node']}", agent) for agent in found["agents"]]
    for name, part in rows:
        where = part.get("url") or part.get("address") or ""
        where += f" (web UI {part['ui']})" if part.get("ui") else ""
        say(f"{name:22} {coloured(part['health'], 22)} pid {part['pid'] or '-'!s:8} {where}")
        if part.get("message"):
            say(f"{'':22} {printable(part['message'])}")
        if part.get("replaced"):
            say(f"{'':22} {Replacement.model_validate(part['replaced'])}")
    disk = found["disk"]
    if disk["health"] == "full":
        say(f"{'disk':22} {coloured('full', 22)} {printable(disk['message'])}; free space there")
    say(f"API key in {found['api_key_file']}")

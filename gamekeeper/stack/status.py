"""The state of a stack now, for people and for scripts."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import httpx

from gamekeeper.disk import disk_room
from gamekeeper.domain.node.condition import ConditionType
from gamekeeper.errors import UnavailableError
from gamekeeper.stack.layout import StackRecord, StateDir
from gamekeeper.stack.own_server import LOOPBACK
from gamekeeper.stack.plan import AGENT_PREFIX, temporal_address
from gamekeeper.stack.process import LockedFile

PROCESSES = ("supervisor", "temporal", "api", "gateway", "control_worker")
PROBE_SECONDS = 2.0
PARTS_SECONDS = 6.0  # the api waits for its parts itself


def stack_status(state: StateDir) -> dict[str, Any]:
    """``health`` is ok, unhealthy or down, of the disk ok or full; pids are of living processes only. That of the whole
    is down when no process lives, and unhealthy when something is not as it should be."""
    record = state.load()
    parts = _parts(state, record)
    agents = [
        _agent(state, record, path.stem.removeprefix(AGENT_PREFIX))
        for path in sorted(state.run_dir.glob(f"{AGENT_PREFIX}*.lock"))
    ]
    found = {
        "state_dir": str(state.root),
        "supervisor": _part(state, "supervisor", True),
        "temporal": _temporal(state, record, parts),
        "api": _api(state, record, parts),
        "gateway": _gateway(state, record, parts),
        "control_worker": _control_worker(state, parts),
        "agents": agents,
        "disk": _disk(state.root),
        "api_key_file": str(state.key_file),
    }
    return {"health": _whole(found, record.node)} | found


def _whole(found: dict[str, Any], node: str | None) -> str:
    """An agent counts only where the stack keeps it: one of an earlier ``--node`` is down for good."""
    parts = [found[name] for name in PROCESSES] + [agent for agent in found["agents"] if agent["node"] == node]
    if not any(part["pid"] for part in parts):
        return "down"
    return "ok" if all(part["health"] == "ok" for part in (*parts, found["disk"])) else "unhealthy"


def _disk(path: Path) -> dict[str, Any]:
    """Room on the disk that everything of the stack is kept on. A full one stops new work, and nothing that runs."""
    try:
        room = disk_room(path)
    except OSError as error:
        return {"path": str(path), "health": "down", "message": str(error)}
    return {
        "path": str(path),
        "health": "full" if room.is_full else "ok",
        "free_bytes": room.free_bytes,
        "total_bytes": room.total_bytes,
        "message": str(room) if room.is_full else "",
    }


def _part(state: StateDir, name: str, serves: bool) -> dict[str, Any]:
    holder = LockedFile(state.run_dir / f"{name}.lock").holder()
    health = "down" if holder is None else "ok" if serves else "unhealthy"
    part = {"pid": holder.pid if holder else None, "health": health, "log": str(state.process_logs / f"{name}.log")}
    replaced = state.load().replacements.get(name)
    return part | ({"replaced": replaced.model_dump(mode="json")} if replaced else {})


def _temporal(state: StateDir, record: StackRecord, parts: dict[str, str] | None) -> dict[str, Any]:
    """Well when it answers the api, which has the credentials. Without the api, when its port takes connections."""
    if record.ports is None:
        return {"pid": None, "health": "down"}
    address = temporal_address(record)
    said = _said(parts, "temporal")
    serves = not said and (parts is not None or _listens(address))
    if record.temporal:
        told = {"message": said} if said else {}
        return {"pid": None, "address": address, "health": "ok" if serves else "unhealthy", "external": True} | told
    part = _part(state, "temporal", serves) | {"message": said}
    return part | {"address": address, "ui": f"http://{LOOPBACK}:{record.ports.temporal_ui}"}


def _said(parts: dict[str, str] | None, name: str) -> str:
    """The trouble of a part in the api's words; empty where it told none."""
    said = (parts or {}).get(name, "ok")
    return "" if said == "ok" else said


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), PROBE_SECONDS):
            return True
    except (OSError, ValueError):
        return False


def _parts(state: StateDir, record: StackRecord) -> dict[str, str] | None:
    """``ok`` or the trouble of each part that the api stands on; None when the api does not answer."""
    try:
        if record.ports is None:
            return None
        answer = httpx.get(
            f"{record.rest_url}/readyz", timeout=PARTS_SECONDS, verify=state.trust(record), trust_env=False
        )
        return dict(answer.json()["parts"])
    except (httpx.HTTPError, ValueError, LookupError):
        return None


def _api(state: StateDir, record: StackRecord, parts: dict[str, str] | None) -> dict[str, Any]:
    if record.ports is None:
        return {"pid": None, "health": "down"}
    others = ("control_worker", "gateway")  # they have lines of their own
    troubles = [f"{name}: {said}" for name, said in (parts or {}).items() if said != "ok" and name not in others]
    part = _part(state, "api", parts is not None and not troubles)
    addresses = {"url": record.rest_url, "node_link": f"{record.dial}:{record.ports.grpc}"}
    return part | addresses | {"key_file": str(state.key_file), "message": "; ".join(troubles)}


def _gateway(state: StateDir, record: StackRecord, parts: dict[str, str] | None) -> dict[str, Any]:
    if record.ports is None:
        return {"pid": None, "health": "down"}
    address = f"{record.dial}:{record.ports.gateway}"
    said = _said(parts, "gateway")
    serves = not said and (parts is not None or _listens(address))
    return _part(state, "gateway", serves) | {"address": address, "message": said}


def _control_worker(state: StateDir, parts: dict[str, str] | None) -> dict[str, Any]:
    """Well while Temporal says that it asks for work. Without the api nobody says so, and the process is looked at."""
    said = _said(parts, "control_worker")
    return _part(state, "control_worker", not said) | {"message": said}


def _agent(state: StateDir, record: StackRecord, node: str) -> dict[str, Any]:
    """Well while the node is online and takes work."""
    found = _get(state, record, f"/api/v1/nodes/{node}") if record.ports else None
    status = found["status"] if found else "unknown"
    conditions = found["conditions"] if found else []
    trouble = "; ".join(told["reason"] for told in conditions if told["type"] == ConditionType.WORK_UNREACHABLE)
    part = _part(state, AGENT_PREFIX + node, status == "online" and not trouble)
    return {"node": node, "status": status, "state_dir": str(state.agent_dir(node))} | part | {"message": trouble}


def _get(state: StateDir, record: StackRecord, path: str) -> dict[str, Any] | None:
    try:
        headers, verify = {"Authorization": f"Bearer {state.admin_key()}"}, state.trust(record)
        url = record.rest_url + path
        answer = httpx.get(url, timeout=PROBE_SECONDS, headers=headers, verify=verify, trust_env=False)
    except (httpx.HTTPError, UnavailableError):
        return None
    return answer.json() if answer.status_code == 200 else None

"""The processes of a stack, and the command that starts each."""

from __future__ import annotations

import os
import sys

from gamekeeper.stack.layout import StackRecord, StateDir
from gamekeeper.stack.own_server import CODEC_PATH, LOOPBACK
from gamekeeper.stack.process import TEMPORAL_PREFIX, ProcessSpec
from gamekeeper.temporal.dev_server import command as temporal_command

AGENT_PREFIX = "agent-"


def agent_name(node: str) -> str:
    return AGENT_PREFIX + node


def temporal_address(record: StackRecord) -> str:
    assert record.ports is not None
    return record.temporal or f"{LOOPBACK}:{record.ports.temporal}"


def given_way(record: StackRecord) -> dict[str, str]:
    """TEMPORAL_* of this environment, as far as they count: all for a server of the user's own. The embedded one
    knows neither TLS nor keys, which a user's profile may hold for another."""
    given = {name: value for name, value in os.environ.items() if name.startswith(TEMPORAL_PREFIX)}
    if record.temporal:
        return given
    return {name: value for name, value in given.items() if name == "TEMPORAL_NAMESPACE"}


def _way_to_temporal(record: StackRecord) -> dict[str, str]:
    return given_way(record) | ({} if record.temporal else {"TEMPORAL_CONFIG_FILE": os.devnull})


def control_plane(state: StateDir, record: StackRecord) -> list[ProcessSpec]:
    """Temporal (unless it is somebody else's), api, gateway, control_worker: in the order of their start."""
    assert record.ports is not None
    specs = [] if record.temporal else [_temporal(state, record)]
    shared = _way_to_temporal(record) | {
        "GRPC_VERBOSITY": "ERROR",  # else each stranger, and each look of the api, is a line in a log
        "GAMEKEEPER_TEMPORAL": temporal_address(record),
        "GAMEKEEPER_DATABASE": record.database or state.database_url,
        "GAMEKEEPER_PAYLOAD_KEYS": str(state.payload_keys),
    }
    api = shared | {
        "GAMEKEEPER_REST_HOST": record.address,
        "GAMEKEEPER_REST_PORT": str(record.ports.rest),
        "GAMEKEEPER_GRPC_HOST": record.address,
        "GAMEKEEPER_GRPC_PORT": str(record.ports.grpc),
        "GAMEKEEPER_LOGS_DIR": str(state.step_logs),
        "GAMEKEEPER_ADMIN_KEY_FILE": str(state.key_file),
        "GAMEKEEPER_CA_DIR": str(state.ca_dir),
        "GAMEKEEPER_CA_PASSPHRASE_FILE": str(state.ca_passphrase_file),
        "GAMEKEEPER_SECRETS_KEY_FILE": str(state.secrets_key_file),
        "GAMEKEEPER_GATEWAY_PORT": str(record.ports.gateway),
        "GAMEKEEPER_CANCEL_IS_PUSHED": "0" if record.temporal else "1",
        **_of_ui(record),
    }
    return [
        *specs,
        ProcessSpec("api", [sys.executable, "-m", "api"], api, answers=True),
        ProcessSpec("gateway", [sys.executable, "-m", "gateway"], shared | _gateway(state, record), answers=True),
        ProcessSpec("control_worker", [sys.executable, "-m", "control_worker"], shared | _steps(state), answers=True),
    ]


def _of_ui(record: StackRecord) -> dict[str, str]:
    """The origins of the development server's web UI. Where Temporal is somebody else's, the user knows its UI's."""
    assert record.ports is not None
    if record.temporal:
        return {}
    origins = [f"http://{host}:{record.ports.temporal_ui}" for host in (LOOPBACK, "localhost")]
    return {"GAMEKEEPER_TEMPORAL_UI_ORIGINS": ",".join(origins)}


def _gateway(state: StateDir, record: StackRecord) -> dict[str, str]:
    """Its certificate is written by the api, which alone holds the CA's key."""
    assert record.ports is not None
    folder = state.ca_dir / "gateway"
    return {
        "GAMEKEEPER_GATEWAY_HOST": record.address,
        "GAMEKEEPER_GATEWAY_PORT": str(record.ports.gateway),
        "GAMEKEEPER_GATEWAY_CERTIFICATE": str(folder / "server.pem"),
        "GAMEKEEPER_GATEWAY_KEY": str(folder / "server.key"),
        "GAMEKEEPER_GATEWAY_ROOTS": str(folder / "roots.pem"),
        "GAMEKEEPER_GATEWAY_SECRET_FILE": str(state.root / "gateway.secret"),
    }


def _steps(state: StateDir) -> dict[str, str]:
    """The keys by which nodes and workflows know this control plane's work, which the api writes as well."""
    folder = state.ca_dir / "steps"
    return {
        "GAMEKEEPER_STEPS_CERTIFICATE": str(folder / "steps.pem"),
        "GAMEKEEPER_STEPS_KEY": str(folder / "steps.key"),
    }


def _temporal(state: StateDir, record: StackRecord) -> ProcessSpec:
    """It listens on loopback, wherever the stack serves: whoever reaches it needs no credential to rule the fleet."""
    assert record.ports is not None
    command = temporal_command(
        ip=LOOPBACK,
        port=record.ports.temporal,
        ui_port=record.ports.temporal_ui,
        database=state.temporal_database,
        codec=f"{record.rest_url}{CODEC_PATH}",
    )
    return ProcessSpec("temporal", command, http2_port=record.ports.temporal)


def agent(state: StateDir, record: StackRecord, node: str) -> ProcessSpec:
    assert record.ports is not None
    folder = state.agent_dir(node)
    policy = record.policy_file or str(folder / "policy.yaml")
    environment = {
        "GAMEKEEPER_AGENT_SERVER": record.rest_url,
        "GAMEKEEPER_AGENT_STATE_DIR": str(folder),
        "GAMEKEEPER_AGENT_TOKEN_FILE": str(folder / "token"),
        "GAMEKEEPER_AGENT_POLICY_FILE": policy,
        "GAMEKEEPER_AGENT_REST_CERTIFICATES": str(state.rest_dir),
    }
    return ProcessSpec(agent_name(node), [sys.executable, "-m", "agent_worker"], environment, answers=True)

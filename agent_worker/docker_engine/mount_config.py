"""Host folders in the Engine API's words: the mounts are the agent's, and a label tells what was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agent_worker.mounts.held_folders import ENGINE_SOCKET, RUNTIME_FOLDER
from agent_worker.mounts.secret_files import SECRETS_FOLDER
from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.volume import PROPAGATION, split_volume
from gamekeeper.domain.node.host_folder import HostFolder, engine_sockets, from_label, host_folder, is_at_or_below

FOLDERS = "gamekeeper.folders"
SOCKET = "gamekeeper.engine_socket"


def held_mounts(spec: Container, held: Sequence[str], socket: str) -> dict[str, list[Any]]:
    """A mount's source must be there, where a bind's would be made: an agent that is gone gives nobody a new folder.
    Only a bind can be labelled for SELinux. ``socket`` is in the place of the engine's; as a slave it is replaced when
    the next agent mounts its own on it."""
    slave = {"Type": "bind", "Source": socket, "ReadOnly": True, "BindOptions": {"Propagation": "rslave"}}
    found: dict[str, list[Any]] = {
        "Binds": [],
        "Mounts": [slave | {"Target": target} for target in engine_sockets(spec)],
    }
    volumes = [split_volume(text) for text in spec.volumes if host_folder(text) is not None]
    for volume, path in zip(volumes, held, strict=True):
        modes = set(volume.mode.split(","))
        if modes & {"z", "Z"}:
            found["Binds"].append(f"{path}:{volume.target}:{volume.mode}")
            continue
        mount: dict[str, Any] = {"Type": "bind", "Source": path, "Target": volume.target, "ReadOnly": "ro" in modes}
        if propagation := next(iter(modes & PROPAGATION), None):
            mount["BindOptions"] = {"Propagation": propagation}
        found["Mounts"].append(mount)
    return found


def unheld_path(host_config: dict[str, Any]) -> str:
    """The first path of the host that is not a mount of the agent's; empty where there is none."""
    binds = [{"Type": "bind", "Source": bind.partition(":")[0]} for bind in host_config.get("Binds") or []]
    mounts = [mount for mount in host_config.get("Mounts") or [] if mount.get("Type") == "bind"]
    found = (mount["Source"] for mount in [*binds, *mounts] if mount["Source"].startswith("/") and not is_held(mount))
    return next(found, "")


def holds_any(host_config: dict[str, Any]) -> bool:
    """True for a container with folders that the agent holds: an image may carry any label."""
    binds = [{"Type": "bind", "Source": bind.partition(":")[0]} for bind in host_config.get("Binds") or []]
    return any(is_held_folder(mount) for mount in [*binds, *(host_config.get("Mounts") or [])])


def is_held(mount: dict[str, Any]) -> bool:
    """True for a mount of the agent's, in the engine's words."""
    is_folder = is_at_or_below(str(mount.get("Source", "")), f"{RUNTIME_FOLDER}/mounts")
    return mount.get("Type") == "bind" and (is_folder or is_secret(mount))


def is_secret(mount: dict[str, Any]) -> bool:
    """True for a file of a secret, in the engine's words."""
    return mount.get("Type") == "bind" and is_at_or_below(str(mount.get("Source", "")), SECRETS_FOLDER)


def is_held_folder(mount: dict[str, Any]) -> bool:
    return is_held(mount) and not is_engine_socket_mount(mount) and not is_secret(mount)


def is_engine_socket_mount(mount: dict[str, Any]) -> bool:
    """True for a socket of the agent's that is in the place of the engine's."""
    return is_held(mount) and str(mount.get("Source", "")).endswith(f"/{ENGINE_SOCKET}")


def folders_from_list(item: dict[str, Any]) -> list[HostFolder]:
    """The host folders of a container as the engine lists it. Those that nobody holds are told as the engine knows
    them."""
    mounts = [mount for mount in item.get("Mounts") or [] if mount.get("Type") == "bind"]
    held = from_label(item["Labels"].get(FOLDERS, "")) if any(map(is_held_folder, mounts)) else []
    others = [mount for mount in mounts if not is_held(mount)]
    return [*held, *(HostFolder(mount["Source"], mount["Destination"], bool(mount.get("RW"))) for mount in others)]

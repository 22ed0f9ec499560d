"""A terminal in an ended container: its files as they were, its volumes and network, and another command.

An ended container takes no further command, and started again it would run its own once more. So its file system is
committed to an image without a name, and a container of that image runs the command, with the same settings. Both go
with the console; the next agent sweeps up the leavings of one that was killed.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from docker.api.client import APIClient
from docker.errors import APIError

from agent_worker.docker_engine.console import DockerConsole
from agent_worker.docker_engine.errors import explain
from agent_worker.docker_engine.mount_config import FOLDERS, is_engine_socket_mount, is_secret
from agent_worker.docker_engine.owner_labels import LABEL
from agent_worker.docker_engine.secret_config import named_by_label
from gamekeeper.domain.run.console import ConsoleRequest
from gamekeeper.errors import UnavailableError
from gamekeeper.ports.container_engine import StartError

LOOKS_IN = f"{LABEL}looks-in"
_STREAMS = {"stream": "1", "stdin": "1", "stdout": "1", "stderr": "1"}


class LookInConsole(DockerConsole):
    """The console of a look-in. Closing it removes its container and image."""

    on_closed: Callable[[], Awaitable[None]] | None = None

    def __init__(self, api: APIClient, threads: Executor, container_id: str, image: str, *, tty: bool) -> None:
        super().__init__(api, threads, container_id, "", tty=tty)
        self._image = image

    async def close(self) -> None:
        await super().close()
        with suppress(UnavailableError):  # the next agent sweeps it up
            await self._on_thread(_remove, self._api, self._container_id, self._image)
            if self.on_closed is not None:
                await self.on_closed()


@dataclass(frozen=True)
class LookIn:
    """A look into the container ``ended``, by a new one of that name. Its host folders are held at ``held``."""

    node: str
    ended: str
    name: str
    held: Sequence[str] = ()


def look_in(api: APIClient, threads: Executor, look: LookIn, request: ConsoleRequest) -> LookInConsole:
    """Blocks for as long as the engine copies what the container has written. Raises StartError."""
    labels = {LOOKS_IN: look.node}
    image = ""
    made = ""
    try:
        ended = api.inspect_container(look.ended)
        image = _image_of(api, ended, labels)
        config = _config(ended, image, labels, request)
        _hold(config, ended, look.held)
        made = api.create_container_from_config(config, look.name)["Id"]  # type: ignore[no-untyped-call]
        console = LookInConsole(api, threads, made, image, tty=request.tty)
        console.begin(f"containers/{made}/attach", _STREAMS)
        api.start(made)
        if request.tty:
            with suppress(APIError):  # it has ended
                api.resize(made, request.size.rows, request.size.columns)
        return console
    except APIError as error:
        _remove(api, made, image)
        raise StartError(explain(error)) from error


def _image_of(api: APIClient, ended: dict[str, Any], labels: dict[str, str]) -> str:
    """The container's files as an image. A commit keeps its variables as well, in some engines where nothing
    takes them out; so where secrets are among them, the files alone are copied, which takes longer."""
    if not any(item.env for item in named_by_label(ended["Config"].get("Labels") or {})):
        return str(api.commit(ended["Id"], conf={"Labels": labels})["Id"])
    changes = [f'LABEL "{name}"="{value}"' for name, value in labels.items()]
    told = api.import_image_from_stream(_Exported(api.export(ended["Id"])), changes=changes)
    return str(json.loads(told.strip().splitlines()[-1])["status"])


class _Exported:
    """The files as the engine gives them, in the shape in which it takes them."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks


def sweep(api: APIClient, node: str) -> None:
    """Removes the leavings of an earlier agent's consoles."""
    filters = {"label": f"{LOOKS_IN}={node}"}
    for container in api.containers(all=True, filters=filters):
        _remove(api, container["Id"], container["ImageID"])
    for image in api.images(filters=filters):
        _remove(api, "", image["Id"])


def _config(ended: dict[str, Any], image: str, labels: dict[str, str], request: ConsoleRequest) -> dict[str, Any]:
    """The ended container's own settings, but for its command, its ports, its owner and its secrets."""
    old = ended["Config"]
    secret = {item.env for item in named_by_label(old.get("Labels") or {})}
    plain = [text for text in old.get("Env") or [] if text.partition("=")[0] not in secret]
    environment = [*plain, *(["TERM=xterm-256color"] if request.tty else [])]
    disowned = {name: "" for name in old.get("Labels") or {} if name.startswith(LABEL)}
    host = ended["HostConfig"] | {"PortBindings": {}, "RestartPolicy": {"Name": "no"}, "AutoRemove": False}
    host["Binds"] = [*(host.get("Binds") or []), *_unnamed_volumes(ended)]
    mounts = host.get("Mounts") or []
    host["Mounts"] = [mount for mount in mounts if not is_engine_socket_mount(mount) and not is_secret(mount)]
    return {
        "Image": image,
        "Entrypoint": [],
        "Cmd": list(request.command),
        "Env": environment,
        "WorkingDir": old.get("WorkingDir", ""),
        "User": old.get("User", ""),
        "Hostname": old.get("Hostname", ""),
        "Labels": disowned | labels,
        "Tty": request.tty,
        "OpenStdin": True,
        "StdinOnce": True,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": host,
    }


def _hold(config: dict[str, Any], ended: dict[str, Any], held: Sequence[str]) -> None:
    """Puts the paths at which its own host folders are held in the place of the ended container's."""
    if not held:
        return
    config["Labels"][FOLDERS] = (ended["Config"].get("Labels") or {}).get(FOLDERS, "")
    host = config["HostConfig"]
    host["Mounts"] = [mount | {"Source": _moved(mount["Source"], held)} for mount in host.get("Mounts") or []]
    host["Binds"] = [
        f"{_moved(source, held)}:{rest}" if source.startswith("/") else f"{source}:{rest}"
        for source, _, rest in (bind.partition(":") for bind in host["Binds"])
    ]


def _moved(source: str, held: Sequence[str]) -> str:
    """Each path ends with the folder's place among them."""
    return held[int(source.rpartition("/")[2])]


def _unnamed_volumes(ended: dict[str, Any]) -> list[str]:
    """Its volumes that neither it nor its image gave a name, by the names that Docker gave them. Under these, the going
    of the console leaves them alone."""
    named = {bind.split(":")[1] for bind in ended["HostConfig"].get("Binds") or []}
    mounts = [mount for mount in ended.get("Mounts") or [] if mount["Type"] == "volume"]
    return [f"{mount['Name']}:{mount['Destination']}" for mount in mounts if mount["Destination"] not in named]


def _remove(api: APIClient, container_id: str, image: str) -> None:
    if container_id:
        with suppress(APIError):
            api.remove_container(container_id, force=True, v=True)
    if image:
        with suppress(APIError):
            api.remove_image(image)

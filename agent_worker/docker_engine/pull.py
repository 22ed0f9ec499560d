"""Pulls an image once however many steps ask, with progress, and gives up when nothing moves any more.

A total time limit would kill a slow pull that works; an idle limit finds the one that hangs.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from docker.api.client import APIClient
from docker.auth import encode_header, get_config_header, resolve_repository_name
from docker.utils import parse_repository_tag
from requests import Response
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import ReadTimeout
from urllib3.exceptions import ReadTimeoutError

from agent_worker.docker_engine.errors import NO_ROOM, fault, translated
from gamekeeper.domain.container.registry_login import RegistryLogin
from gamekeeper.errors import ImageError
from gamekeeper.ports.container_engine import Progress

Wanted = tuple[str, RegistryLogin | None]
REPORT_SECONDS = 1.0
CONNECT_SECONDS = 60.0


@dataclass
class _Pull:
    task: asyncio.Task[None]
    listeners: list[Progress] = field(default_factory=list)


class ImagePuller:
    """``connect`` gives a client of its own for each pull: a client's time limit is the idle time of its streams."""

    def __init__(self, connect: Callable[[], APIClient], socket: str) -> None:
        self._connect = connect
        self._socket = socket
        self._pulls: dict[Wanted, _Pull] = {}

    async def pull(
        self, image: str, progress: Progress, idle_timeout: float, login: RegistryLogin | None = None
    ) -> None:
        wanted = image, login
        pull = self._pulls.get(wanted)
        if pull is None:
            loop = asyncio.get_running_loop()

            def tell(text: str) -> None:
                """Listeners belong to the loop, and the pull has a thread."""
                loop.call_soon_threadsafe(self._tell, wanted, text)

            pull = _Pull(asyncio.create_task(asyncio.to_thread(self._pull, wanted, idle_timeout, tell)))
            self._pulls[wanted] = pull
            pull.task.add_done_callback(lambda _: self._pulls.pop(wanted, None))
        pull.listeners.append(progress)
        await asyncio.shield(pull.task)

    def _pull(self, wanted: Wanted, idle_timeout: float, tell: Progress) -> None:
        image, login = wanted
        with translated(self._socket):
            try:
                self._read(image, login, idle_timeout, tell)
            except (RequestsConnectionError, ReadTimeout) as error:
                if not is_silence(error):
                    raise
                message = f"image {image} can't be pulled: nothing moved for {idle_timeout:.0f} s"
                raise ImageError(message, hint=_hint(image)) from error

    def _read(self, image: str, login: RegistryLogin | None, idle_timeout: float, tell: Progress) -> None:
        layers = _Layers()
        reported = 0.0
        for event in self._events(image, login, idle_timeout):
            # The engine tells a failure inside a successful stream; the high-level SDK call overlooks it.
            if NO_ROOM in event.get("error", ""):
                raise fault(f"image {image} can't be pulled: {event['error']}")
            if "error" in event:
                raise ImageError(f"image {image} can't be pulled: {event['error']}", hint=_hint(image))
            layers.update(event)
            if time.monotonic() - reported > REPORT_SECONDS:
                reported = time.monotonic()
                tell(layers.text())

    def _events(self, image: str, login: RegistryLogin | None, idle_timeout: float) -> Iterator[dict[str, Any]]:
        """The SDK's own pull switches every time limit off, so the request is made here. A login goes with this request
        and is kept nowhere; without one the credentials of the machine's own Docker configuration count."""
        api = self._connect()
        repository, tag = parse_repository_tag(image)
        registry, _ = resolve_repository_name(repository)
        credentials = _header(login, registry) if login is not None else get_config_header(api, registry)
        answer = api.post(
            f"{api.base_url}/v{api.api_version}/images/create",
            params={"fromImage": repository, "tag": tag or "latest"},
            headers={"X-Registry-Auth": credentials} if credentials else {},
            stream=True,
            timeout=(CONNECT_SECONDS, idle_timeout),
        )
        with answer:
            if not answer.ok:  # the registry's refusal, or that it can't be reached
                raise ImageError(f"image {image} can't be pulled: {_message(answer)}", hint=_hint(image))
            yield from (json.loads(line) for line in answer.iter_lines() if line)

    def _tell(self, wanted: Wanted, text: str) -> None:
        pull = self._pulls.get(wanted)
        for listener in list(pull.listeners) if pull else []:
            listener(f"pulling {wanted[0]}: {text}")


def _header(login: RegistryLogin, registry: str) -> bytes:
    fields = {"username": login.username, "password": login.password, "serveraddress": registry}
    return encode_header(fields)


class _Layers:
    """Adds up the layers' progress."""

    def __init__(self) -> None:
        self._layers: dict[str, tuple[int, int]] = {}

    def update(self, event: dict[str, Any]) -> None:
        detail = event.get("progressDetail") or {}
        if event.get("status") == "Downloading" and detail.get("total"):
            self._layers[event["id"]] = (int(detail.get("current", 0)), int(detail["total"]))

    def text(self) -> str:
        current, total = (sum(pair[index] for pair in self._layers.values()) for index in (0, 1))
        return f"{current / 1e6:.0f} of {total / 1e6:.0f} MB" if total else "asking the registry"


def is_silence(error: Exception) -> bool:
    """True for the time limit between two bytes; inside a stream requests calls it a connection error."""
    return isinstance(error, ReadTimeout) or any(isinstance(part, ReadTimeoutError) for part in error.args)


def _message(answer: Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text.strip() or f"status {answer.status_code}"


def _hint(image: str) -> str:
    return f"try on the node: docker pull {image}; without a registry: docker load -i FILE, or docs/registry.md"

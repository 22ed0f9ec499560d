"""Docker's errors as ours, translated once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import requests.exceptions
import urllib3.exceptions
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from gamekeeper.errors import GamekeeperError, ImageError, InvalidError, UnavailableError
from gamekeeper.ports.container_engine import EngineFaultError

HINT = "is dockerd running, and may this user reach its socket? see `docker info`"

NO_ROOM = "no space left"


class GoneError(EngineFaultError):
    """The container, network or volume does not exist (any more). Where nobody expects that, it is a fault."""


@contextmanager
def translated(socket: str) -> Iterator[None]:
    """Docker's refusals by their kind; a dead socket as UnavailableError that names it."""
    try:
        yield
    except ImageNotFound as error:
        raise ImageError(explain(error)) from error
    except NotFound as error:
        raise GoneError(explain(error)) from error
    except APIError as error:
        raise _from_api(error) from error
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, DockerException, OSError) as error:
        raise UnavailableError(f"Docker Engine at {socket} does not answer", hint=HINT) from error


def explain(error: APIError) -> str:
    """The engine's own sentence, in one line."""
    return str(error.explanation or error).strip().replace("\n", " ")


def fault(text: str) -> EngineFaultError:
    """The engine's words for what it could not do, with what helps where that is known."""
    return _known_fault(text) or EngineFaultError(f"Docker failed: {text}")


def _from_api(error: APIError) -> GamekeeperError:
    text = explain(error)
    if error.status_code in (400, 409):
        return _known_fault(text) or InvalidError(f"Docker refused it: {text}")
    return fault(text)


def _known_fault(text: str) -> EngineFaultError | None:
    if "non-overlapping IPv4 address pool" in text:
        return EngineFaultError(
            "Docker has no free network address pool", hint="remove unused networks: docker network prune"
        )
    if NO_ROOM in text:
        return EngineFaultError(f"Docker's disk is full: {text}", hint="free space: docker system prune")
    return None

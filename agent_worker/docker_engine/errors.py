"""Docker's errors as ours, translated once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import requests.exceptions
import urllib3.exceptions
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from gamekeeper.errors import GamekeeperError, ImageError, InvalidError, UnavailableError

HINT = "is dockerd running, and may this user reach its socket? see `docker info`"


class GoneError(Exception):
    """The container, network or volume does not exist (any more)."""


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


def _from_api(error: APIError) -> GamekeeperError:
    text = explain(error)
    if "non-overlapping IPv4 address pool" in text:
        return UnavailableError(
            "Docker has no free network address pool", hint="remove unused networks: docker network prune"
        )
    if "no space left" in text:
        return UnavailableError(f"Docker's disk is full: {text}", hint="free space: docker system prune")
    status = error.status_code or 0
    if status == 400 or status == 409:
        return InvalidError(f"Docker refused it: {text}")
    return UnavailableError(f"Docker failed: {text}")

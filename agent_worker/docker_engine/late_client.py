"""The SDK's client, which asks the engine for its API version with its first call instead of when it is made.

An engine may take a connection and answer nothing. A client that is made on the event loop would hold up the whole
agent for as long as a call may last; so the question is put by the thread that has something to ask.
"""

from __future__ import annotations

from docker import utils
from docker.api.client import APIClient
from docker.constants import MINIMUM_DOCKER_API_VERSION
from docker.errors import APIError, DockerException, InvalidVersion
from requests.exceptions import RequestException


class LateClient(APIClient):
    """Knows the version once a call has found the engine up. Each of its calls blocks, as the SDK's own do."""

    def __init__(self, address: str, *, timeout: int, max_pool_size: int) -> None:
        self._told = ""
        super().__init__(
            base_url=address, version=MINIMUM_DOCKER_API_VERSION, timeout=timeout, max_pool_size=max_pool_size
        )
        self._told = ""

    @property
    def _version(self) -> str:
        """The SDK's own attribute, which it reads for the address of each call."""
        if not self._told:
            told = self._ask()
            if utils.version_lt(told, MINIMUM_DOCKER_API_VERSION):
                raise InvalidVersion(f"the engine's API {told} is older than {MINIMUM_DOCKER_API_VERSION}")
            self._told = told
        return self._told

    @_version.setter
    def _version(self, version: str) -> None:
        self._told = version

    def _ask(self) -> str:
        """Raises DockerException, whatever the engine said: it is no answer to what is asked next."""
        try:
            return str(self.version(api_version=False)["ApiVersion"])
        except (APIError, KeyError, RequestException) as error:
            raise DockerException(f"the engine does not tell its API version: {error}") from error

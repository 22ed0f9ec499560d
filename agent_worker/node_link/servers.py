"""The addresses of control planes, as users give them: HOST or HOST:PORT of REST, several with commas."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from gamekeeper.errors import InvalidError

REST_PORT = 7380


@dataclass(frozen=True)
class ServerAddress:
    host: str
    rest_port: int = REST_PORT
    scheme: str = ""

    @property
    def is_plain(self) -> bool:
        """REST is plain HTTP on loopback, unless ``https`` is given, and HTTPS everywhere else, whatever is given."""
        if self.scheme == "https":
            return False
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def at(self, port: int) -> str:
        """HOST:PORT, as gRPC takes it."""
        return f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}"

    def __str__(self) -> str:
        return self.at(self.rest_port)


def parse_servers(text: str) -> Sequence[ServerAddress]:
    """The servers in a comma-separated list, to be tried in turn. Raises InvalidError that names the wrong one."""
    found = [_parse(part.strip()) for part in text.split(",") if part.strip()]
    if not found:
        raise InvalidError("no server is named", hint="give one or more as HOST or HOST:PORT")
    return found


def _parse(text: str) -> ServerAddress:
    scheme, _, rest = text.rpartition("://")
    try:
        parts = urlsplit(f"//{rest.rstrip('/')}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidError(f'"{text}" is no server: {error}', hint="give HOST or HOST:PORT") from error
    if not host or parts.path or parts.username or scheme not in ("", "http", "https"):
        raise InvalidError(f'"{text}" is no server', hint="give HOST or HOST:PORT")
    return ServerAddress(host, port or REST_PORT, scheme)

"""The REST server of this machine's stack, as a command finds it: by the standard library, for a fast start."""

from __future__ import annotations

import ipaddress
import json
import os
import socket
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from gamekeeper.errors import InvalidError

LOOPBACK = "127.0.0.1"
RECORD = "stack.json"
KEY = "admin.key"
CODEC_PATH = "/api/v1/payload-codec"  # where Temporal's UI has payloads decrypted


def default_state_dir() -> Path:
    if given := os.environ.get("GAMEKEEPER_STATE_DIR"):
        return Path(given)
    import platformdirs

    return platformdirs.user_data_path("gamekeeper")


def key_file(state_dir: Path) -> Path:
    return state_dir.expanduser().absolute() / KEY


def own_url(state_dir: Path) -> str:
    """The URL of the stack's REST; empty where no stack was ever started. Raises InvalidError for a damaged record."""
    file = state_dir.expanduser().absolute() / RECORD
    try:
        record = json.loads(file.read_text())
        return rest_url(record["address"], record["ports"]["rest"]) if record["ports"] else ""
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise InvalidError(f"{file} can't be read: {error.strerror}", hint="is this the state directory?") from error
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidError(f"{file} is not a stack's record", hint="remove it, then run gamekeeper up") from error


def is_own_url(url: str, state_dir: Path) -> bool:
    """True for the URL of the stack's REST. With TLS, whose certificate proves the stack, any name and address of this
    machine will do; without it another process may serve on another address. Raises InvalidError for a damaged record.
    """
    own = own_url(state_dir)
    if not own or url == own:
        return bool(own)
    try:
        given, known = urlsplit(url), urlsplit(own)
        if (given.scheme, _port(given)) != (known.scheme, _port(known)):
            return False
    except ValueError:
        return False
    host = given.hostname or ""
    return host == known.hostname or (known.scheme == "https" and _is_here(host))


def _port(url: SplitResult) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _is_here(host: str) -> bool:
    """True for a name or an address that leads to this machine alone: only those can be listened on."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        for family, kind, _, _, address in found:
            with socket.socket(family, kind) as probe:
                probe.bind(address)
    except (OSError, UnicodeError):
        return False
    return bool(found)


def rest_url(address: str, port: int) -> str:
    """REST is HTTPS on every address but loopback."""
    return f"{'http' if is_loopback(address) else 'https'}://{dial_address(address)}:{port}"


def is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def host_of(url: str) -> str:
    """The host of a URL; empty for a text that is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def is_loopback_url(url: str) -> bool:
    """True for a URL of this machine, by an address or as localhost."""
    host = host_of(url)
    try:
        return is_loopback(host)
    except ValueError:
        return host == "localhost"


def dial_address(bound: str) -> str:
    """The address at which a process of this machine reaches one that listens on ``bound``."""
    return LOOPBACK if ipaddress.ip_address(bound).is_unspecified else bound

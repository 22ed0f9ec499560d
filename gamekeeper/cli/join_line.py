"""The one shell line that makes a machine a node.

It checks the script before it runs it, by a digest that this command read over a connection it trusts. So the line may
skip the certificate's check (``-k``), as a machine must that has never heard of our CA. The key reaches the script on
its standard input: every user of a machine may read the arguments of its processes.
"""

from __future__ import annotations

import hashlib
import platform
from urllib.parse import urlsplit

from gamekeeper.cli.context import ApiError, Context
from gamekeeper.cli.output import say, warn
from gamekeeper.stack.hosts import is_loopback, outward_address

UNKNOWN_HOST = "HOST"
_ALTERED = "gamekeeper: join.sh is not the one of this line: make a new line; if it is new, somebody is in between"


def join_line(obj: Context, key: str) -> tuple[str, str]:
    """The server as HOST:PORT, and the line for ``key``.

    Raises UnavailableError when the server does not answer, ApiError for a problem.
    """
    parts = urlsplit(obj.url())
    port = parts.port or (443 if parts.scheme == "https" else 80)
    server = f"{_host(obj, parts.hostname or '')}:{port}"
    return server, line_for(server, key, obj.script("/join.sh"))


def line_for(server: str, key: str, script: str) -> str:
    """The line for a server as HOST:PORT whose ``/join.sh`` is ``script``."""
    digest = hashlib.sha256(script.rstrip("\n").encode() + b"\n").hexdigest()  # as a shell keeps it in a variable
    return (
        f"s=$(curl -fsSk --connect-timeout 15 https://{server}/join.sh) && "
        f"case $(printf '%s\\n' \"$s\" | sha256sum) in {digest}*) "
        f"printf '%s\\n' 'set -- {server} {key}' \"$s\" | sh;; *) echo '{_ALTERED}' >&2; false;; esac"
    )


def print_join_line(obj: Context, key: str) -> None:
    """Both ways to join with ``key``: by the line, and with Gamekeeper installed there already."""
    server, line = join_line(obj, key)
    say("on the machine that is to become a node, as root (install it there, or bring it to this version):")
    print(line)  # as it is: a line that was wrapped could not be pasted
    say("or, where gamekeeper is installed already:")
    print(f"gamekeeper agent --server {server} --token {key}")
    try:
        obj.script(f"/agent/{platform.machine()}.txt")
    except ApiError as error:
        warn(f"the line finds no agent yet: {error}")
    if server.startswith(UNKNOWN_HOST):
        say(
            f"{UNKNOWN_HOST} is this machine's address; other machines reach it when it serves there: "
            "gamekeeper up --host ADDRESS",
        )


def _host(obj: Context, host: str) -> str:
    """The host as other machines reach it, as far as this one can know."""
    if not is_loopback(host):
        return f"[{host}]" if ":" in host else host
    serves_all = not obj.server and obj.state.load().address == "0.0.0.0"
    return (outward_address() if serves_all else "") or UNKNOWN_HOST

"""``context``: the servers that somebody has signed in to, and which of them commands go to."""

from __future__ import annotations

from typing import Annotated

import typer

from gamekeeper.cli import saved_contexts
from gamekeeper.cli.options import JsonOption
from gamekeeper.cli.output import print_json, print_table, say, warn
from gamekeeper.cli.saved_contexts import SavedContexts

NameArgument = Annotated[str, typer.Argument(metavar="NAME")]
NONE = "none"


def list_contexts(context: typer.Context, as_json: JsonOption = False) -> None:  # noqa: ARG001
    """List the servers that you have signed in to, without the sessions themselves."""
    found = saved_contexts.load()
    items = [
        {"name": name, "is_current": name == found.current, "server": one.server, "state_dir": one.state_dir}
        | {"user": one.user, "pin": one.pin}
        for name, one in sorted(found.contexts.items())
    ]
    if as_json:
        print_json(items)
        return
    rows = [
        ("*" if item["is_current"] else "", item["name"], item["user"], item["server"] or item["state_dir"])
        for item in items
    ]
    print_table(("", "NAME", "USER", "SERVER"), rows)


def use(context: typer.Context, name: NameArgument) -> None:  # noqa: ARG001
    """Have commands go to this server from now on; "none" is this machine's own stack, by its key."""
    found = saved_contexts.load()
    if name == NONE:
        saved_contexts.save(SavedContexts("", found.contexts))
        say("commands go to this machine's own stack, by its key")
        return
    one = found.get(name)
    saved_contexts.save(SavedContexts(name, found.contexts))
    say(f"commands go to {one.server or one.state_dir} as {one.user}")


def remove(context: typer.Context, name: NameArgument) -> None:  # noqa: ARG001
    """Forget a server. Its session goes on until it runs out: end it with `gamekeeper logout` before."""
    found = saved_contexts.load()
    one = found.get(name)
    saved_contexts.save(found.without(name))
    say(f"forgot {name}")
    if one.token:
        warn("its session was not ended")

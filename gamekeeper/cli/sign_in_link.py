"""``user link``: a link that signs in once, in a browser on the machine of the server itself."""

from __future__ import annotations

from typing import Annotated

import typer

from gamekeeper.cli.context import Context
from gamekeeper.cli.options import JsonOption
from gamekeeper.cli.output import print_json, say, warn
from gamekeeper.errors import InvalidError


def make(
    context: typer.Context,
    user: Annotated[
        str, typer.Argument(metavar="[USER]", help="Name of the user; default: you, or else the only admin")
    ] = "",
    page: Annotated[str, typer.Option(help="Page of the web console that it opens")] = "/",
    as_json: JsonOption = False,
) -> None:
    """Print a link to the web console that signs in once, within 15 minutes.

    It is made on the machine of the server alone, and passes by the password and the authenticator. Where there is no
    user at all, an admin is made."""
    obj: Context = context.obj
    if not page.startswith("/"):
        raise InvalidError(f'"{page}" is no page of the console', hint="it begins with /, as /instances")
    made = obj.call("POST", "/sign-in-links", json={"user": user})
    made["url"] = f"{obj.url()}{page}#sign-in={made.pop('link')}"
    if as_json:
        print_json(made)
        return
    say(made["url"])
    warn(f"it signs {made['user']} in, once, within 15 minutes")

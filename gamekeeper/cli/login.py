"""``login`` and ``logout``: a session of a user, which the commands that follow use."""

from __future__ import annotations

import getpass
from dataclasses import replace
from typing import Annotated, Any

import typer

from gamekeeper.cli import saved_contexts
from gamekeeper.cli.context import ApiError, Context
from gamekeeper.cli.output import say, warn
from gamekeeper.cli.saved_contexts import LOCAL, SavedContext
from gamekeeper.cli.typed import typed_line, typed_new_password, typed_password
from gamekeeper.cli.user import StdinOption
from gamekeeper.errors import GamekeeperError, InvalidError
from gamekeeper.stack.own_server import host_of

CHANGE_NEEDED, CODE_NEEDED = "password_change_needed", "code_needed"


def login(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="[USER]", help="Name of the user; default: asked for")] = "",
    server: Annotated[str, typer.Option(help="URL of the api; default: the stack of this machine")] = "",
    pin: Annotated[str, typer.Option(help="Pin of the CA of --server, as `gamekeeper ca show` prints it there")] = "",
    save_as: Annotated[str, typer.Option("--as", help="Name of the context; default: the server's host")] = "",
    oidc: Annotated[bool, typer.Option("--oidc", help="By the OpenID provider of the server, with a browser")] = False,
    password_stdin: StdinOption = False,
) -> None:
    """Sign in to a server, and use that session from now on. The password is asked for, and kept nowhere."""
    obj: Context = context.obj
    obj = replace(obj, server=server or obj.server, pin=pin or obj.pin, api_key="")
    if oidc and (name or password_stdin):
        raise InvalidError("the provider says who you are", hint="gamekeeper login --oidc")
    found = _by_provider(obj) if oidc else _by_password(obj, name, password_stdin)
    label = save_as or ("" if server else obj.name) or host_of(obj.server) or LOCAL
    folder = "" if obj.server else str(obj.state.root)
    made = SavedContext(obj.server.rstrip("/"), obj.pin, folder, found["user"], found["token"])
    saved_contexts.save(saved_contexts.load().with_one(label, made))
    say(f"signed in as {found['user']}; context {label}, until {found['expires_at'][:16].replace('T', ' ')} UTC")


def logout(context: typer.Context) -> None:
    """End the session of the current context, and forget it."""
    obj: Context = context.obj
    if not obj.name:
        raise InvalidError("nobody is signed in here", hint="gamekeeper context ls lists where you are")
    url = ""
    try:
        url = obj.call("POST", "/sign-out")["provider_url"]
    except GamekeeperError as error:
        warn(f"the server was not told, so the session may go on there until it runs out: {error}")
    saved_contexts.save(saved_contexts.load().without(obj.name))
    say(f"signed out of {obj.name}")
    if url:
        warn(f"your browser's session at the provider goes on; this ends it: {url}")


def _by_provider(obj: Context) -> dict[str, Any]:
    from gamekeeper.cli.oidc_login import browser_sign_in  # it brings a web server

    return browser_sign_in(obj)


def _by_password(obj: Context, name: str, password_stdin: bool) -> dict[str, Any]:
    if password_stdin and not name:
        raise InvalidError("the name of the user is needed", hint="gamekeeper login NAME --password-stdin")
    name = name or typed_line(f"user ({getpass.getuser()}): ") or getpass.getuser()
    password = typed_password("password: ", from_stdin=password_stdin)
    return _sign_in(obj, {"name": name, "password": password, "keeps": "token"}, password_stdin)


def _sign_in(obj: Context, body: dict[str, Any], password_stdin: bool) -> dict[str, Any]:
    """Asks for what the server still needs, once each."""
    while True:
        try:
            found: dict[str, Any] = obj.call_anonymously("POST", "/sign-in", json=body)
            return found
        except ApiError as error:
            if error.code == CHANGE_NEEDED and "new_password" not in body:
                warn("this password is good for one sign-in: choose a new one")
                body = body | {"new_password": typed_new_password(from_stdin=password_stdin)}
            elif error.code == CODE_NEEDED and "code" not in body:
                body = body | {"code": typed_password("code: ", from_stdin=password_stdin)}
            else:
                raise

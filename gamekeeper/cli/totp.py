"""``user totp``: one's own authenticator, and the recovery codes for when it is lost."""

from __future__ import annotations

from typing import Any

import typer

from gamekeeper.cli.context import Context
from gamekeeper.cli.output import say, warn
from gamekeeper.cli.own_proof import typed_proof
from gamekeeper.cli.typed import typed_password
from gamekeeper.cli.user import StdinOption


def on(context: typer.Context, password_stdin: StdinOption = False) -> None:
    """Turn an authenticator on: shows its secret, asks for its first code, and prints the recovery codes, this once."""
    obj: Context = context.obj
    made = obj.call("POST", "/users/me/totp", json=typed_proof(obj, from_stdin=password_stdin))
    say(made["uri"])
    warn(f"give this to your authenticator, or type {made['secret']} there")
    code = typed_password("its code: ", from_stdin=password_stdin)
    _tell(obj.call("POST", "/users/me/totp/confirm", json={"code": code}))


def off(context: typer.Context, password_stdin: StdinOption = False) -> None:
    """Turn your authenticator off, with its recovery codes."""
    obj: Context = context.obj
    obj.call("POST", "/users/me/totp/remove", json=typed_proof(obj, from_stdin=password_stdin))
    say("the sign-in asks for the password alone")


def codes(context: typer.Context, password_stdin: StdinOption = False) -> None:
    """Print new recovery codes, this once. Those of before are void."""
    obj: Context = context.obj
    _tell(obj.call("POST", "/users/me/recovery-codes", json=typed_proof(obj, from_stdin=password_stdin)))


def _tell(made: dict[str, Any]) -> None:
    for code in made["codes"]:
        say(code)
    warn("each of these stands for a code once, when the authenticator is lost; they are not shown again")

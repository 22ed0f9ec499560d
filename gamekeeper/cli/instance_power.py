"""``instance``: start, stop, restart, kill and roll back. Each waits until it is done, unless told otherwise."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gamekeeper.cli.context import Context
from gamekeeper.cli.instance_wait import exact_instance, finish, settle
from gamekeeper.cli.options import (
    ExactInstanceArgument,
    JsonOption,
    NoRevertOption,
    NoWaitOption,
    ReasonOption,
    Strategy,
    StrategyOption,
)


def _power(context: typer.Context, instance: str, action: str, reason: str, no_wait: bool, as_json: bool) -> None:
    obj: Context = context.obj
    found = exact_instance(obj, instance)

    def ask(path: str) -> Any:
        return obj.call("POST", f"{path}/{action}", json={"reason": reason})

    finish(settle(obj, found, ask, no_wait=no_wait, as_json=as_json), as_json)


def start(
    context: typer.Context,
    instance: ExactInstanceArgument,
    reason: ReasonOption = "",
    no_wait: NoWaitOption = False,
    as_json: JsonOption = False,
) -> None:
    """Start an instance that is stopped, and wait until it is ready."""
    _power(context, instance, "start", reason, no_wait, as_json)


def stop(
    context: typer.Context,
    instance: ExactInstanceArgument,
    reason: ReasonOption = "",
    no_wait: NoWaitOption = False,
    as_json: JsonOption = False,
) -> None:
    """Stop an instance: its own command or signal, then TERM, then KILL. It stays stopped until it is started."""
    _power(context, instance, "stop", reason, no_wait, as_json)


def restart(
    context: typer.Context,
    instance: ExactInstanceArgument,
    reason: ReasonOption = "",
    no_wait: NoWaitOption = False,
    as_json: JsonOption = False,
) -> None:
    """Stop an instance and start it again, and wait until it is ready."""
    _power(context, instance, "restart", reason, no_wait, as_json)


def kill(
    context: typer.Context,
    instance: ExactInstanceArgument,
    reason: ReasonOption = "",
    no_wait: NoWaitOption = False,
    as_json: JsonOption = False,
) -> None:
    """End an instance at once, whatever else goes on with it: it is not asked, and saves nothing."""
    _power(context, instance, "kill", reason, no_wait, as_json)


def rollback(
    context: typer.Context,
    instance: ExactInstanceArgument,
    revision: Annotated[
        int | None, typer.Argument(metavar="REVISION", min=1, help="Default: the one before the present one")
    ] = None,
    strategy: StrategyOption = Strategy.RECREATE,
    no_revert: NoRevertOption = False,
    no_wait: NoWaitOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take an older revision of an instance again; `instance revisions` lists them."""
    obj: Context = context.obj
    found = exact_instance(obj, instance)
    body: dict[str, Any] = {"auto_revert": not no_revert, "strategy": strategy.value}
    body |= {"revision": revision} if revision is not None else {}
    change(obj, found, "rollback", body, no_wait=no_wait, as_json=as_json)


def change(
    obj: Context, found: dict[str, Any], action: str, body: dict[str, Any], *, no_wait: bool, as_json: bool
) -> None:
    """Another revision takes over. Where the one before had to come back, the change has failed."""
    wanted: int | None = None

    def ask(path: str) -> Any:
        nonlocal wanted
        answer = obj.call("POST", f"{path}/{action}", json=body)
        wanted = answer["revision"]
        return answer

    ended = settle(obj, found, ask, no_wait=no_wait, as_json=as_json, reverts=body["auto_revert"])
    is_back = ended is not None and (ended["revision"] == found["revision"] or ended["revision"] != wanted)
    failed = f"revision {ended['revision']} again: the other one did not get ready" if ended and is_back else ""
    finish(ended, as_json, failed=failed)

"""``runs``: a user's words to a run that goes on, and reruns of one that has ended."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gamekeeper.cli.context import Context
from gamekeeper.cli.options import CommentOption, FollowOption, JsonOption, RawOption, RunArgument, StepArgument, pairs
from gamekeeper.cli.output import print_json, print_table, say
from gamekeeper.cli.runs import show_started


def _ask(context: typer.Context, path: str, body: dict[str, Any] | None, done: str, as_json: bool) -> None:
    obj: Context = context.obj
    found = obj.call("POST", path, json=body)
    if as_json:
        print_json(found)
    else:
        say(done)


def cancel(
    context: typer.Context,
    run_id: RunArgument,
    step: Annotated[str, typer.Option(help="Only this step; the run goes on as after its failure")] = "",
    reason: Annotated[str, typer.Option(help="Why, for those who look later")] = "",
    as_json: JsonOption = False,
) -> None:
    """Cancel a run, or one step of it. It is canceled when its containers are gone."""
    what = f"/runs/{run_id}/steps/{step}" if step else f"/runs/{run_id}"
    named = f"step {step} of run {run_id}" if step else f"run {run_id}"
    _ask(context, f"{what}/cancel", {"reason": reason}, f"cancel of {named} requested", as_json)


def pause(context: typer.Context, run_id: RunArgument, as_json: JsonOption = False) -> None:
    """Start no further step until resume; what runs goes on."""
    _ask(context, f"/runs/{run_id}/pause", None, f"run {run_id} is paused", as_json)


def resume(context: typer.Context, run_id: RunArgument, as_json: JsonOption = False) -> None:
    """Go on with a paused run."""
    _ask(context, f"/runs/{run_id}/resume", None, f"run {run_id} goes on", as_json)


def approve(
    context: typer.Context,
    run_id: RunArgument,
    step: StepArgument,
    comment: CommentOption = "",
    as_json: JsonOption = False,
) -> None:
    """Approve what a step asks."""
    body = {"approved": True, "comment": comment}
    _ask(context, f"/runs/{run_id}/steps/{step}/approval", body, f"step {step} is approved", as_json)


def reject(
    context: typer.Context,
    run_id: RunArgument,
    step: StepArgument,
    comment: CommentOption = "",
    as_json: JsonOption = False,
) -> None:
    """Reject what a step asks; it fails."""
    body = {"approved": False, "comment": comment}
    _ask(context, f"/runs/{run_id}/steps/{step}/approval", body, f"step {step} is rejected", as_json)


def _answer_hold(context: typer.Context, run_id: str, step: str, action: str, done: str, as_json: bool) -> None:
    _ask(context, f"/runs/{run_id}/steps/{step}/hold", {"action": action}, done, as_json)


def retry(context: typer.Context, run_id: RunArgument, step: StepArgument, as_json: JsonOption = False) -> None:
    """Try a held step once more."""
    _answer_hold(context, run_id, step, "retry", f"step {step} is tried again", as_json)


def skip(context: typer.Context, run_id: RunArgument, step: StepArgument, as_json: JsonOption = False) -> None:
    """Skip a held step; the run goes on as if it had ended well."""
    _answer_hold(context, run_id, step, "skip", f"step {step} is skipped", as_json)


def fail(context: typer.Context, run_id: RunArgument, step: StepArgument, as_json: JsonOption = False) -> None:
    """Let a held step fail now."""
    _answer_hold(context, run_id, step, "fail", f"step {step} has failed", as_json)


def queue(
    context: typer.Context,
    group: Annotated[str, typer.Argument(help="Only this concurrency group")] = "",
    as_json: JsonOption = False,
) -> None:
    """Show concurrency groups: the runs that go on and those that wait, the next one first."""
    obj: Context = context.obj
    items = obj.list_all("/run-groups", {"name": group} if group else {})
    if as_json:
        print_json(items)
        return
    rows = [(item["name"], ", ".join(item["running"]), ", ".join(item["waiting"])) for item in items]
    print_table(("GROUP", "RUNNING", "WAITING"), rows)


def rerun(
    context: typer.Context,
    run_id: RunArgument,
    start: Annotated[str, typer.Option("--from", help="failed, all, or the step to begin at")] = "failed",
    arg: Annotated[list[str] | None, typer.Option("--arg", help="KEY=VALUE to change, repeatable")] = None,
    follow: FollowOption = False,
    raw: RawOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run an ended run again, as a new run that takes over the results that stand."""
    obj: Context = context.obj
    answer = obj.call("POST", f"/runs/{run_id}/rerun", json={"from": start, "args": pairs(arg, "--arg")})
    show_started(obj, answer, follow, as_json, raw=raw)

"""The waits of a run in words, with the commands that answer them."""

from __future__ import annotations

from typing import Any

from gamekeeper.cli.context import Context
from gamekeeper.cli.output import printable

_WAITS_ITSELF = ("queued", "paused")  # a run in another state tells what its first step waits for
_MAY_WAIT = ("queued", "paused", "waiting_node", "held")


class Waits:
    """The waits of a run that somebody follows; each is told once."""

    def __init__(self, obj: Context, run_id: str) -> None:
        self._obj, self._run_id = obj, run_id
        self._told: set[str] = set()
        self._approvals: set[str] | None = None

    def news(self, event: dict[str, Any]) -> list[str]:
        """Lines on what waits since an event of the run."""
        if event["state"] not in _MAY_WAIT and not (event["state"] == "running" and self._asks(event["step"])):
            return []
        lines = waits_of(self._obj.call("GET", f"/runs/{self._run_id}"), passing=False)
        news = [line for line in lines if line not in self._told]
        self._told.update(news)
        return news

    def _asks(self, step: str) -> bool:
        if self._approvals is None:
            steps = self._obj.call("GET", f"/runs/{self._run_id}")["steps"]
            self._approvals = {found["name"] for found in steps if found["type"] == "approval"}
        return step in self._approvals


def waits_of(run: dict[str, Any], *, passing: bool = True) -> list[str]:
    """A line for each wait, and below it the commands that answer it. ``passing`` are those of a step that was just
    handed to a node which is there."""
    lines: list[str] = []
    for step in run["steps"]:
        if step["waiting"] and (passing or step["state"] != "starting"):
            lines.append(printable(f"{step['name']} waits {step['waiting']}"))
            lines += [f"    {command}" for command in answers(run["id"], step)]
    if run["waiting"] and run["state"] in _WAITS_ITSELF and not lines:
        lines.append(printable(f"run {run['id']} waits {run['waiting']}"))
        lines += [f"    gamekeeper runs resume {run['id']}"] if run["state"] == "paused" else []
    return lines


def answers(run_id: str, step: dict[str, Any]) -> list[str]:
    """The commands that answer a step which waits for somebody."""
    words: tuple[str, ...] = ()
    if step["state"] == "held":
        words = ("retry", "skip", "fail")
    elif step["type"] == "approval" and step["state"] == "running":
        words = ("approve", "reject")
    return [f"gamekeeper runs {word} {run_id} {step['name']}" for word in words]

"""Follows a run live: changes of state and the lines of its steps, through lost connections and restarts."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from gamekeeper.backoff import Backoff
from gamekeeper.cli.context import ApiError, Context, checked
from gamekeeper.cli.log_lines import LinePrinter, LogView, say_between
from gamekeeper.cli.output import coloured, dim, printable, warn
from gamekeeper.cli.waiting import Waits
from gamekeeper.errors import GamekeeperError, UnavailableError

if TYPE_CHECKING:
    from httpx_sse import ServerSentEvent

GIVE_UP_SECONDS = 60.0
DRAIN_SECONDS = 10.0
QUIET_SECONDS = 0.5
INTERRUPTED = 130
_ENDED = ("succeeded", "failed", "error", "canceled", "skipped")
_STARTED = ("starting", "pulling", "running", "held", "succeeded", "failed", "error", "canceled")


def events(obj: Context, path: str, parameters: dict[str, Any] | None = None) -> Iterator[ServerSentEvent]:
    """Server-sent events until ``end``; resumed by their ids when the connection breaks, neither skipped nor repeated.

    Raises UnavailableError when the server stays away for a minute, ApiError when the key is no longer good.
    """
    last_id, backoff, lost_at = "", Backoff(initial=0.2, maximum=3), time.monotonic()
    while True:
        try:
            for event in _connect(obj, path, parameters or {}, last_id):
                if event.event == "refused":
                    raise ApiError(401, json.loads(event.data))
                last_id, lost_at = event.id or last_id, time.monotonic()
                backoff.reset()
                yield event
                if event.event == "end":
                    return
        except UnavailableError:
            if time.monotonic() - lost_at > GIVE_UP_SECONDS:
                raise
        time.sleep(backoff.next_delay())


def _connect(obj: Context, path: str, parameters: dict[str, Any], last_id: str) -> Iterator[ServerSentEvent]:
    from httpx_sse import connect_sse

    headers = {"Last-Event-ID": last_id} if last_id else {}
    with (
        obj.client(timeout=None) as client,
        connect_sse(client, "GET", path, params=parameters, headers=headers) as source,
    ):
        if source.response.is_error:
            source.response.read()
            checked(source.response)
        yield from (event for event in source.iter_sse() if event.data)  # a keep-alive has no data


class _FollowedLog(threading.Thread):
    """Prints one try's log as it comes."""

    def __init__(self, obj: Context, run_id: str, step: str, number: int, view: LogView) -> None:
        super().__init__(daemon=True)
        self.step = step
        self._obj, self._run_id, self._number, self._view = obj, run_id, number, view
        self._said_at = time.monotonic()

    def run(self) -> None:
        printer = LinePrinter(self._view, f"{self.step:>20} | ")
        try:
            for event in log_events(self._obj, self._run_id, self.step, self._view, self._number):
                self._said_at = time.monotonic()
                print_event(printer, event, {"step": self.step, "try": self._number})
        except GamekeeperError as error:
            warn(f"the log of {self.step} can't be followed: {error}")
        printer.end()

    def wait(self, *, goes_on: bool) -> None:
        """Waits for the last lines, which may come after the run's end. A log that ``goes_on`` has none: there it is
        a moment's silence."""
        deadline = time.monotonic() + DRAIN_SECONDS
        while self.is_alive() and time.monotonic() < deadline:
            if goes_on and time.monotonic() - self._said_at > QUIET_SECONDS:
                return
            self.join(0.05)


def log_events(obj: Context, run_id: str, step: str, view: LogView, number: int) -> Iterator[ServerSentEvent]:
    query = view.query() | {"follow": "true", "try": number}
    return events(obj, f"/runs/{run_id}/steps/{step}/logs", query)


def print_event(printer: LinePrinter, event: ServerSentEvent, about: dict[str, Any]) -> None:
    fields = json.loads(event.data)
    if event.event == "line":
        printer.add(about | fields if printer.view.as_json else fields)
    elif event.event == "gap" or not fields["complete"]:
        printer.missing(fields.get("reason", ""))


class _Watch:
    """Shows what the events of a run tell, and the logs of the tries that begin."""

    def __init__(self, obj: Context, run_id: str, view: LogView) -> None:
        self._obj, self._run_id, self._view = obj, run_id, view
        self._waits = Waits(obj, run_id)
        self._logs: dict[tuple[str, int], _FollowedLog] = {}

    def take(self, fields: dict[str, Any]) -> None:
        if not self._view.as_json:
            say_between(_state_line(fields))
            for line in self._waits.news(fields):
                say_between(line)
        for key in ((fields["step"], number) for number in _tries_of(fields)):
            if key not in self._logs:
                self._logs[key] = _FollowedLog(self._obj, self._run_id, *key, self._view)
                self._logs[key].start()

    def wait_for_logs(self) -> None:
        if not self._logs:
            return
        steps = self._obj.call("GET", f"/runs/{self._run_id}")["steps"]
        endless = {step["name"] for step in steps if step["type"] == "service" and step["state"] == "succeeded"}
        for log in self._logs.values():
            log.wait(goes_on=log.step in endless)


def follow_run(obj: Context, run_id: str, view: LogView | None = None, *, quiet: bool = False) -> None:
    """Prints until the run has ended and its logs are printed. A service's log is shown as long as the run goes on."""
    watch = _Watch(obj, run_id, view or LogView())
    try:
        for event in events(obj, f"/runs/{run_id}/events"):
            if event.event != "end" and not quiet:
                watch.take(json.loads(event.data))
        watch.wait_for_logs()
    except KeyboardInterrupt:
        leave_running(obj, run_id)


def _state_line(fields: dict[str, Any]) -> str:
    again = f" (try {fields['try']})" if fields["try"] > 1 else ""
    why = f" ({fields['reason']})" if fields["reason"] else ""
    said = f"{fields['step'] or 'run':20} {coloured(fields['state'])}{again}{why} {printable(fields['message'])}"
    return f"{dim(fields['at'][11:19])} {said}".rstrip()


def _tries_of(fields: dict[str, Any]) -> range:
    """The tries that have begun by this event. Several changes may be told at once, so it may be more than one."""
    begun = fields["step"] and fields["state"] in _STARTED
    return range(1, fields["try"] + 1) if begun else range(0)


def leave_running(obj: Context, run_id: str) -> None:
    """Ends the command, and not the run. Tells so."""
    run = obj.call("GET", f"/runs/{run_id}")
    if run["finished_at"] is None:
        warn(f"\nrun {run_id} goes on; to cancel it: gamekeeper runs cancel {run_id}")
    raise typer.Exit(INTERRUPTED)


def follow_log(obj: Context, run_id: str, step: str, view: LogView) -> None:
    """Writes one step's log until it ends: of its newest try and those that follow, or of the one that is asked for."""
    try:
        if view.try_number is not None:
            _follow_try(obj, run_id, step, view, view.try_number)
        else:
            _follow_tries(obj, run_id, step, view)
    except KeyboardInterrupt:
        leave_running(obj, run_id)


def _follow_tries(obj: Context, run_id: str, step: str, view: LogView) -> None:
    shown = max(0, _newest_try(obj, run_id, step) - 1)
    for event in events(obj, f"/runs/{run_id}/events"):
        fields = json.loads(event.data)
        if event.event == "end":
            break
        if fields["step"] != step:
            continue
        while shown < fields["try"]:
            shown += 1
            if fields["message"] and shown > 1:
                warn(printable(fields["message"]))
            _follow_try(obj, run_id, step, view, shown)
        if fields["state"] in _ENDED:
            break
    newest = max(1, _newest_try(obj, run_id, step))
    if shown < newest:
        _follow_try(obj, run_id, step, view, newest)


def _newest_try(obj: Context, run_id: str, step: str) -> int:
    """0 for a step that has not begun. Raises ApiError for one that the run does not have."""
    for found in obj.call("GET", f"/runs/{run_id}")["steps"]:
        if found["name"] == step:
            return int(found["try"])
    obj.text(f"/runs/{run_id}/steps/{step}/logs", {"tail": 0})
    return 0


def _follow_try(obj: Context, run_id: str, step: str, view: LogView, number: int) -> None:
    printer = LinePrinter(view)
    for event in log_events(obj, run_id, step, view, number):
        print_event(printer, event, {"step": step, "try": number})
        if event.event == "end" and (reason := json.loads(event.data).get("reason")):
            warn(f"{step}: {reason}")
    printer.end()

"""Follows a run live: changes of state and the lines of its steps, through lost connections and restarts."""

from __future__ import annotations

import base64
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
from httpx_sse import ServerSentEvent, connect_sse

from gamekeeper.backoff import Backoff
from gamekeeper.cli.context import Context, checked
from gamekeeper.cli.output import coloured, console, errors
from gamekeeper.errors import UnavailableError

GIVE_UP_SECONDS = 60.0
DRAIN_SECONDS = 15.0
_STARTED = ("running", "succeeded", "failed", "error", "canceled")


def events(obj: Context, path: str, parameters: dict[str, Any] | None = None) -> Iterator[ServerSentEvent]:
    """Server-sent events until ``end``; resumed by their ids when the connection breaks, neither skipped nor repeated.

    Raises UnavailableError when the server stays away for a minute.
    """
    last_id, backoff, lost_at = "", Backoff(initial=0.2, maximum=3), time.monotonic()
    while True:
        try:
            for event in _connect(obj, path, parameters or {}, last_id):
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
    headers = {"Last-Event-ID": last_id} if last_id else {}
    with (
        obj.client(timeout=None) as client,
        connect_sse(client, "GET", path, params=parameters, headers=headers) as source,
    ):
        if source.response.is_error:
            source.response.read()
            checked(source.response)
        yield from (event for event in source.iter_sse() if event.data)  # a keep-alive has no data


def follow_run(obj: Context, run_id: str, *, quiet: bool = False) -> None:
    """Prints until the run has ended and its logs are printed. A service's log is shown as long as the run goes on."""
    show: Callable[[str], None] = (lambda _: None) if quiet else console.print
    threads: dict[str, threading.Thread] = {}
    for event in events(obj, f"/runs/{run_id}/events"):
        if event.event == "end":
            break
        fields = json.loads(event.data)
        step = fields["step"]
        why = f" ({fields['reason']})" if fields["reason"] else ""
        show(
            f"[dim]{fields['at'][11:19]}[/dim] {step or 'run':20} {coloured(fields['state'])}{why} {fields['message']}"
        )
        if step and fields["state"] in _STARTED and step not in threads and not quiet:
            threads[step] = threading.Thread(target=_print_lines, args=(obj, run_id, step), daemon=True)
            threads[step].start()
    _wait_for_logs(obj, run_id, threads)


def _wait_for_logs(obj: Context, run_id: str, threads: dict[str, threading.Thread]) -> None:
    """The last lines may arrive after the run's end; a service that goes on has no last line."""
    endless = {
        step["name"]
        for step in obj.call("GET", f"/runs/{run_id}")["steps"]
        if step["type"] == "service" and step["state"] == "succeeded"
    }
    for step, thread in threads.items():
        thread.join(0.5 if step in endless else DRAIN_SECONDS)


def _print_lines(obj: Context, run_id: str, step: str) -> None:
    try:
        for event in events(obj, f"/runs/{run_id}/steps/{step}/logs", {"follow": "true"}):
            fields = json.loads(event.data)
            if event.event == "line":
                console.print(f"[dim]{step:>20} |[/dim] ", end="")
                console.print(fields["text"].rstrip("\n"), markup=False)
            elif event.event == "gap" or (event.event == "end" and not fields["complete"]):
                console.print(f"[yellow]{step:>20} | lines are missing: {fields.get('reason', '')}[/yellow]")
    except (UnavailableError, httpx.HTTPError) as error:
        errors.print(f"the log of {step} can't be followed: {error}")


def follow_log(obj: Context, run_id: str, step: str, try_number: int | None) -> None:
    """Writes one step's log, byte for byte, until it ends."""
    parameters: dict[str, Any] = {"follow": "true"} | ({"try": try_number} if try_number else {})
    for event in events(obj, f"/runs/{run_id}/steps/{step}/logs", parameters):
        fields = json.loads(event.data)
        if event.event == "line":
            raw = base64.b64decode(fields["base64"]) if "base64" in fields else fields["text"].encode()
            sys.stdout.buffer.write(raw)
            sys.stdout.buffer.flush()
        elif event.event == "gap" or not fields["complete"]:
            errors.print(f"[yellow]lines are missing: {fields.get('reason', '')}[/yellow]")


def print_log(obj: Context, run_id: str, step: str, try_number: int | None, *, title: bool) -> None:
    parameters = {"try": try_number} if try_number else {}
    if title:
        console.print(f"[bold]--- {step}[/bold]")
        sys.stdout.flush()
    with (
        obj.client(timeout=None) as client,
        client.stream("GET", f"/runs/{run_id}/steps/{step}/logs", params=parameters) as answer,
    ):
        if answer.is_error:
            answer.read()
            checked(answer)
        for chunk in answer.iter_bytes():
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        if answer.headers.get("Gamekeeper-Log-Complete") == "false":
            errors.print("[yellow]lines are missing in this log[/yellow]")


def print_merged(obj: Context, run_id: str) -> None:
    """Each line with the server's time of it and its step."""
    with obj.client(timeout=None) as client, client.stream("GET", f"/runs/{run_id}/logs") as answer:
        if answer.is_error:
            answer.read()
            checked(answer)
        for text in answer.iter_lines():
            line = json.loads(text)
            said = line.get("text") or f"[lines are missing here: {line.get('reason', '')}]"
            at = line["at"][11:23]
            sys.stdout.write(f"{at} {line['step']} | {said.rstrip()}\n")
        sys.stdout.flush()

"""Waits for an instance: each change of its state is told as it comes, with its reason, until it has settled."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import typer

from gamekeeper.backoff import Backoff
from gamekeeper.cli.context import ApiError, Context
from gamekeeper.cli.instance_row import goes_on_before
from gamekeeper.cli.output import coloured, dim, print_json, printable, say, warn
from gamekeeper.errors import InvalidError, UnavailableError

INTERRUPTED = 130
FAILED = 1
GIVE_UP_SECONDS = 60.0
GONE = "deleted"
SETTLED = ("ready", "stopped", "crash_loop", "failed", GONE)
_WISHED = {"running": "ready", "stopped": "stopped", "removed": GONE}
_WHEN_AWAY = {
    "node_offline": "it is done when the node is back",
    "node_removed": "it is done if the node joins again under its name; or: gamekeeper instance rm {id}",
}
_SHOWN_CANDIDATES = 8
_PERIOD = 0.25
_CALM, _CALM_BEFORE_REVERT = 3, 40  # looks at one that failed: it may be asked for something else at once


def find_instance(obj: Context, given: str) -> dict[str, Any]:
    """The instance of that id, or the only one whose id begins so. Raises ApiError, and InvalidError for several."""
    try:
        found: dict[str, Any] = obj.call("GET", f"/instances/{given}")
    except ApiError as error:
        if error.status != 404:
            raise
        return _beginning(obj, given, error)
    return found


def exact_instance(obj: Context, given: str) -> dict[str, Any]:
    """The instance of that very id, for what changes something: of an id that is gone, another's is no beginning.
    Raises ApiError that names those which begin so."""
    try:
        found: dict[str, Any] = obj.call("GET", f"/instances/{given}")
    except ApiError as error:
        if error.status != 404:
            raise
        alike = [item["id"] for item in _that_begin(obj, given)[:_SHOWN_CANDIDATES]]
        hint = f"did you mean {' or '.join(alike)}? Give the whole id" if alike else "gamekeeper instance ls"
        raise ApiError(404, {"detail": error.message, "hint": hint, "code": error.code}) from None
    return found


def _that_begin(obj: Context, given: str) -> list[dict[str, Any]]:
    page = obj.call("GET", "/instances", params={"prefix": given, "limit": _SHOWN_CANDIDATES + 1})
    return list(page["items"])


def _beginning(obj: Context, given: str, unknown: ApiError) -> dict[str, Any]:
    items = _that_begin(obj, given)
    if not items:
        raise ApiError(404, {"detail": unknown.message, "hint": "gamekeeper instance ls", "code": unknown.code})
    if len(items) > 1:
        named = ", ".join(f"{item['id']} ({item['node']}, {item['state']})" for item in items[:_SHOWN_CANDIDATES])
        more = " and more" if len(items) > _SHOWN_CANDIDATES else ""
        raise InvalidError(f'several instances begin with "{given}": {named}{more}', hint="give more of the id")
    return dict(items[0])


def is_as_wished(found: dict[str, Any]) -> bool:
    return bool(found["state"] == _WISHED.get(found["desired"])) and not goes_on_before(found)


class Watch:
    """The changes of an instance from now on, which was ``found`` so. Made before the request, so that nothing of it is
    missed; of a ``new`` one those since it was made."""

    def __init__(self, obj: Context, found: dict[str, Any], *, quiet: bool, new: bool = False) -> None:
        self._obj, self._id, self._quiet = obj, str(found["id"]), quiet
        known = [event["seq"] for event in self._events() if not new or event["kind"] == "instance.created"]
        self._told = max(known, default=0)
        self._away = ""
        self._last = found  # all that can be told of one that is gone before the first look

    def settled(self, after: int = 0, *, reverting: int = 0) -> dict[str, Any]:
        """Waits until nothing goes on, by an action after the one with the serial ``after``. Where the one with the
        serial ``reverting`` fails, the next one comes by itself."""
        calm = 0

        def is_over(found: dict[str, Any]) -> bool:
            nonlocal calm
            calm = calm + 1 if _is_settled(found, after) else 0
            calm_enough = _CALM_BEFORE_REVERT if int(found["serial"]) == reverting else _CALM
            return calm >= (1 if is_as_wished(found) else calm_enough)

        return self._wait(is_over)

    def until(self, state: str) -> dict[str, Any]:
        """Waits for the state, or until the instance is deleted, which has no other state."""
        return self._wait(lambda found: found["state"] in (state, GONE))

    def _wait(self, is_over: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        seen_at, backoff = time.monotonic(), Backoff(initial=_PERIOD, maximum=1)
        try:
            while True:
                try:
                    found = self._look()
                except UnavailableError:
                    if time.monotonic() - seen_at > GIVE_UP_SECONDS:
                        raise
                    time.sleep(backoff.next_delay())
                    continue
                if is_over(found):
                    return found
                seen_at = time.monotonic()
                backoff.reset()
                time.sleep(_PERIOD)
        except KeyboardInterrupt:
            warn(f"\ninstance {self._id} goes on; look: gamekeeper instance show {self._id}")
            raise typer.Exit(INTERRUPTED) from None

    def _look(self) -> dict[str, Any]:
        """The instance now, after its news is told: the event of a state is there before the state is."""
        try:
            found = self._obj.call("GET", f"/instances/{self._id}")
        except ApiError as error:
            if error.status != 404:
                raise
            found = {}
        events = self._events()
        found = found or self._gone(events)
        self._last = found
        for event in reversed(events):
            if event["seq"] > self._told:
                self._told = event["seq"]
                self._say(event)
        self._tell_away(found)
        return dict(found)

    def _gone(self, events: list[dict[str, Any]]) -> dict[str, Any]:
        """The instance after its end, whose event alone says what is left of it."""
        last = next((event for event in events if event["kind"] == f"instance.{GONE}"), {})
        why = {"reason": last.get("reason") or None, "message": last.get("message", "")}
        return self._last | {"id": self._id, "state": GONE, "desired": "removed", "operation": None} | why

    def _events(self) -> list[dict[str, Any]]:
        found = self._obj.call("GET", "/events", params={"instance": self._id, "kind": "instance", "limit": 50})
        return list(found["items"])

    def _say(self, event: dict[str, Any]) -> None:
        if self._quiet:
            return
        state = event["kind"].partition(".")[2]
        reason, message = f"({event['reason']})" if event["reason"] else "", printable(event["message"])
        why = " ".join(filter(None, (message, reason) if state == "asked" else (reason, message)))
        say(f"{dim(event['at'][11:19])} {self._id:20} {coloured(state)} {why}".rstrip())

    def _tell_away(self, found: dict[str, Any]) -> None:
        """A node that is away gets its order when it comes back, and only then."""
        told = str(found["message"]) if found.get("reason") in _WHEN_AWAY else ""
        if told and told != self._away and not self._quiet:
            what = _WHEN_AWAY[found["reason"]].format(id=self._id)
            warn(f"{printable(told)}; {what}, and Ctrl-C waits no longer")
        self._away = told


def _is_settled(found: dict[str, Any], after: int) -> bool:
    if found["state"] == GONE:
        return True
    return found["operation"] is None and found["state"] in SETTLED and int(found["serial"]) > after


def settle(
    obj: Context,
    found: dict[str, Any],
    ask: Callable[[str], Any],
    *,
    no_wait: bool,
    as_json: bool,
    reverts: bool = False,
) -> dict[str, Any] | None:
    """Asks for something at the path of an instance, and waits until it is done; None where nobody waits for it."""
    instance = str(found["id"])
    watch = Watch(obj, found, quiet=as_json)
    answer = ask(f"/instances/{instance}")
    if not no_wait:
        return watch.settled(int(found["serial"]), reverting=int(answer["serial"]) if reverts else 0)
    if as_json:
        print_json(answer)
    else:
        say(f"instance {instance} was asked; see it done: gamekeeper instance wait {instance}")
    return None


def finish(ended: dict[str, Any] | None, as_json: bool, *, failed: str = "", wanted: str = "") -> None:
    """Shows how it ended; leaves with 1 unless it is in the ``wanted`` state, by default as it is wished to be.
    ``failed`` says why it is not even so."""
    if ended is None:
        return
    if as_json:
        print_json(ended)
    else:
        words = failed or state_words(ended)
        mark = ":" if words.startswith("revision") else ""
        say(f"instance {ended['id']} is {coloured(ended['state'])}{mark} {printable(words)}".rstrip())
    if not as_json and ended["desired"] == "running" and ended["reason"] == "node_disabled":
        hint = f"gamekeeper node uncordon {ended['node']}"
        say(f"node {ended['node']} is disabled; it starts once the node is active: {hint}")
    if failed or not (ended["state"] == wanted if wanted else is_as_wished(ended)):
        raise typer.Exit(FAILED)


def state_words(found: dict[str, Any]) -> str:
    """The reason and message of a state; of one that is ready where it can be reached."""
    if goes_on_before(found):
        return f"revision {found['running_revision']}: {found['message']}"
    if found["state"] != "ready":
        return " ".join(filter(None, (f"({found['reason']})" if found.get("reason") else "", found.get("message", ""))))
    return ", ".join(filter(None, (f"revision {found['revision']}", " ".join(found["ports"]))))

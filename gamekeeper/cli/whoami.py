"""``whoami``: the user or the key that calls, and what it was granted."""

from __future__ import annotations

import typer

from gamekeeper.cli.grant import in_words
from gamekeeper.cli.key import key_end
from gamekeeper.cli.options import JsonOption
from gamekeeper.cli.output import minute, print_json, print_table, say
from gamekeeper.cli.quota_words import limits_of


def whoami(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show who calls: the user or the key, as events name it, and its grants."""
    found = context.obj.call("GET", "/whoami")
    if as_json:
        print_json(found)
        return
    key, user = found["key"], found["user"]
    by = f"key {key['id']}, {key['role']}, {key_end(key)}" if key else f"session {found['session_id']}"
    role = f"{user['role']}, " if user else ""
    say(f"{found['actor']} ({role}{by})")
    if limits := limits_of(found["quota"]) if "quota" in found else "":  # an api of a version before tells none
        say(f"its instances have {limits}")
    if not found.get("grants"):
        return
    rows = [
        (grant["id"], ", ".join(grant["verbs"]), in_words(grant["on"]), minute(grant["expires_at"]) or "never")
        for grant in found["grants"]
    ]
    print_table(("GRANT", "MAY", "ON", "EXPIRES (UTC)"), rows)

"""Writes the pages of docs/ that are made from the code: ``python -m scripts.pages [--check] [PAGE ...]``.

With ``--check`` nothing is written, and a page that differs from the code is an error: the lint calls it so.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from scripts import (
    alarm_page,
    cli_page,
    event_page,
    language_page,
    openapi_page,
    policy_page,
    rest_page,
    role_page,
    settings_page,
)

DOCS = Path(__file__).parent.parent / "docs"
PAGES: dict[str, Callable[[], str]] = {
    "keys.md": language_page.render,
    "events.md": event_page.render,
    "alarm-rules.md": alarm_page.render,
    "settings.md": settings_page.render,
    "openapi.json": openapi_page.render,
    "rest.md": rest_page.render,
    "roles.md": role_page.render,
    "cli.md": cli_page.render,
    "node-policy.schema.json": policy_page.render,
}


def main(arguments: list[str]) -> int:
    names = [name for name in arguments if name != "--check"] or list(PAGES)
    if "--check" in arguments:
        stale = [name for name in names if not (DOCS / name).exists() or (DOCS / name).read_text() != PAGES[name]()]
        for name in stale:
            print(f"docs/{name} differs from the code: commit what `make pages` wrote", file=sys.stderr)
        return 1 if stale else 0
    for name in names:
        (DOCS / name).write_text(PAGES[name]())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

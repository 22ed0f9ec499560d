"""Writes a migration for changed tables, and proves that the migrations then give the same tables."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from alembic import command
from sqlalchemy import create_engine

from gamekeeper.db.migrate import alembic_config

VERSIONS = Path(__file__).parent.parent / "gamekeeper" / "db" / "migrations" / "versions"


def main() -> None:
    message = sys.argv[1] if len(sys.argv) > 1 else ""
    if not message:
        raise SystemExit('say what changes: make migration m="Add a column"')
    numbers = [int(match.group(1)) for path in VERSIONS.glob("*.py") if (match := re.match(r"(\d+)_", path.name))]
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{folder}/db")
        with engine.begin() as connection:
            command.upgrade(alembic_config(connection), "head")
        with engine.begin() as connection:
            config = alembic_config(connection)
            command.revision(config, message=message, autogenerate=True, rev_id=f"{max(numbers, default=0) + 1:04d}")
        with engine.begin() as connection:
            command.upgrade(alembic_config(connection), "head")
        with engine.begin() as connection:
            command.check(alembic_config(connection))


if __name__ == "__main__":
    main()

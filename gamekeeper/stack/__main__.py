"""``python -m gamekeeper.stack STATE_DIR``: the supervisor, as ``gamekeeper up --detach`` starts it."""

from __future__ import annotations

import sys
from pathlib import Path

from gamekeeper.errors import GamekeeperError
from gamekeeper.logging import configure_logging, get_logger
from gamekeeper.stack.layout import StateDir
from gamekeeper.stack.supervisor import Supervisor


def main() -> None:
    configure_logging()
    state = StateDir(Path(sys.argv[1]))
    try:
        Supervisor(state, state.load()).run(lambda record: get_logger("stack").info("ready: %s", record.rest_url))
    except GamekeeperError as error:
        get_logger("stack").error("%s", error)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()

"""The admin key that a start of the api is given. One that was revoked, or ran out, is not made good again by it.

Where the key came from a file, the start writes a new one there: whoever may read the file has the machine anyway, and
it is the way back for an operator whose last key is lost. A key of the environment can't be replaced, so it is told.
"""

from __future__ import annotations

from pathlib import Path

from api.services.access.key_ring import KeyRing
from api.settings import SHORTEST_KEY
from gamekeeper.errors import InvalidError, UnavailableError
from gamekeeper.keys import API_KEY_PREFIX, new_key
from gamekeeper.logging import get_logger
from gamekeeper.whole_file import write_whole

log = get_logger("api")


async def ensure_given_key(keys: KeyRing, key: str, file: Path | None) -> None:
    """The file stands before the key. Raises InvalidError for a key that could be guessed."""
    has_file = file is not None and file.exists()
    if file is not None and has_file:
        key = file.read_text().strip()
    if key and len(key) < SHORTEST_KEY:
        raise InvalidError("GAMEKEEPER_ADMIN_KEY is shorter than 32 characters", hint="make one: openssl rand -hex 32")
    if not key or await keys.ensure_given(key):
        return
    if file is None or not has_file:
        log.warning("the key in GAMEKEEPER_ADMIN_KEY was revoked or ran out, and stays so: give another one")
        return
    fresh = new_key(API_KEY_PREFIX)
    try:
        write_whole(file, fresh + "\n")
    except UnavailableError as error:
        log.warning("the admin key in %s was revoked or ran out, and no new one can be written: %s", file, error)
        return
    await keys.ensure_given(fresh)
    log.warning("the admin key in %s was revoked or ran out: a new one is there now", file)

"""The admin key that a start of the api is given. One that was revoked, or ran out, is not made good again by it.

Where the key came from a file, the start writes a new one there: whoever may read the file has the machine anyway, and
it is the way back for an operator whose last key is lost. A key of the environment can't be replaced, so it is told.
"""

from __future__ import annotations

from pathlib import Path

from api.services.access.key_ring import Given, KeyRing
from gamekeeper.errors import InvalidError, UnavailableError
from gamekeeper.keys import API_KEY_PREFIX, new_key, weakness
from gamekeeper.logging import get_logger
from gamekeeper.whole_file import write_whole

log = get_logger("api")


async def ensure_given_key(keys: KeyRing, key: str, file: Path | None) -> None:
    """The file stands before the key. Raises InvalidError for a key that could be guessed or that nobody could send,
    and for a file that can't be read."""
    async with keys.giving() as given:  # of two starts that share a file, the second reads what the first wrote
        of_file = None if file is None else _read(file)
        key = key.strip() if of_file is None else of_file
        if key and (trouble := weakness(key)):
            name = "GAMEKEEPER_ADMIN_KEY" if of_file is None else f"the admin key in {file}"
            raise InvalidError(f"{name} {trouble}", hint="make one: openssl rand -hex 32")
        is_good = bool(key) and await given.ensure(key)
        if file is not None and of_file is not None and not is_good:
            await _replace(given, file)
        elif key and not is_good:
            log.warning("the key in GAMEKEEPER_ADMIN_KEY was revoked or ran out, and stays so: give another one")
        if not await given.has_admin():
            log.warning("no API key is good, so nobody can call: give GAMEKEEPER_ADMIN_KEY or a file that is there")


def _read(file: Path) -> str | None:
    """None for a file that is not there."""
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeError) as error:
        raise InvalidError(f"the admin key can't be read: {error}", hint="check GAMEKEEPER_ADMIN_KEY_FILE") from error


async def _replace(given: Given, file: Path) -> None:
    """The file is written first: a key that only a database knows would be nobody's."""
    fresh = new_key(API_KEY_PREFIX)
    try:
        write_whole(file, fresh + "\n")
    except UnavailableError as error:
        log.warning("there is no good admin key in %s, and no new one can be written: %s", file, error)
        return
    await given.add(fresh)
    log.warning("the admin key in %s was revoked or ran out, or was none: a new one is there now", file)

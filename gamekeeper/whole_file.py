"""Small files that are whole whatever happens: a kill or a full disk leaves the old one or the new one."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from gamekeeper.errors import UnavailableError


def write_whole(path: Path, text: str, *, synced: bool = True, owner: tuple[int, int] | None = None) -> None:
    """Replaces a file of mode 0600 in one step. Raises UnavailableError that names the file.

    ``synced`` files also outlive a power cut, for the price of a wait for the disk. ``owner`` is a user and a group,
    where root writes for somebody else, who may have put a link in the way: none is followed.
    """
    temporary = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)  # it is of a writer that was killed, or not of ours
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as file:
            if owner is not None:
                os.fchown(descriptor, *owner)
            file.write(text)
            file.flush()
            if synced:
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise UnavailableError(f"{path} can't be written: {error.strerror}", hint="free space there") from error

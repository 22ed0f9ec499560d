"""The servers that somebody has signed in to, with the session of each: a file of mode 0600 in the user's own folder.

The token of a context goes to the server of that context and to no other. It is read before each command, so it uses
the standard library alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gamekeeper.errors import InvalidError, NotFoundError

LOCAL = "local"


@dataclass(frozen=True)
class SavedContext:
    """``server`` is empty for the stack of ``state_dir``. ``pin`` names the root of the server's CA, where it has one
    of its own."""

    server: str = ""
    pin: str = ""
    state_dir: str = ""
    user: str = ""
    token: str = ""


@dataclass(frozen=True)
class SavedContexts:
    current: str = ""
    contexts: Mapping[str, SavedContext] = field(default_factory=dict)

    def get(self, name: str) -> SavedContext:
        """Raises NotFoundError."""
        if name not in self.contexts:
            raise NotFoundError(f'there is no context "{name}"', hint="gamekeeper context ls lists them")
        return self.contexts[name]

    def with_one(self, name: str, context: SavedContext) -> SavedContexts:
        """The named one is the current one from then on."""
        return SavedContexts(name, {**self.contexts, name: context})

    def without(self, name: str) -> SavedContexts:
        left = {key: context for key, context in self.contexts.items() if key != name}
        return SavedContexts("" if self.current == name else self.current, left)


def contexts_file() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME", "")
    folder = Path(base) if base.startswith("/") else Path.home() / ".config"
    return folder / "gamekeeper" / "contexts.json"


def load() -> SavedContexts:
    """Raises InvalidError for a file that is none, or that others may read."""
    file = contexts_file()
    try:
        with file.open() as opened:
            if os.fstat(opened.fileno()).st_mode & 0o077:
                raise InvalidError(f"others may read {file}, which holds sessions", hint=f"chmod 600 {file}")
            found = json.load(opened)
        contexts = {name: SavedContext(**fields) for name, fields in found["contexts"].items()}
        return SavedContexts(str(found["current"]), contexts)
    except (FileNotFoundError, NotADirectoryError):
        return SavedContexts()
    except OSError as error:
        raise InvalidError(f"{file} can't be read: {error.strerror}", hint="see its rights") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidError(f"{file} does not hold contexts", hint="remove it, and sign in again") from error


def save(contexts: SavedContexts) -> None:
    """Raises UnavailableError where it can't be written."""
    from gamekeeper.whole_file import write_whole

    found = {"current": contexts.current, "contexts": {key: asdict(one) for key, one in contexts.contexts.items()}}
    write_whole(contexts_file(), json.dumps(found, indent=2) + "\n")

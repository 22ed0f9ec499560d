"""Credentials of a registry, as a secret holds them: ``USER:PASSWORD``, or JSON with ``username`` and ``password``."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from gamekeeper.domain.language.named_secret import Pull
from gamekeeper.domain.node.patterns import full_name
from gamekeeper.errors import SecretError

_FORM = 'set it to USER:PASSWORD, or to JSON as {"username": "bot", "password": "..."}'


@dataclass(frozen=True)
class RegistryLogin:
    """No message and no trace shows either."""

    username: str = field(repr=False)
    password: str = field(repr=False)


def read_login(name: str, value: bytes) -> RegistryLogin:
    """The credentials in the secret of that name. Raises SecretError, which shows nothing of the value."""
    try:
        text = value.decode().strip()
    except UnicodeDecodeError:
        text = ""
    username, password = _of_json(text) if text.startswith("{") else text.partition(":")[::2]
    if not username or not password:
        raise SecretError(f'the secret "{name}" holds no credentials of a registry', hint=_FORM)
    return RegistryLogin(username, password)


def check_registry(pull: Pull, image: str) -> None:
    """Raises SecretError where the credentials are for another registry than the image's."""
    registry = full_name(image).partition("/")[0]
    if pull.registry is not None and pull.registry != registry:
        raise SecretError(
            f'the credentials "{pull.secret}" are for {pull.registry}, and image {image} is of {registry}',
            hint="write pull: {registry: ...} as the image has it",
        )


def _of_json(text: str) -> tuple[str, str]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return "", ""
    given = [found.get(key) if isinstance(found, dict) else None for key in ("username", "password")]
    username, password = (value if isinstance(value, str) else "" for value in given)
    return username, password

"""Names of secrets. They stand in pipelines, in paths of the API and in folders of files, so they are plain."""

from __future__ import annotations

import re
import unicodedata

MAX_NAME = 63
SECRET_NAME = r"^[a-z0-9][a-z0-9._-]*$"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_SHOWN = 40


def name_trouble(name: str) -> str:
    """The fault of a name, in words for its writer; empty for a sound one."""
    if _NAME.fullmatch(name):
        return ""
    if not name:
        return "a secret has a name"
    shown = name[:_SHOWN].encode(errors="replace").decode() + ("..." if len(name) > _SHOWN else "")
    if len(name) > MAX_NAME:
        return f'the name "{shown}" of a secret has more than {MAX_NAME} characters'
    near = _nearest(name)
    return (
        f'the name "{shown}" of a secret may use a-z, 0-9, ".", "_" and "-", and begins with a letter or a digit'
        f"{f'; try {chr(34)}{near}{chr(34)}' if near else ''}"
    )


def _nearest(name: str) -> str:
    """The name that was probably meant: without accents, in small letters; empty where nothing is left of it."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9._-]+", "-", plain).strip("-._")

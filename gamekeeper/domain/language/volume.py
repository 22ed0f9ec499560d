"""Volumes in Compose's spellings: ``SOURCE:/TARGET[:MODE]``, ``/TARGET`` for an anonymous one, and the long form.

The long form becomes the short one, so that one spelling is left.
"""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple

from pydantic import Field

from gamekeeper.domain.language.model import Model
from gamekeeper.domain.language.project_volume import EXTERNAL
from gamekeeper.domain.language.values import Flag, Size, Text, as_text, has_template, not_filled_in, wrong

VOLUME_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}")
PROPAGATION = frozenset({"private", "rprivate", "shared", "rshared", "slave", "rslave"})
_CONSISTENCY = frozenset({"consistent", "cached", "delegated"})  # of Docker Desktop; Docker on Linux ignores them
MODES = (frozenset({"ro", "rw"}), frozenset({"z", "Z"}), frozenset({"nocopy"}), PROPAGATION, _CONSISTENCY)
_MOVED_TO_TMPFS = ":"


class Volume(NamedTuple):
    """``source`` is a host path, a volume's name, or empty for an anonymous volume."""

    source: str
    target: str
    mode: str


class BindOptions(Model):
    """Options of a host path."""

    propagation: Literal["private", "rprivate", "shared", "rshared", "slave", "rslave"] | None = None
    create_host_path: Flag = True
    selinux: Literal["z", "Z"] | None = None


class VolumeOptions(Model):
    """Options of a volume."""

    nocopy: Flag = False


class TmpfsOptions(Model):
    """Options of a file system in memory. ``mode`` is octal, as in Compose."""

    size: Size | None = None
    mode: Text | None = None


class VolumeForm(Model):
    """The long form. ``consistency`` means nothing on Linux, as in Compose."""

    type: Literal["bind", "volume", "tmpfs"]
    source: Text | None = None
    target: Text
    read_only: Flag = False
    consistency: Text | None = None
    bind: BindOptions = Field(default_factory=BindOptions)
    volume: VolumeOptions = Field(default_factory=VolumeOptions)
    tmpfs: TmpfsOptions = Field(default_factory=TmpfsOptions)

    def short(self) -> str:
        for flag in (self.read_only, self.volume.nocopy, self.bind.create_host_path):
            if has_template(flag):
                message = f'"{flag}" has no value yet where the long form is read'
                raise wrong("volume", f"{message}; write the short form as SOURCE:/TARGET:MODE")
        if self.type == "tmpfs":
            return _MOVED_TO_TMPFS + self._in_memory()
        options = ["ro" if self.read_only is True else "rw", *self._options()]
        if self.source:
            return f"{self.source}:{self.target}:{','.join(options)}"
        if self.type == "bind" or options != ["rw"]:
            raise wrong("volume", f'the {self.type} at "{self.target}" has no source; add it')
        return self.target

    def _options(self) -> list[str]:
        if self.type == "volume":
            return ["nocopy"] if self.volume.nocopy is True else []
        if self.bind.create_host_path is not True:
            message = "create_host_path: false is not supported: Docker makes a path that is missing"
            raise wrong("volume", f"{message}; leave it out")
        if self.source and not self.source.startswith("/") and not has_template(self.source):
            raise wrong("volume", f'"{self.source}" is relative; write the path on the node, as /srv/data')
        return [option for option in (self.bind.propagation, self.bind.selinux) if option]

    def _in_memory(self) -> str:
        given = [
            f"size={self.tmpfs.size}" if self.tmpfs.size else "",
            f"mode={self.tmpfs.mode}" if self.tmpfs.mode else "",
        ]
        options = ",".join(["ro" if self.read_only is True else "", *given]).strip(",")
        return f"{self.target}:{options}" if options else self.target


def read_volume(value: Any) -> str:
    """The short form of an entry of ``volumes``, checked where it holds no template."""
    if isinstance(value, dict):
        text = VolumeForm.model_validate(value).short()
        if text.startswith(_MOVED_TO_TMPFS):
            return text
    else:
        text = as_text(value)
    if not has_template(text):
        split_volume(text)
    return text


def in_memory(volume: str) -> str | None:
    """The entry for ``tmpfs`` of a long form of that type; None for one that is a volume."""
    return volume[1:] if volume.startswith(_MOVED_TO_TMPFS) else None


def split_volume(text: str) -> Volume:
    """The parts of a host path, a named volume or an anonymous one; raises for anything else. The source of a volume of
    others (``external:NAME:/target``) is its name."""
    parts = text.removeprefix(EXTERNAL).split(":")
    if len(parts) == 1 and text.startswith("/") and text.strip("/"):
        return Volume("", text, "rw")
    source, target, mode = [*parts, "rw"][:3] if len(parts) >= 2 else ("", "", "")
    if len(parts) not in (2, 3) or not source or not target.startswith("/") or not target.strip("/"):
        why = not_filled_in(text) or "write SOURCE:/TARGET or SOURCE:/TARGET:ro"
        raise wrong("volume", f'"{text}" is not a volume; {why}')
    if not source.startswith("/") and not VOLUME_NAME.fullmatch(source):
        what = "is relative" if source[0] in ".~" else "is neither a path on the node nor the name of a volume"
        right = not_filled_in(source) or f"write /srv/...:{target} or a named volume data:{target}"
        raise wrong("volume", f'"{source}" {what}; {right}')
    _check_mode(mode, is_path=source.startswith("/"))
    return Volume(source, target, mode)


def _check_mode(mode: str, *, is_path: bool) -> None:
    """One word of each kind at the most, and of those that go with the source."""
    left = mode.split(",")
    for kind in MODES:
        found = [word for word in left if word in kind]
        if len(found) > 1:
            raise wrong("volume", f'"{mode}" says {" and ".join(found)}; use one of them')
        if found and ((kind is PROPAGATION and not is_path) or (found == ["nocopy"] and is_path)):
            raise wrong("volume", f'"{found[0]}" is for {"volumes" if is_path else "host paths"}; use ro or rw')
        left = [word for word in left if word not in kind]
    if left:
        raise wrong("volume", f'"{mode}" is not a mode of a volume; use ro or rw')

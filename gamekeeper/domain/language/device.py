"""Devices in Compose's spellings: files of the node, rules of the devices cgroup, and requests by capability."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator

from gamekeeper.domain.language.model import Model
from gamekeeper.domain.language.values import Pairs, Text, Texts, Whole, as_text, has_template, wrong

CDI = "cdi"  # the driver of Docker's that takes CDI names
RENDER_NODE = re.compile(r"/dev/dri/renderD\d+")
_PERMISSIONS = re.compile(r"[rwm]{1,3}")
_CDI = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*/[A-Za-z][A-Za-z0-9_-]*=[A-Za-z0-9][A-Za-z0-9_.:-]*")
_RULE = re.compile(r"[abc] (\d+|\*):(\d+|\*) [rwm]{1,3}")


class Device(Model):
    """The long form of a device."""

    source: Text
    target: Text | None = None
    permissions: Text | None = None

    def short(self) -> str:
        target = self.target or self.source
        return f"{self.source}:{target}:{self.permissions}" if self.permissions else f"{self.source}:{target}"


def read_device(value: Any) -> str:
    """The short form of an entry of ``devices``, checked where it holds no template."""
    text = Device.model_validate(value).short() if isinstance(value, dict) else as_text(value)
    if has_template(text) or is_cdi(text):
        return text
    parts = text.split(":")
    if len(parts) > 3 or not all(part.startswith("/") for part in parts[:2]):
        raise wrong(
            "device", f'"{text}" is not a device; write /dev/HOST, /dev/HOST:/dev/CONTAINER or VENDOR/CLASS=NAME'
        )
    if len(parts) == 3 and not _PERMISSIONS.fullmatch(parts[2]):
        raise wrong("device", f'"{parts[2]}" are no permissions of a device; use r, w and m')
    return text


def is_cdi(text: str) -> bool:
    """True for a device by its name of the Container Device Interface, as ``nvidia.com/gpu=0``."""
    return _CDI.fullmatch(text) is not None


def read_rule(value: Any) -> str:
    """A rule of ``device_cgroup_rules``, as the kernel spells them."""
    text = " ".join(as_text(value).split())
    if not has_template(text) and not _RULE.fullmatch(text):
        raise wrong(
            "device", f'"{text}" is not a rule of the devices cgroup; write TYPE MAJOR:MINOR rwm as "c 13:* rmw"'
        )
    return text


class DeviceReservation(Model):
    """Devices by capability; only GPUs through Docker's device requests."""

    capabilities: Texts
    driver: Text | None = None
    count: Whole | Literal["all"] | None = None
    device_ids: Texts | None = None
    options: Pairs = Field(default_factory=dict, exclude_if=lambda value: not value)

    @field_validator("count", mode="before")
    @classmethod
    def _count_all(cls, value: Any) -> Any:
        return "all" if value is None or str(value) == "all" else value


def _gpus(value: Any) -> Any:
    if isinstance(value, str) and value == "all":
        return [{"capabilities": ["gpu"], "count": "all"}]
    if not isinstance(value, list):
        raise wrong("gpus", "write all, or a list as [{count: 1}]")
    return [{"capabilities": ["gpu"]} | item if isinstance(item, dict) else item for item in value]


Gpus = Annotated[
    list[DeviceReservation],
    BeforeValidator(_gpus),
    WithJsonSchema({"anyOf": [{"const": "all"}, {"type": "array", "items": {"type": "object"}}]}),
]

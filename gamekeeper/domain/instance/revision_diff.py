"""The changes between two revisions of an instance, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.language.given_port import VARIABLE

MAX_SHOWN = 60


def changes(old: InstanceSpec, new: InstanceSpec) -> list[str]:
    """A line for each key that differs: ``image: a:1 -> a:2``, ``environment.SV_MAP added``."""
    return list(_of_mappings("", _plain(old), _plain(new)))


def _plain(spec: InstanceSpec) -> dict[str, Any]:
    """The spec with the keys of the container beside the others, as people think of it."""
    fields = spec.model_dump(mode="json")
    container = fields.pop("container")
    del fields["asked_ports"]  # the ports tell it
    del container["restart"]  # which is the instance's own
    given = container["environment"]  # its ports tell already what was given
    container["environment"] = {name: text for name, text in given.items() if not name.startswith(VARIABLE)}
    return {**container, **fields}


def _of_mappings(path: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    for key in [*old, *(key for key in new if key not in old)]:
        here = f"{path}.{key}" if path else key
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _of_mappings(here, before, after)
        elif isinstance(before, list) and isinstance(after, list):
            yield from (f"{here}: {_shown(item)} removed" for item in before if item not in after)
            yield from (f"{here}: {_shown(item)} added" for item in after if item not in before)
            if sorted(map(str, before)) == sorted(map(str, after)):
                yield f"{here}: in another order"
        elif before is None:
            yield f"{here} added" if path else f"{here}: {_shown(after)}"
        elif after is None:
            yield f"{here} removed"
        else:
            yield f"{here}: {_shown(before)} -> {_shown(after)}"


def _shown(value: Any) -> str:
    text = str(value).replace("\n", " ")
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"

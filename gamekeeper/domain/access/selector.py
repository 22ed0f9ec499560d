"""Selectors: the objects that a grant is about.

A selector names a kind, or all kinds, and parts that narrow it down: ids, labels, or "one's own". An object is meant
when every part that is given fits; a selector without parts means all of its kind. Each part is one that SQL can say as
well, so that lists are cut down before they are paged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gamekeeper.domain.access.target import Target
from gamekeeper.domain.access.verb import ObjectKind
from gamekeeper.errors import InvalidError

ALL = "all"  # the kinds of a selector that names none
ANY_END = "*"  # at the end of an id
MAX_IDS = 50
MAX_LABELS = 16
MAX_ID = 63
MAX_LABEL_KEY = 63
MAX_LABEL_VALUE = 255


@dataclass(frozen=True)
class Selector:
    """``kind`` is None for all kinds. An id that ends with ``*`` stands for all that begin so; every label has to fit.
    ``is_own`` means the instances that the holder of the grant made."""

    kind: ObjectKind | None = None
    ids: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    is_own: bool = False

    @property
    def is_whole(self) -> bool:
        """True for all objects of the kind."""
        return not (self.ids or self.labels or self.is_own)

    def is_about(self, kind: ObjectKind) -> bool:
        return self.kind in (None, kind)

    def fits(self, target: Target, holder: str) -> bool:
        return (
            self.is_about(target.kind)
            and (not self.ids or any(id_fits(given, target.id) for given in self.ids))
            and all(target.labels.get(key) == value for key, value in self.labels)
            and (not self.is_own or (bool(holder) and target.owner == holder))
        )

    def includes(self, other: Selector) -> bool:
        """True when this one means every object that ``other`` means, whoever holds ``other``. What somebody else
        calls their own is not one's own."""
        return (
            self.kind in (None, other.kind)
            and not self.is_own
            and (not self.ids or _narrower(other.ids, self.ids))
            and set(self.labels) <= set(other.labels)
        )

    def __str__(self) -> str:
        parts = [*self.ids, *(f"{key}={value}" for key, value in self.labels), *(["one's own"] if self.is_own else [])]
        kind = self.kind.value if self.kind is not None else ALL
        return f"{kind} {', '.join(parts)}" if parts else ("everything" if self.kind is None else f"every {kind}")


def id_fits(given: str, found: str) -> bool:
    """Whole names are compared whole: nothing that only begins like an id is taken for it."""
    return found.startswith(given[:-1]) if given.endswith(ANY_END) else found == given


def _narrower(ids: Sequence[str], than: Sequence[str]) -> bool:
    return bool(ids) and all(any(id_fits(wide, narrow) for wide in than) for narrow in ids)


def make_selector(
    kind: ObjectKind | None, ids: Sequence[str], labels: Mapping[str, str], *, is_own: bool = False
) -> Selector:
    """A selector of a user. Raises InvalidError for one that could mean nothing, or that no list could be cut by."""
    if len(ids) > MAX_IDS or len(labels) > MAX_LABELS:
        raise InvalidError(
            f"a selector has {MAX_IDS} ids and {MAX_LABELS} labels at most",
            hint="give the objects a label of their own",
        )
    if kind is ObjectKind.SERVER and (ids or labels):
        raise InvalidError("there is one server, which has no id and no labels", hint="leave ids and labels out")
    if kind is None and ids:
        raise InvalidError("ids belong to one kind of object", hint="name it: node, pipeline or instance")
    if is_own and kind is not ObjectKind.INSTANCE:
        raise InvalidError("instances alone have an owner", hint="make it a grant on instances")
    for given in ids:
        _check_id(given)
    for key, value in labels.items():
        _check_label(key, value)
    return Selector(kind, tuple(dict.fromkeys(ids)), tuple(sorted(labels.items())), is_own)


def _check_id(given: str) -> None:
    name = given.removesuffix(ANY_END)
    if ANY_END in name or len(given) > MAX_ID or not (name or given == ANY_END):
        message = f'"{given[:MAX_ID]}" is no id, and no beginning of one'
        raise InvalidError(message, hint=f'write it whole, or its beginning with one "{ANY_END}" behind it: eu-*')
    if given == ANY_END:
        raise InvalidError(f'"{ANY_END}" names all ids', hint="leave the ids out")
    if not name.isascii() or not all(letter.isalnum() or letter in "._-" for letter in name):
        raise InvalidError(f'no id is like "{given}"', hint="ids have letters, digits, dots, dashes and underscores")


def _check_label(key: str, value: str) -> None:
    if not 1 <= len(key) <= MAX_LABEL_KEY or len(value) > MAX_LABEL_VALUE:
        message = f'label "{key[:MAX_LABEL_KEY]}": keys have 1 to {MAX_LABEL_KEY} characters, values up to'
        raise InvalidError(f"{message} {MAX_LABEL_VALUE}")
    if any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in key + value):
        shown = key.encode(errors="replace").decode().replace("\0", "�")
        raise InvalidError(f'label "{shown}" holds a character that is no text')

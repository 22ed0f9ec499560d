"""Items of an answer, made of rows: a row that this version can't show is told once and hides no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from gamekeeper.errors import UnreadableError
from gamekeeper.supervised import Supervised

Row = TypeVar("Row")
Item = TypeVar("Item")


def shown_item(row: Row, show: Callable[[Row], Item], what: str) -> Item:
    """One row as ``show`` makes it. Raises UnreadableError that names ``what``."""
    try:
        return show(row)
    except ValueError as error:
        raise UnreadableError(what, error) from error


def shown_items(odd_rows: Supervised, rows: Iterable[Row], show: Callable[[Row], Item], key: str = "id") -> list[Item]:
    """Each row as ``show`` makes it; ``key`` is the field that names a row."""
    items: list[Item] = []
    for row in rows:
        table: Any = getattr(row, "__tablename__", "row")
        with odd_rows.row(f"{table} {getattr(row, key)}"):
            items.append(show(row))
    return items

"""Reads what can be read of a list: one odd row, of a newer version or torn by a broken disk, hides no other.

A row is left out and told once. Lists that decide what is done to a run or a node are read whole, or not at all.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar

from sqlalchemy import Row as Columns
from sqlalchemy.orm import InstrumentedAttribute
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from gamekeeper.errors import UnreadableError
from gamekeeper.supervised import Supervised

ODD_ROWS = "odd_rows"  # of a session's info
Row = TypeVar("Row")


def column(attribute: Any) -> InstrumentedAttribute[Any]:
    """A model's field as the column that it is, which its annotation hides."""
    assert isinstance(attribute, InstrumentedAttribute)
    return attribute


async def one_readable(reading: Awaitable[Row], what: str) -> Row:
    """The row, or None, that ``reading`` gives. Raises UnreadableError that names ``what``."""
    try:
        return await reading
    except (ValueError, TypeError) as error:
        raise UnreadableError(what, error) from error


async def readable(
    session: AsyncSession, query: SelectOfScalar[Row], key: InstrumentedAttribute[Any]
) -> tuple[list[Row], list[Any]]:
    """The rows that can be read, and the keys of all. ``key`` is a column that tells the query's rows apart. A query of
    several columns has it among them."""
    try:
        rows = list((await session.exec(query)).all())
        return rows, [getattr(row, key.key) for row in rows]
    except (ValueError, TypeError):
        only_keys: Any = query.with_only_columns(key)
        keys: list[Any] = [_scalar(found) for found in (await session.exec(only_keys)).all()]
    odd: Supervised = session.info[ODD_ROWS]
    rows = []
    for found in keys:
        try:
            rows += (await session.exec(query.where(key == found))).all()
        except (ValueError, TypeError) as error:
            odd.skipped(f"{key.class_.__tablename__} {found}", error)
    return rows, keys


def _scalar(found: Any) -> Any:
    return found[0] if isinstance(found, Columns) else found

"""Cursor pagination: an opaque cursor that names the last row seen, so that pages neither skip nor repeat."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy.orm import InstrumentedAttribute
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from gamekeeper.db.readable import readable
from gamekeeper.errors import InvalidError

Row = TypeVar("Row")


@dataclass(frozen=True)
class Page(Generic[Row]):
    """``next_cursor`` is None on the last page."""

    rows: Sequence[Row]
    next_cursor: str | None


def encode_cursor(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> str:
    """Raises InvalidError for a cursor that this server did not make."""
    try:
        padded = (cursor + "=" * (-len(cursor) % 4)).encode()
        key = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        if not key.isprintable():
            raise ValueError(key)
        return key
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise InvalidError(f'"{cursor[:40]}" is not a cursor', hint="use the next_cursor of the page before") from error


async def read_page(
    session: AsyncSession, query: SelectOfScalar[Row], key: InstrumentedAttribute[Any], limit: int
) -> Page[Row]:
    """A page in the order of ``key``, without the rows that can't be read."""
    rows, keys = await readable(session, query.limit(limit + 1), key)
    if len(keys) <= limit:
        return Page(rows, None)
    return Page([row for row in rows if getattr(row, key.key) != keys[limit]], encode_cursor(str(keys[limit - 1])))


def cut_page(rows: Sequence[Row], limit: int, key: Callable[[Row], str]) -> Page[Row]:
    """``rows`` holds one row more than ``limit`` when there is a next page."""
    more = len(rows) > limit
    shown = rows[:limit]
    return Page(shown, encode_cursor(key(shown[-1])) if more else None)

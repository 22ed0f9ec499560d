"""SQL of API keys."""

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models import ApiKeyRow


class KeyRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, key_hash: str) -> ApiKeyRow | None:
        return await self._session.get(ApiKeyRow, key_hash)

    async def by_name(self, name: str) -> list[ApiKeyRow]:
        return list((await self._session.exec(select(ApiKeyRow).where(ApiKeyRow.name == name))).all())

    def add(self, row: ApiKeyRow) -> None:
        self._session.add(row)

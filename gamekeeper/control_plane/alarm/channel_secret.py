"""The secret part of a channel, sealed by envelope as values of secrets are: the api seals it, and whoever sends opens
it."""

from __future__ import annotations

from gamekeeper.db.models import ChannelRow
from gamekeeper.domain.alarm.channel import ChannelSecret
from gamekeeper.domain.secret.value import SecretValue
from gamekeeper.ports.master_keys import MasterKeys, WrappedKey
from gamekeeper.sealing.envelope import Place, Sealed, seal, unseal


def channel_place(row: ChannelRow) -> Place:
    """No secret has a space in its name, so none can stand in a channel's place."""
    return Place(row.id, f"channel {row.name}", 0)


def sealed_of(row: ChannelRow) -> Sealed:
    return Sealed(WrappedKey(row.key_id, row.wrapped_key), row.data)


async def seal_channel(keys: MasterKeys, row: ChannelRow, secret: ChannelSecret) -> None:
    """Raises ConflictError where there is no master key."""
    sealed = await seal(keys, secret.model_dump_json().encode(), channel_place(row))
    row.key_id, row.wrapped_key, row.data = sealed.key.key_id, sealed.key.data, sealed.data


async def open_channel(keys: MasterKeys, row: ChannelRow) -> ChannelSecret:
    """Raises ConflictError that says what to do for a master key that is not there."""
    plain: SecretValue = await unseal(keys, sealed_of(row), channel_place(row))
    return ChannelSecret.model_validate_json(bytes(plain))

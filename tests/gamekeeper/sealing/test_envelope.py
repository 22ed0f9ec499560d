"""A sealed value opens in its own place alone, under its own keys."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gamekeeper.errors import ConflictError
from gamekeeper.ports.master_keys import MasterKeys, WrappedKey
from gamekeeper.sealing.envelope import Place, Sealed, rewrap, seal, unseal
from gamekeeper.sealing.key_file import KeyFile

PLACE = Place("5ec2e7", "s3-key", 3)
VALUE = b"canary-7f3a\x00\xff" * 10


@pytest.fixture
async def keys(tmp_path: Path) -> MasterKeys:
    made = KeyFile(tmp_path / "secrets.key")
    await made.ensure(())
    return made


async def test_there_and_back(keys: MasterKeys) -> None:
    sealed = await seal(keys, VALUE, PLACE)
    assert VALUE not in sealed.data + sealed.key.data
    opened = await unseal(keys, sealed, PLACE)
    assert opened == VALUE
    assert "canary" not in repr(opened)


async def test_the_same_value_is_never_sealed_alike(keys: MasterKeys) -> None:
    first, second = await seal(keys, VALUE, PLACE), await seal(keys, VALUE, PLACE)
    assert first.data != second.data
    assert first.key.data != second.key.data


@pytest.mark.parametrize(
    "other",
    [replace(PLACE, name="s3-kez"), replace(PLACE, number=4), replace(PLACE, secret_id="other")],
    ids=["name", "number", "secret"],
)
async def test_a_row_in_the_place_of_another_does_not_open(keys: MasterKeys, other: Place) -> None:
    sealed = await seal(keys, VALUE, PLACE)
    with pytest.raises(ConflictError, match="does not open it"):
        await unseal(keys, sealed, other)


async def test_places_that_read_alike_differ(keys: MasterKeys) -> None:
    sealed = await seal(keys, VALUE, Place("a", "b1", 1))
    with pytest.raises(ConflictError):
        await unseal(keys, sealed, Place("a", "b", 11))


async def test_the_value_of_another_version_does_not_open_by_this_ones_key(keys: MasterKeys) -> None:
    first, other = await seal(keys, VALUE, PLACE), await seal(keys, VALUE, replace(PLACE, number=2))
    with pytest.raises(ConflictError, match="was changed, or belongs"):
        await unseal(keys, Sealed(first.key, other.data), PLACE)


@pytest.mark.parametrize("data", [b"", b"short", b"\0" * 200])
async def test_bytes_that_were_changed_do_not_open(keys: MasterKeys, data: bytes) -> None:
    sealed = await seal(keys, VALUE, PLACE)
    with pytest.raises(ConflictError):
        await unseal(keys, replace(sealed, data=data), PLACE)
    with pytest.raises(ConflictError):
        await unseal(keys, replace(sealed, key=replace(sealed.key, data=data)), PLACE)


async def test_the_id_of_the_master_key_is_part_of_what_is_wrapped(keys: MasterKeys) -> None:
    sealed = await seal(keys, VALUE, PLACE)
    await keys.rotate()
    other = WrappedKey(await keys.current(), sealed.key.data)
    with pytest.raises(ConflictError, match="does not open it"):
        await unseal(keys, replace(sealed, key=other), PLACE)


async def test_a_rewrapped_key_opens_the_same_bytes(keys: MasterKeys) -> None:
    sealed = await seal(keys, VALUE, PLACE)
    new = await keys.rotate()
    wrapped = await rewrap(keys, sealed.key, PLACE)
    assert wrapped.key_id == new != sealed.key.key_id
    assert await unseal(keys, Sealed(wrapped, sealed.data), PLACE) == VALUE
    await keys.keep_only({new})
    assert await unseal(keys, Sealed(wrapped, sealed.data), PLACE) == VALUE
    with pytest.raises(ConflictError, match="is not in"):
        await unseal(keys, sealed, PLACE)

"""Words of people that Temporal keeps beside payloads, as a schedule's note: written so that they stay encrypted."""

from __future__ import annotations

import base64
import binascii

from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload
from temporalio.client import Client

from gamekeeper.errors import GamekeeperError
from gamekeeper.temporal.sealed_payloads import is_sealed

PREFIX = "encrypted:"


async def sealed_words(client: Client, words: str) -> str:
    """``words`` as the client's codec writes them; as they are where it encrypts nothing."""
    [payload] = await client.data_converter.encode([words])
    return PREFIX + base64.b64encode(payload.SerializeToString()).decode() if is_sealed(payload) else words


async def opened_words(client: Client, words: str) -> str:
    """The words of before, or some that say why they can't be read."""
    if not words.startswith(PREFIX):
        return words
    try:
        payload = Payload.FromString(base64.b64decode(words.removeprefix(PREFIX), validate=True))
        opened: list[str] = await client.data_converter.decode([payload], [str])
        return opened[0]
    except GamekeeperError as error:
        return f"(it can't be read: {error.message})"
    except (binascii.Error, DecodeError, RuntimeError, ValueError, IndexError):
        return words

"""Keys and tokens: 256 random bits, of which only the SHA-256 is ever stored.

A fast hash is right here: there is nothing to guess in 256 random bits, so a slow one would only cost us time.
"""

import hashlib
import re
import secrets

API_KEY_PREFIX = "gk_"
NODE_KEY_PREFIX = "gkn_"
TOKEN_PREFIX = "gke_"
JOIN_KEY_PREFIX = "gkj_"
PIN_MARK = "."  # between the secret of a token or join key and the pin of the root that its server must show


def new_key(prefix: str) -> str:
    return prefix + secrets.token_urlsafe(32)


def new_api_key(key_id: str) -> str:
    """Its public id stands in it, so that a key that was found somewhere can be revoked by it."""
    return new_key(f"{API_KEY_PREFIX}{key_id}_")


def is_api_key(text: str) -> bool:
    return text.startswith(API_KEY_PREFIX)


def api_key_id(key: str) -> str:
    """The public id that stands in a key; empty for one of a start of the api, which has none."""
    found = re.match(rf"{API_KEY_PREFIX}([0-9a-f]{{8}})_", key)
    return found.group(1) if found else ""


def hash_key(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def secret_of(token: str) -> str:
    """The part of a token or join key that is secret: all before the pin."""
    return token.partition(PIN_MARK)[0]


def is_join_key(token: str) -> bool:
    return token.startswith(JOIN_KEY_PREFIX)

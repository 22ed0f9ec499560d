"""Keys and tokens: 256 random bits, of which only the SHA-256 is ever stored.

A fast hash is right here: there is nothing to guess in 256 random bits, so a slow one would only cost us time.
"""

import hashlib
import secrets

API_KEY_PREFIX = "gk_"
NODE_KEY_PREFIX = "gkn_"
TOKEN_PREFIX = "gke_"
JOIN_KEY_PREFIX = "gkj_"
PIN_MARK = "."  # between the secret of a token or join key and the pin of the root that its server must show


def new_key(prefix: str) -> str:
    return prefix + secrets.token_urlsafe(32)


def hash_key(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def secret_of(token: str) -> str:
    """The part of a token or join key that is secret: all before the pin."""
    return token.partition(PIN_MARK)[0]


def is_join_key(token: str) -> bool:
    return token.startswith(JOIN_KEY_PREFIX)

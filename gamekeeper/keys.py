"""Keys and tokens: 256 random bits, of which only the SHA-256 is ever stored.

A fast hash is right here: there is nothing to guess in 256 random bits, so a slow one would only cost us time.
"""

import hashlib
import secrets

API_KEY_PREFIX = "gk_"
NODE_KEY_PREFIX = "gkn_"
TOKEN_PREFIX = "gke_"
PIN_MARK = "."  # between an enrolment token's secret and the pin of the root that its server must show


def new_key(prefix: str) -> str:
    return prefix + secrets.token_urlsafe(32)


def hash_key(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()

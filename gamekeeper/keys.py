"""Keys and tokens: 256 random bits, of which only the SHA-256 is ever stored.

A fast hash is right here: there is nothing to guess in 256 random bits, so a slow one would only cost us time.
"""

import hashlib
import hmac
import re
import secrets

API_KEY_PREFIX = "gk_"
NODE_KEY_PREFIX = "gkn_"
TOKEN_PREFIX = "gke_"
JOIN_KEY_PREFIX = "gkj_"
SESSION_PREFIX = "gks_"
SIGN_IN_LINK_PREFIX = "gkl_"
PIN_MARK = "."  # between the secret of a token or join key and the pin of the root that its server must show

SHORTEST_KEY, FEWEST_DIFFERENT = 32, 8  # of one that somebody has chosen; 32 random hexadecimal digits have about 14


def new_key(prefix: str) -> str:
    return prefix + secrets.token_urlsafe(32)


def new_api_key(key_id: str) -> str:
    """Its public id stands in it, so that a key that was found somewhere can be revoked by it."""
    return new_key(f"{API_KEY_PREFIX}{key_id}_")


def is_api_key(text: str) -> bool:
    return text.startswith(API_KEY_PREFIX)


def is_session_token(text: str) -> bool:
    return text.startswith(SESSION_PREFIX)


def is_secret(text: str) -> bool:
    """True for what looks like a key or a token of any kind."""
    prefixes = (API_KEY_PREFIX, NODE_KEY_PREFIX, TOKEN_PREFIX, JOIN_KEY_PREFIX, SESSION_PREFIX, SIGN_IN_LINK_PREFIX)
    return text.lower().startswith(prefixes)


def weakness(key: str) -> str:
    """The fault of a key that somebody has chosen, in words that follow its name; empty for a sound one."""
    if len(key) < SHORTEST_KEY:
        return f"is shorter than {SHORTEST_KEY} characters"
    if not all("!" <= character <= "~" for character in key):
        return "holds a space or a character that no header can carry"
    return "could be guessed: it has few different characters" if len(set(key)) < FEWEST_DIFFERENT else ""


def api_key_id(key: str) -> str:
    """The public id that stands in a key; empty for one of a start of the api, which has none."""
    found = re.match(rf"{API_KEY_PREFIX}([0-9a-f]{{8}})_", key)
    return found.group(1) if found else ""


def csrf_token(session_token: str) -> str:
    """The token that a page sends beside the cookie: whoever can't read the session's token can't have it."""
    return hmac.new(session_token.encode(), b"csrf", hashlib.sha256).hexdigest()


def hash_key(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def secret_of(token: str) -> str:
    """The part of a token or join key that is secret: all before the pin."""
    return token.partition(PIN_MARK)[0]


def is_join_key(token: str) -> bool:
    return token.startswith(JOIN_KEY_PREFIX)

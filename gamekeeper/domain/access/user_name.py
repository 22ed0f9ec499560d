"""Names of users, in any script. No two of them may be taken for each other.

A name is one word as RFC 8265 allows it (UsernameCasePreserved), in NFC. Two names are one when they differ by capitals
or by compatibility forms alone, and look like one when each letter of one is confusable with that of the other by
Unicode's own table (UTS 39).
"""

from __future__ import annotations

import unicodedata
from functools import cache

from gamekeeper.keys import is_secret

MAX_NAME = 63
_INVISIBLE = "\u200e\u200f"  # direction marks, which the table puts around letters of some scripts
_ROUNDS = 4  # a letter stands for others, which stand for others: few are deeper than two


def user_name(text: str) -> str:
    """The name in the form in which it is kept. Raises ValueError, which says what is wrong with it."""
    from precis_i18n import get_profile

    if len(text) > MAX_NAME * 4:
        raise ValueError(f"a name has {MAX_NAME} characters at most")
    if is_secret(text):
        raise ValueError("a name does not begin like a key: names are shown to everybody, and keys are not")
    try:
        name: str = get_profile("UsernameCasePreserved").enforce(text)
    except UnicodeEncodeError as error:
        raise ValueError(
            f"a name is one word of letters, digits and signs{_but(text[error.start : error.end])}"
        ) from error
    if len(name) > MAX_NAME:
        raise ValueError(f"a name has {MAX_NAME} characters at most")
    if not (unicodedata.category(name[0])[0] in "LN" and all(letter not in name for letter in ":/\\\"'")):
        raise ValueError("a name begins with a letter or a digit, and has no colon, slash or quote")
    return name


def _but(refused: str) -> str:
    """Controls are told by their number alone."""
    if not refused:
        return ""
    shown = f'"{refused[0]}" ' if refused[0].isprintable() else ""
    return f", and {shown}U+{ord(refused[0]):04X} may not be in it"


def name_key(name: str) -> str:
    """The same for all names that are one name. Anything may be asked for."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def name_looks(name: str) -> str:
    """The same for all names that look like one."""
    looks = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", name))
    for _ in range(_ROUNDS):
        plain = "".join(_stands_for(letter) for letter in looks).casefold()
        if plain == looks:
            break
        looks = plain
    return looks


@cache
def _stands_for(letter: str) -> str:
    """One for all letters that are confusable with each other: the longest, as "rn" for "m", else the first."""
    alike = {letter}
    for _ in range(2):  # by way of the one that all of them are like
        alike |= {found for known in alike for found in _confusable_with(known)}
    return min(alike, key=lambda found: (-len(found), found))


def _confusable_with(letter: str) -> list[str]:
    from confusable_homoglyphs.confusables import confusables_data

    return [item["c"].strip(_INVISIBLE) for item in confusables_data.get(letter, ())]

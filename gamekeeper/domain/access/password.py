"""Passwords that users choose: long ones, that nobody guesses first.

No rule asks for capitals or signs: they make passwords worse to remember, and no harder to guess.
"""

from __future__ import annotations

import unicodedata

SHORTEST, MAX_BYTES = 10, 1024
# The most common ones of leaked lists that are long enough, and what people make of this product's own words.
_COMMON = frozenset(
    """
    0987654321 1122334455 1111111111 0000000000 1234512345 1234554321 12345678910 1234567890 12345678901 123456789a
    123456789q 1234567891 123456789123 1234567899 1357924680 147258369 1472583690 1q2w3e4r5t 1q2w3e4r5t6y 1qaz2wsx3edc
    1qazxsw23edc 9876543210 a123456789 aa12345678 abc123456789 abcd123456 abcdefghij abcdefghijk abcd1234567 admin12345
    admin123456 administrator adminadmin asdfghjkl1 asdfghjkl; asdfasdfasdf asdf1234567 baseball123 basketball
    basketball1 blink182blink changeme123 changeme1234 chocolate1 computer123 correcthorsebatterystaple dragon123456
    football123 gamekeeper gamekeeper1 gamekeeper123 gameserver gameserver1 hello12345 helloworld iloveyou12 iloveyou123
    iloveyou1234 jordan2323 letmein123 letmein1234 liverpool1 manchester michael123 minecraft1 minecraft123 monkey12345
    motdepasse mynoob12345 passw0rd123 password01 password10 password11 password12 password123 password1234 password!1
    password12345 passwordpassword p@ssw0rd123 p@ssword123 princess123 q1w2e3r4t5 q1w2e3r4t5y6 qazwsxedcrfv qwer123456
    qwerasdfzxcv qwerty1234 qwerty12345 qwerty123456 qwertyuiop qwertyuiop1 qwertyuiop123 qwertyuiop[] qwertyqwerty
    rootroot123 secret12345 sunshine123 superman123 temppassword testtest12 testpassword trustno1trustno1 unbelievable
    welcome123 welcome1234 welcome12345 whatever123 zaq12wsxcde3 zxcvbnm123 zxcvbnm1234 zxcvbnmasd
    """.split()
)


def kept_password(text: str) -> str:
    """The same for one password however a keyboard composes its letters. Anything may be asked for."""
    return unicodedata.normalize("NFC", text)


def check_password(text: str, name: str) -> None:
    """Raises ValueError that says why the password is none for the user of this name. It does not repeat it."""
    password = kept_password(text)
    if len(password) < SHORTEST:
        raise ValueError(f"a password has {SHORTEST} characters at least")
    if len(password.encode()) > MAX_BYTES:
        raise ValueError(f"a password has {MAX_BYTES} bytes at most")
    plain = password.casefold()
    if plain in _COMMON or len(set(plain)) < 4:
        raise ValueError("this password is among the first that anybody tries")
    if plain.replace(name.casefold(), "").strip("0123456789!.-_ ") == "":
        raise ValueError("a password is not the name of its user, with or without a number")

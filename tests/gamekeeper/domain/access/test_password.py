"""Passwords that users may choose."""

from __future__ import annotations

import pytest

from gamekeeper.domain.access.password import check_password, kept_password


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "a longer word",
        "пароль из слов",
        "0x6b0b067a",
        "ü" * 3 + "abcdefgh",
        "x" * 1000 + "abc",
    ],
)
def test_a_long_password_is_one(password: str) -> None:
    check_password(password, "mia")


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("", "10 characters"),
        ("123456789", "10 characters"),
        ("x" * 1020 + "abcde", "1024 bytes"),
        ("ü" * 600 + "abc", "1024 bytes"),
        ("qwertyuiop", "first that anybody tries"),
        ("Password123", "first that anybody tries"),
        ("1234567890", "first that anybody tries"),
        ("aaaaaaaaaaaa", "first that anybody tries"),
        ("Mia-Mueller", "name of its user"),
        ("mia-mueller", "name of its user"),
        ("mia-mueller123!", "name of its user"),
    ],
)
def test_what_is_guessed_first_is_none(password: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as refused:
        check_password(password, "mia-mueller")
    assert password not in str(refused.value) or not password


def test_a_password_is_the_same_however_it_is_composed() -> None:
    assert kept_password("Zoe\u0308") == kept_password("Zo\u00eb")

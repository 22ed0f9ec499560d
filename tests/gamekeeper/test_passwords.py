"""Hashes of passwords."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher

from gamekeeper.domain.access.password import check_password
from gamekeeper.passwords import hash_password, is_outdated, is_password, make_password


def test_a_hash_is_of_one_password() -> None:
    made = hash_password("correct horse battery")
    assert made.startswith("$argon2id$v=19$m=65536,")
    assert "horse" not in made
    assert is_password("correct horse battery", made)
    assert not is_password("correct horse batterY", made)
    assert not is_password("", made)


@pytest.mark.parametrize("kept", ["", "nothing", "$argon2id$v=19$m=65536", "$2b$12$abc"])
def test_what_is_no_hash_has_no_password(kept: str) -> None:
    assert not is_password("correct horse battery", kept)


def test_a_cheaper_hash_is_outdated() -> None:
    assert is_outdated(PasswordHasher(time_cost=1, memory_cost=1024).hash("x"))
    assert not is_outdated(hash_password("x"))


def test_a_password_that_is_made_may_be_chosen() -> None:
    made = {make_password() for _ in range(100)}
    assert len(made) == 100
    for password in made:
        check_password(password, "admin")

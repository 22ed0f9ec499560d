"""Names of users: any script, one form, and none that is taken for another one."""

from __future__ import annotations

import unicodedata

import pytest

from gamekeeper.domain.access.user_name import name_key, name_looks, user_name


@pytest.mark.parametrize(
    "name",
    [
        "admin",
        "mia",
        "a",
        "7",
        "a.b-c_d",
        "mia@example.org",
        "Zo\u00eb",
        "иван",
        "李明",
        "محمد",
        "אבג",
        "क्षत्रिय",
        "ไทย",
        "한국",
    ],
)
def test_a_name_is_a_word_of_any_script(name: str) -> None:
    assert user_name(name) == unicodedata.normalize("NFC", name)


def test_a_name_is_kept_composed() -> None:
    assert user_name("Zoe\u0308") == "Zo\u00eb"
    assert user_name("\uff41\uff44min") == "admin"


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a b",
        "a\n",
        "a\x00b",
        "a\x1b[31m",
        "a\u200bb",  # zero width space
        "a\u200db",  # joiner
        "\u202enimda",  # right-to-left override
        "\ufeffadmin",
        "a\u00adb",  # soft hyphen
        "a\u2028b",
        "\ud800",
        "a:b",
        "a/b",
        "a\\b",
        'a"b',
        "-a",
        "@a",
        "\u0301a",  # begins with a mark
        "\ufb01x",  # ligature
        "\U0001f44d",
        "gk_x",
        "GKS_x",
        "x" * 64,
        "x" * 100_000,
    ],
)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name") as refused:
        user_name(name)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("admin", "Admin"),
        ("admin", "ADMIN"),
        ("straße", "STRASSE"),
        ("иван", "ИВАН"),
        ("Zoë", "Zoe\u0308"),
        ("\uff41dmin", "admin"),
    ],
)
def test_names_that_are_one(name: str, other: str) -> None:
    assert name_key(name) == name_key(other)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("admin", "\u0430dmin"),  # Cyrillic a
        ("admin", "adm\u0456n"),  # Ukrainian i
        ("admin", "adrnin"),
        ("paul", "pauI"),
        ("paul", "pau1"),
        ("bob", "b\u03bfb"),  # Greek omicron
        ("MAX", "\u041c\u0410\u0425"),
        ("scope", "\u0455\u0441\u043e\u0440\u0435"),
    ],
)
def test_names_that_look_like_one(name: str, other: str) -> None:
    assert name_key(name) != name_key(other)
    assert name_looks(name) == name_looks(other)


@pytest.mark.parametrize(
    ("name", "other"), [("mia", "max"), ("bob", "bob2"), ("李", "王"), ("paul", "paula"), ("a", "á")]
)
def test_names_that_differ(name: str, other: str) -> None:
    assert name_key(name) != name_key(other)
    assert name_looks(name) != name_looks(other)

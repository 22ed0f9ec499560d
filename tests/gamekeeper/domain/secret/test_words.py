"""Names of secrets, values that nothing prints, references, and a user in words."""

from __future__ import annotations

import pickle
import traceback

import pytest
from pydantic import ValidationError

from gamekeeper.domain.secret.name import name_trouble
from gamekeeper.domain.secret.reference import FileReference, Reference, VaultReference
from gamekeeper.domain.secret.use import SecretUse, UserKind
from gamekeeper.domain.secret.value import SecretValue
from gamekeeper.domain.secret.version import VersionState, version_state


@pytest.mark.parametrize("name", ["a", "s3-key", "db_password", "tls.key", "7", "a" * 63])
def test_names(name: str) -> None:
    assert name_trouble(name) == ""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "a secret has a name"),
        ("S3_KEY", 'try "s3_key"'),
        ("My Key", 'try "my-key"'),
        ("clé-privée", 'try "cle-privee"'),
        ("пароль", "may use a-z, 0-9"),
        ("密码", "may use a-z, 0-9"),
        ("../../etc/passwd", 'try "etc-passwd"'),
        ("-a", 'try "a"'),
        ("..", "begins with a letter or a digit"),
        ("a\n", 'try "a"'),
        ("a\0b", 'try "a-b"'),
        ("\ud800", "may use a-z, 0-9"),
        ("a" * 64, "has more than 63 characters"),
    ],
)
def test_a_name_that_is_none_is_told_with_the_nearest_one(name: str, words: str) -> None:
    assert words in name_trouble(name)
    name_trouble(name).encode()


def test_a_value_is_bytes_that_nothing_prints() -> None:
    value = SecretValue(b"hunter2")
    assert value == b"hunter2"
    assert value.decode() == "hunter2"
    shown = [repr(value), str(value), f"{value}", f"{value:>20}", f"{value!r}", repr([value]), repr({"a": value})]
    assert [text for text in shown if "hunter2" in text] == []
    assert "hunter2" not in "".join(traceback.format_exception(ValueError(value)))
    assert repr(pickle.loads(pickle.dumps(value))) == repr(value)


@pytest.mark.parametrize("path", ["app", "team a/db.main", "a/b/c", "x@y+z=1:2"])
def test_paths(path: str) -> None:
    assert str(Reference(vault=VaultReference(path=path, key="k"))) == f"vault:{path}#k"
    assert str(Reference(file=FileReference(path=path))) == f"file:{path}"


@pytest.mark.parametrize(
    "path", ["", "/a", "a/", "a//b", "..", "a/../b", ".", "a/./b", "a%2f", "a?b", "a#b", "a\n", "ä"]
)
def test_a_path_that_leads_elsewhere_is_none(path: str) -> None:
    with pytest.raises(ValidationError):
        VaultReference(path=path, key="k")
    with pytest.raises(ValidationError):
        FileReference(path=path)


def test_a_reference_names_one_store() -> None:
    with pytest.raises(ValidationError, match="names one store"):
        Reference()
    with pytest.raises(ValidationError, match="names one store"):
        Reference(vault=VaultReference(path="a", key="b"), file=FileReference(path="a"))


def test_a_version_of_the_other_store_can_be_named() -> None:
    assert str(Reference(vault=VaultReference(path="a", key="b", version=3))) == "vault:a#b@3"


def test_users_in_words() -> None:
    step = SecretUse(UserKind.RUN_STEP, pipeline="deploy", step="build", node="gpu-1")
    assert str(step) == 'step "build" of pipeline "deploy" on node "gpu-1"'
    assert str(SecretUse(UserKind.RUN_STEP, pipeline="deploy")) == 'a step of pipeline "deploy"'
    assert str(SecretUse(UserKind.INSTANCE, instance="arena-1")) == 'instance "arena-1"'
    made = SecretUse(UserKind.INSTANCE, instance="arena-1", pipeline="deploy", node="n")
    assert str(made) == 'instance "arena-1" of pipeline "deploy" on node "n"'


def test_states_of_versions() -> None:
    states = [version_state(number, current=3, is_destroyed=number == 1) for number in (1, 2, 3)]
    assert states == [VersionState.DESTROYED, VersionState.EARLIER, VersionState.CURRENT]

"""The words that are kept with a container are judged as the container was, and hold nothing else of it."""

from __future__ import annotations

import pytest

from gamekeeper.domain.node.judged import Judged
from gamekeeper.domain.node.judgement import Subject
from gamekeeper.domain.node.policy import NodePolicy
from tests.factories import make_container
from tests.gamekeeper.domain.node.hostile import HOSTILE, Fields

SUBJECT = Subject("game", "", "key:eva")


@pytest.mark.parametrize("fields", HOSTILE, ids=str)
def test_it_is_refused_again_with_the_same_words(fields: Fields) -> None:
    container = make_container(**fields)
    kept = Judged.from_label(Judged(container, SUBJECT).to_label())
    assert kept is not None
    assert kept.subject == SUBJECT
    first = NodePolicy().violations(container, SUBJECT, on_node=True)
    assert NodePolicy().violations(kept.container, kept.subject, on_node=True) == first != []


def test_rules_know_who_asked() -> None:
    policy = NodePolicy.model_validate({"rules": [{"caller": "key:eva", "allow": {"privileged": True}}]})
    for subject, count in ((SUBJECT, 0), (Subject("game", "", "key:bob"), 1)):
        kept = Judged.from_label(Judged(make_container(privileged=True), subject).to_label())
        assert kept is not None
        assert len(policy.violations(kept.container, kept.subject, on_node=True)) == count


def test_nothing_is_kept_that_may_be_a_secret() -> None:
    container = make_container(
        environment={"TOKEN": "s3cret"},
        command=["--token", "s3cret"],
        entrypoint=["s3cret"],
        healthcheck={"test": "s3cret"},
    )
    assert "s3cret" not in Judged(container, SUBJECT).to_label()


@pytest.mark.parametrize("label", ["", "{}", "words", '{"container": {}, "subject": {}}'])
def test_a_container_without_such_words_has_none(label: str) -> None:
    assert Judged.from_label(label) is None

"""The policy file of a running agent: a change holds at once, and one that can't be read lets nothing start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent_worker.policy import PolicyFile
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.errors import InvalidError
from tests.factories import make_container

PRIVILEGED = make_container(privileged=True)


def forbidden(policy: PolicyFile) -> list[str]:
    return [str(violation) for violation in policy.violations(PRIVILEGED)]


def test_a_change_holds_from_the_next_container_on(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    policy = PolicyFile(path)
    assert forbidden(policy) == ["privileged is not in the policy"]
    path.write_text("privileged: true")
    assert forbidden(policy) == []
    assert json.loads(policy.model_dump_json())["privileged"] is True
    path.unlink()
    assert forbidden(policy) == ["privileged is not in the policy"]


def test_a_file_that_was_broken_lets_nothing_start_until_it_is_right(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("privileged: true")
    policy = PolicyFile(path)
    path.write_text("privilegd: false")
    for _ in range(2):
        assert len(forbidden(policy)) == 1
        assert f"{path}: " in forbidden(policy)[0]
        assert forbidden(policy)[0].endswith("nothing is started until it can be read")
    assert json.loads(policy.model_dump_json())["privileged"] is True  # as it was told
    path.write_text("privileged: true # again")
    assert forbidden(policy) == []


def test_the_log_tells_of_a_rule_that_meets_everything(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "policy.yaml"
    policy = PolicyFile(path)
    assert caplog.messages == []
    path.write_text("rules: [{allow: {host_network: true}}]")
    forbidden(policy)
    assert f"{path}, rules.0: the rule has no condition" in caplog.text


def test_an_agent_does_not_begin_with_a_broken_file(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("a: [")
    with pytest.raises(InvalidError, match="not valid YAML"):
        PolicyFile(tmp_path / "policy.yaml")


def test_other_rules_have_another_revision() -> None:
    assert NodePolicy().revision == NodePolicy(host_paths=["/srv"]).revision
    assert NodePolicy().revision != NodePolicy(privileged=True).revision
    assert len(NodePolicy().revision) == 8

"""The agent's settings and policy file: wrong ones stop it with the name of what is wrong."""

from pathlib import Path

import pytest

from agent_worker.policy import load_policy
from agent_worker.settings import AgentSettings
from gamekeeper.errors import InvalidError


def test_settings_from_the_environment() -> None:
    settings = AgentSettings.from_environment(
        {
            "GAMEKEEPER_AGENT_SERVER": "a:1",
            "GAMEKEEPER_AGENT_STATE_DIR": "/x",
            "GAMEKEEPER_AGENT_TOKEN": "",
            "OTHER": "y",
        }
    )
    assert (settings.server, settings.state_dir, settings.token) == ("a:1", Path("/x"), "")


def test_a_wrong_setting_is_named() -> None:
    with pytest.raises(InvalidError, match="GAMEKEEPER_AGENT_ENGINE"):
        AgentSettings.from_environment({"GAMEKEEPER_AGENT_ENGINE": "podman"})


def test_no_policy_file_is_the_strict_default(tmp_path: Path) -> None:
    assert load_policy(tmp_path / "none.yaml").host_paths == ["/srv"]
    assert load_policy(tmp_path / "none.yaml").privileged is False


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (b"privilegd: true", "privilegd"),
        (b"host_paths: 5", "host_paths"),
        (b"a: [", "not valid YAML"),
        (b"images: [\x90]", "not UTF-8 text \\(byte 9\\)"),
        (b"[" * 5000, "nested too deep"),
        (b"a: 2026-02-31", "not valid YAML"),
        (b"limits: {memory: '${{ args.memory }}'}", "limits.memory: .*filled in"),
    ],
)
def test_a_policy_file_that_cannot_be_read_stops_the_agent(tmp_path: Path, text: bytes, part: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_bytes(text)
    with pytest.raises(InvalidError, match=part) as caught:
        load_policy(path)
    assert str(path) in str(caught.value)

"""A policy file, checked and explained by the command."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gamekeeper.cli.app import build
from gamekeeper.errors import InvalidError

POLICY = """\
version: 2
host_paths: [/srv/games, "/srv/maps:ro"]
devices:
  - /dev/net/tun
rules:
  - image: ghcr.io/me/desktop
    allow: {privileged: true}
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return path


def call(*words: str) -> Result:
    return CliRunner().invoke(build(), ["agent", "policy", *words])


def test_a_right_file_is_told_with_its_revision(policy: Path) -> None:
    shown = call("check", str(policy))
    assert shown.exit_code == 0
    assert "is right; its revision is" in shown.output
    assert "- /dev/net/tun" in shown.output


@pytest.mark.parametrize("rule", ["allow: {privileged: true}", "image: \n    allow: {privileged: true}"])
def test_a_rule_that_meets_everything_is_warned_of(policy: Path, rule: str) -> None:
    assert "no condition" not in call("check", str(policy)).output
    policy.write_text(f"{POLICY}  - {rule}\n")
    shown = call("check", str(policy))
    assert shown.exit_code == 0
    told = " ".join(shown.stderr.split())
    assert "line 8, rules.1: the rule has no condition, so every container may have what it allows" in told


def test_a_file_that_is_no_text_is_told(policy: Path) -> None:
    policy.write_bytes(b"images: [\x90]")
    with pytest.raises(InvalidError, match="is not UTF-8 text"):
        CliRunner().invoke(build(), ["agent", "policy", "check", str(policy)], catch_exceptions=False)


def test_a_wrong_file_names_the_key(policy: Path) -> None:
    policy.write_text("host_path: [/srv]")
    with pytest.raises(InvalidError, match="host_path"):
        CliRunner().invoke(build(), ["agent", "policy", "check", str(policy)], catch_exceptions=False)


@pytest.mark.parametrize(
    ("asks", "line", "exit_code"),
    [
        ('volumes: ["/srv/games/a:/x"]', "allowed  host path /srv/games/a: line 2, host_paths.0", 0),
        ('volumes: ["/srv/maps:/x:ro"]', "allowed  host path /srv/maps: line 2, host_paths.1", 0),
        ('volumes: ["/srv/maps:/x"]', "refused  host path /srv/maps to write", 1),
        ("devices: [/dev/net/tun]", "allowed  device /dev/net/tun: line 4, devices.0", 0),
        ("privileged: true", "allowed  privileged: line 6, rules.0", 0),
        ('ports: ["22:22"]', 'refused  port 22/tcp of the node; `ports: ["22"]` would allow it', 1),
        ('ports: ["8303:8303"]', "allowed  port 8303/tcp of the node: the defaults, or several lines", 0),
        ("volumes: [/run/docker.sock:/x]", "`engine_socket: own` would allow it", 1),
        ("volumes: [/run/containerd:/x]", "no policy can allow it", 1),
    ],
)
def test_each_part_names_the_line_that_decided(
    asks: str, line: str, exit_code: int, policy: Path, tmp_path: Path
) -> None:
    asked = tmp_path / "arena.yaml"
    asked.write_text(f"id: arena\ncontainer:\n  image: ghcr.io/me/desktop:1\n  {asks}\n")
    shown = call("explain", str(policy), str(asked))
    assert line in shown.output
    assert shown.exit_code == exit_code


def test_what_a_run_fills_in_is_judged_by_its_default_or_not_at_all(policy: Path, tmp_path: Path) -> None:
    policy.write_text('images: ["debian:*"]\n')
    (file := tmp_path / "pipeline.yaml").write_text("""
name: filled
args: {image: {type: string, default: "debian:12"}, other: {type: string}}
steps:
  - {name: known, container: {image: "${{ args.image }}"}}
  - {name: open, container: {image: "${{ args.other }}"}}
""")
    shown = call("explain", str(policy), str(file))
    assert "  allowed  image docker.io/library/debian:12: line 1, images.0" in shown.output
    assert "  unknown  image docker.io/library/${{ args.other }}:latest: a run fills it in" in shown.output
    assert shown.exit_code == 0


def test_a_file_of_an_instance_is_that_instance_and_no_pipeline(policy: Path, tmp_path: Path) -> None:
    rules = [
        "  - {instance: arena-*, allow: {privileged: true}}",
        "  - {pipeline: desktop, allow: {host_network: true}}",
    ]
    policy.write_text("\n".join(["rules:", *rules]))
    (file := tmp_path / "box.yaml").write_text(
        "id: arena-1\nname: desktop\ncontainer: {image: a, privileged: true, network_mode: host}"
    )
    shown = call("explain", str(policy), str(file))
    assert "allowed  privileged: line 2, rules.0" in shown.output
    assert "refused  host network" in shown.output

"""The line as it is printed: whole, on one line, with the address that other machines use."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from api.rest.agent import JOIN_SCRIPT
from gamekeeper.cli import join_line
from gamekeeper.cli.context import Context
from gamekeeper.stack.layout import Ports, StackRecord, StateDir
from tests.deploy.control_plane import ControlPlane

KEY = "gkj_secret.pin"


def test_the_line_stands_alone_and_says_what_it_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plane = ControlPlane(tmp_path / "plane")
    with plane.serving(is_plain=True):
        obj = Context(f"http://127.0.0.1:{plane.port}", "gk_key", tmp_path)
        join_line.print_join_line(obj, KEY)
        told = capsys.readouterr()
        line = next(line for line in told.out.splitlines() if line.startswith("s=$("))
        assert line.endswith("esac")
        assert f"set -- HOST:{plane.port} {KEY}'" in line, "this machine's loopback is no address for others"
        assert hashlib.sha256(JOIN_SCRIPT).hexdigest() in line
        assert "gamekeeper up --host ADDRESS" in told.out
        assert told.err == ""
        plane.answers = {"/join.sh": JOIN_SCRIPT}
        join_line.print_join_line(obj, KEY)
        assert "the line finds no agent yet: no bundle is here; make agent-bundle" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("server", "host"),
    [
        ("https://gk.example", "gk.example:443"),
        ("http://gk.example", "gk.example:80"),
        ("https://[2001:db8::1]:7380", "[2001:db8::1]:7380"),
        ("https://192.0.2.1:7380", "192.0.2.1:7380"),
    ],
)
def test_the_address_is_the_one_that_the_command_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str, host: str
) -> None:
    monkeypatch.setattr(Context, "script", lambda self, path: "a script\n")
    found, line = join_line.join_line(Context(server, "", tmp_path), KEY)
    assert found == host
    assert f"https://{host}/join.sh" in line


def test_a_stack_on_all_addresses_names_the_one_towards_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = StateDir(tmp_path / "state")
    state.prepare()
    ports = Ports(rest=7380, grpc=7381, gateway=7382, temporal=1, temporal_ui=2)
    state.save(StackRecord(host="0.0.0.0", address="0.0.0.0", ports=ports))
    monkeypatch.setattr(Context, "script", lambda self, path: "a script\n")
    for outward, host in (("192.0.2.7", "192.0.2.7:7380"), ("", "HOST:7380")):
        monkeypatch.setattr(join_line, "outward_address", lambda found=outward: found)
        assert join_line.join_line(Context("", "", state.root), KEY)[0] == host

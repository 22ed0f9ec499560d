"""``install.sh``: what it places, starts and tells, with a Python in the bundle that only plays the agent."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hang import HANG_SECONDS

OWN_FILES = Path(__file__).parent.parent.parent / "deploy" / "agent"
Done = subprocess.CompletedProcess[str]

# It answers the checks, joins, and sleeps as a program of the bundle; or ends, where the test says so.
PYTHON = """#!/bin/sh
here=$(dirname "$0")
case "$*" in
*import*) exit 0 ;;
"-I -") [ ! -e "$here/no-docker" ] ;;
"-m agent_worker")
    env >"$GAMEKEEPER_AGENT_STATE_DIR/environment"
    [ ! -e "$here/waits" ] || { echo "this machine, 3f2a, waits for an approval" >&2; exec "$here/sleeper" 1000; }
    [ ! -e "$here/refused" ] || { echo "127.0.0.1 refused the join: spent" >&2; exit 1; }
    cp "$GAMEKEEPER_AGENT_TOKEN_FILE" "$GAMEKEEPER_AGENT_STATE_DIR/used"
    printf '{"node_id":"box-1","temporal_namespace":""}' >"$GAMEKEEPER_AGENT_STATE_DIR/identity.json"
    [ ! -e "$here/no-session" ] || exec "$here/sleeper" 1000
    printf '{"node_id":"box-1","temporal_namespace":"x"}' >"$GAMEKEEPER_AGENT_STATE_DIR/identity.json"
    exec "$here/sleeper" 1000
    ;;
esac
"""
# Restarts nothing and joins by itself; what it was asked stands in a file.
SYSTEMCTL = """#!/bin/sh
echo "$*" >>"$DESTDIR/systemctl.log"
case $1 in
restart) printf '{"node_id":"box-1"}' >"$DESTDIR/var/lib/gamekeeper-agent/identity.json" ;;
show) echo 0 ;;
esac
"""


class Machine:
    def __init__(self, folder: Path) -> None:
        self.root = folder / "machine"
        self.tools = folder / "tools"
        for path in (self.root / "tmp", self.tools):
            path.mkdir(parents=True)
        self.home, self.state = self.root / "opt/gamekeeper-agent", self.root / "var/lib/gamekeeper-agent"
        self.settings = self.root / "etc/gamekeeper-agent"
        self.pid_file = self.root / "run/gamekeeper-agent.pid"

    def bundle(self, content: str = "aaa", *marks: str) -> Path:
        """An unpacked bundle as ``join.sh`` leaves one; ``marks`` have its Python play a fault."""
        folder = self.home / ".new" / "gamekeeper-agent"
        shutil.copytree(OWN_FILES, folder)
        python = folder / "python" / "bin"
        python.mkdir(parents=True)
        (python / "python3").write_text(PYTHON)
        (python / "python3").chmod(0o755)
        shutil.copy(str(shutil.which("sleep")), python / "sleeper")
        (folder / "VERSION").write_text(f"version 9\narchitecture x86_64\nglibc 2.36\ncontent {content}\n")
        for mark in marks:
            (python / mark).touch()
        return folder

    def sh(self, script: Path, *arguments: str, key: str = "", **environment: str) -> Done:
        path = f"{self.tools}:{os.environ['PATH']}"
        given = {
            "PATH": path,
            "DESTDIR": str(self.root),
            "GAMEKEEPER_AGENT_TOKEN": key,
            "JOIN_SECONDS": "30",
        } | environment
        return subprocess.run(
            ["dash", str(script), *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=HANG_SECONDS,
            check=False,
            env=given,
        )

    def install(self, *arguments: str, key: str = "gke_a.b", content: str = "aaa", marks: tuple[str, ...] = ()) -> Done:
        return self.sh(self.bundle(content, *marks) / "install.sh", *(arguments or ("gk.example:7380",)), key=key)

    @property
    def installed(self) -> Path:
        return self.home / "current" / "install.sh"

    @property
    def pid(self) -> int:
        return int(self.pid_file.read_text())

    def is_running(self) -> bool:
        try:
            return Path(f"/proc/{self.pid}/exe").resolve().is_relative_to(self.home)
        except OSError:
            return False

    def with_systemd(self) -> None:
        (self.root / "run/systemd/system").mkdir(parents=True)
        (self.tools / "systemctl").write_text(SYSTEMCTL)
        (self.tools / "systemctl").chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    if made.pid_file.exists() and made.is_running():
        os.kill(made.pid, signal.SIGKILL)


def test_it_places_starts_and_tells(machine: Machine) -> None:
    done = machine.install(key='gke_it\'s "odd".pin')
    assert done.returncode == 0, done.stderr
    assert "this machine is node box-1 of gk.example:7380 (agent 9)" in done.stdout
    assert "nobody starts again" in done.stdout
    assert sorted(path.name for path in machine.home.iterdir()) == [".new", "9-aaa", "current"]
    assert machine.is_running()
    assert machine.state.stat().st_mode & 0o777 == 0o700
    assert (machine.state / "used").read_text() == 'gke_it\'s "odd".pin\n'
    assert not (machine.state / "token").exists(), "a key that was used is no longer kept"
    seen = dict(line.split("=", 1) for line in (machine.state / "environment").read_text().splitlines() if "=" in line)
    assert seen["GAMEKEEPER_AGENT_SERVER"] == "gk.example:7380"
    assert seen["GAMEKEEPER_AGENT_STATE_DIR"] == str(machine.state)
    assert seen["PYTHONSAFEPATH"] == "1"
    assert "GAMEKEEPER_AGENT_TOKEN" not in seen


def test_a_second_run_brings_the_new_version_and_keeps_settings(machine: Machine) -> None:
    machine.install()
    first = machine.pid
    (machine.settings / "agent.env").write_text("GAMEKEEPER_AGENT_LOG_LEVEL='DEBUG it'\n")
    done = machine.install("other.example:1", content="bbb")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in machine.home.iterdir()) == [".new", "9-bbb", "current"]
    assert machine.pid != first
    assert not Path(f"/proc/{first}/exe").exists()
    environment = (machine.state / "environment").read_text()
    assert "GAMEKEEPER_AGENT_LOG_LEVEL=DEBUG it\n" in environment
    assert "GAMEKEEPER_AGENT_SERVER=other.example:1\n" in environment
    assert machine.install("other.example:1", content="bbb").returncode == 0, "the same again"
    assert machine.is_running()


def test_a_server_can_not_become_a_command(machine: Machine) -> None:
    assert machine.install("'; touch $DESTDIR/told; '").returncode == 0
    assert not (machine.root / "told").exists()


def test_without_docker_nothing_is_installed(machine: Machine) -> None:
    done = machine.install(marks=("no-docker",))
    assert done.returncode == 1
    assert "an agent needs Docker Engine" in done.stderr
    assert "apt-get install docker.io" in done.stderr
    assert [path.name for path in machine.home.iterdir()] == [".new"]
    assert not machine.settings.exists()


def test_a_python_that_does_not_run_here_installs_nothing(machine: Machine) -> None:
    folder = machine.bundle()
    (folder / "python/bin/python3").write_text("#!/bin/sh\necho GLIBC_2.99 not found >&2; exit 1\n")
    done = machine.sh(folder / "install.sh", "gk.example:7380")
    assert done.returncode == 1
    assert "GLIBC_2.99 not found" in done.stderr
    assert "does not run on this machine" in done.stderr
    assert [path.name for path in machine.home.iterdir()] == [".new"]


def test_a_refused_key_ends_with_the_agents_words_and_a_good_one_mends_it(machine: Machine) -> None:
    done = machine.install(marks=("refused",))
    assert done.returncode == 1
    assert "refused the join: spent" in done.stderr
    assert "run the line again with a good key" in done.stderr
    assert not machine.pid_file.exists()
    assert machine.install(content="bbb").returncode == 0
    assert machine.is_running()


def test_a_machine_that_waits_for_an_approval_is_left_waiting(machine: Machine) -> None:
    done = machine.install(marks=("waits",))
    assert done.returncode == 0, done.stderr
    assert "this machine, 3f2a, waits for an approval" in done.stdout
    assert "goes on by itself" in done.stdout
    assert machine.is_running()
    assert (machine.state / "token").exists()


def test_a_key_is_kept_only_until_its_node_has_joined(machine: Machine) -> None:
    machine.install()
    token = machine.state / "token"
    for age, is_kept in ((60, False), (-60, True)):
        token.write_text("gke_a.b")
        identity_time = (machine.state / "identity.json").stat().st_mtime
        os.utime(token, (identity_time - age, identity_time - age))
        machine.sh(machine.installed, "--stop")
        (machine.home / "current/python/bin/waits").touch()
        machine.sh(machine.installed, "--start")
        while "waits" not in (machine.root / "var/log/gamekeeper-agent.log").read_text():
            assert machine.pid
        assert token.exists() == is_kept


def test_an_agent_without_a_session_goes_on_and_is_told(machine: Machine) -> None:
    folder = machine.bundle("aaa", "no-session")
    done = machine.sh(folder / "install.sh", "gk.example", key="gke_a.b", JOIN_SECONDS="1")
    assert done.returncode == 1
    assert "has not joined in 1 s; it tries on" in done.stderr
    assert machine.is_running()
    assert (machine.state / "token").exists(), "it may still need the key"


def test_a_pid_of_somebody_else_is_left_alone(machine: Machine) -> None:
    machine.install()
    os.kill(machine.pid, signal.SIGKILL)
    with subprocess.Popen(["sleep", "1000"]) as stranger:
        machine.pid_file.write_text(f"{stranger.pid}\n")
        assert machine.sh(machine.installed, "--stop").returncode == 0
        assert stranger.poll() is None
        stranger.kill()
    assert machine.sh(machine.installed, "--start").returncode == 0
    machine.sh(machine.installed, "--stop")


def test_systemd_runs_it_where_it_is_there(machine: Machine) -> None:
    machine.with_systemd()
    done = machine.install()
    assert done.returncode == 0, done.stderr
    assert "systemctl status gamekeeper-agent; journalctl -u gamekeeper-agent -f" in done.stdout
    unit = machine.root / "etc/systemd/system/gamekeeper-agent.service"
    assert unit.read_text() == (OWN_FILES / "gamekeeper-agent.service").read_text()
    asked = (machine.root / "systemctl.log").read_text().splitlines()
    assert asked[:3] == ["daemon-reload", "enable --quiet gamekeeper-agent", "restart --no-block gamekeeper-agent"]
    assert not machine.pid_file.exists()


@pytest.mark.parametrize("has_systemd", [True, False])
def test_uninstall_keeps_the_identity_unless_told(machine: Machine, has_systemd: bool) -> None:
    if has_systemd:
        machine.with_systemd()
    machine.install()
    done = machine.sh(machine.installed, "--uninstall")
    assert done.returncode == 0, done.stderr
    assert "the node's identity stays" in done.stdout
    assert not machine.home.exists()
    assert not (machine.root / "etc/systemd/system/gamekeeper-agent.service").exists()
    assert (machine.state / "identity.json").exists()
    assert machine.install().returncode == 0, "it comes back as the same node"
    assert "gamekeeper node rm" in machine.sh(machine.installed, "--uninstall", "--purge").stdout
    assert not machine.state.exists()
    assert not machine.settings.exists()


def test_wrong_words_are_told(machine: Machine) -> None:
    for arguments in ([], ["--install"], [""]):
        done = machine.sh(machine.bundle() / "install.sh", *arguments)
        assert done.returncode == 1
        assert "usage:" in done.stderr
        shutil.rmtree(machine.home)

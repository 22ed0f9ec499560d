"""``join.sh``: nothing of a stranger's is run or left on the machine, and the right server's archive is installed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.rest.agent import JOIN_SCRIPT
from gamekeeper.cli.join_line import line_for
from tests.deploy.control_plane import ARCHIVE, ControlPlane, archive
from tests.fixtures.certificates import PASSPHRASE, TestAuthority
from tests.hang import HANG_SECONDS

SHELLS = [["dash"], ["bash", "--posix"], ["busybox", "sh"]]
sha256 = hashlib.sha256
Done = subprocess.CompletedProcess[str]


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    made = ControlPlane(tmp_path / "control-plane")
    with made.serving():
        yield made


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """The root folder of a machine that is to join."""
    folder = tmp_path / "machine"
    folder.mkdir()
    return folder


def run(command: list[str], machine: Path, text: bytes = JOIN_SCRIPT, **environment: str) -> Done:
    clean = {name: value for name, value in os.environ.items() if "proxy" not in name.lower() and "CURL" not in name}
    return subprocess.run(
        command,
        input=text.decode(),
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
        env=clean | {"DESTDIR": str(machine)} | environment,
    )


def join(plane: ControlPlane, machine: Path, key: str = "", server: str = "", **environment: str) -> Done:
    return run(["dash", "-s", "--", server or plane.address, key or plane.key], machine, JOIN_SCRIPT, **environment)


def assert_untouched(machine: Path, done: Done, *words: str) -> None:
    """The machine has nothing of the archive, and its owner was told why."""
    assert done.returncode != 0, done.stdout
    for word in words:
        assert word in done.stderr, done.stderr
    assert not (machine / "told").exists()
    assert not (machine / "opt" / "gamekeeper-agent").exists()


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_the_archive_of_the_right_server_is_installed(plane: ControlPlane, machine: Path, shell: list[str]) -> None:
    done = run([*shell, "-s", "--", plane.address, plane.key], machine)
    assert done.returncode == 0, done.stderr
    assert (machine / "told").read_text() == f"installed for {plane.address} with {plane.key}\n"
    assert not (machine / "opt" / "gamekeeper-agent").exists(), "what the installer does not keep is gone"
    assert plane.asked == ["/api/v1/roots", f"/agent/{os.uname().machine}.txt", f"/agent/{ARCHIVE}"]


def test_the_pinned_root_is_found_among_others(plane: ControlPlane, machine: Path, tmp_path: Path) -> None:
    newer = TestAuthority(tmp_path / "newer").roots
    plane.answers["/api/v1/roots"] = f"# a comment\r\n{newer}\n{plane.roots}".encode()
    assert join(plane, machine).returncode == 0


def test_a_key_from_before_a_rotation_is_good_until_its_root_is_out(machine: Path, tmp_path: Path) -> None:
    plane = ControlPlane(tmp_path / "plane")
    before, now = plane.key, datetime.now(UTC)
    plane.authority.authority = plane.authority.authority.rotate(PASSPHRASE, now)
    plane.answers["/api/v1/roots"] = plane.authority.authority.roots_pem(now).encode()
    with plane.serving():
        assert join(plane, machine, before).returncode == 0
        plane.answers["/api/v1/roots"] = plane.authority.authority.roots_pem(now + timedelta(days=3650)).encode()
        (machine / "told").unlink()
        assert_untouched(machine, join(plane, machine, before), "is not the control plane that made this key")


def test_a_key_of_another_control_plane_installs_nothing(plane: ControlPlane, machine: Path, tmp_path: Path) -> None:
    other = ControlPlane(tmp_path / "other")
    done = join(plane, machine, other.key)
    assert_untouched(machine, done, "is not the control plane that made this key", "nobody is in between")
    assert plane.asked == ["/api/v1/roots"]


@pytest.mark.parametrize("key", ["gke_secret", "gke_secret.", "gke_secret.short", "", ".", "gke_secret." + "x" * 44])
def test_a_key_that_is_not_whole_is_told(plane: ControlPlane, machine: Path, key: str) -> None:
    done = run(["dash", "-s", "--", plane.address, key], machine)
    assert_untouched(machine, done, "the key is not whole", "copy the whole line")
    assert plane.asked == []


def test_somebody_in_between_who_hands_on_the_roots_gets_no_further(machine: Path, tmp_path: Path) -> None:
    right, stranger = ControlPlane(tmp_path / "right"), ControlPlane(tmp_path / "stranger")
    stranger.answers["/api/v1/roots"] = right.roots.encode()
    with stranger.serving():
        done = join(stranger, machine, right.key)
    assert_untouched(machine, done, "certificate", "can't be trusted")
    assert stranger.asked == ["/api/v1/roots"]


def test_a_public_certificate_counts_for_the_host_that_it_names(machine: Path, tmp_path: Path) -> None:
    public, plane = TestAuthority(tmp_path / "public"), ControlPlane(tmp_path / "plane")
    (tmp_path / "public.pem").write_text(public.roots)
    with plane.serving(("127.0.0.1",), public):
        assert join(plane, machine, CURL_CA_BUNDLE=str(tmp_path / "public.pem")).returncode == 0
    (machine / "told").unlink()
    with plane.serving(("another.example",), public):
        assert_untouched(machine, join(plane, machine, CURL_CA_BUNDLE=str(tmp_path / "public.pem")), "can't be trusted")


def test_on_loopback_alone_it_asks_over_plain_http(machine: Path, tmp_path: Path) -> None:
    plane = ControlPlane(tmp_path / "plane")
    with plane.serving(is_plain=True):
        assert join(plane, machine, server=f"127.0.0.1:{plane.port}").returncode == 0
        assert (machine / "told").read_text() == f"installed for 127.0.0.1:{plane.port} with {plane.key}\n"
        (machine / "told").unlink()
        plane.asked.clear()
        other = join(plane, machine, server=f"http://{os.uname().nodename}.invalid:{plane.port}")
    assert_untouched(machine, other, "does not answer")
    assert plane.asked == []


def test_an_altered_archive_is_not_unpacked(plane: ControlPlane, machine: Path) -> None:
    plane.answers[f"/agent/{ARCHIVE}"] = archive("touch $DESTDIR/told\n")
    assert_untouched(machine, join(plane, machine), "is not what", "its SHA-256 is")


@pytest.mark.parametrize("is_told", [True, False], ids=["told", "untold"])
def test_a_download_that_is_cut_short_is_not_unpacked(plane: ControlPlane, machine: Path, is_told: bool) -> None:
    packed = plane.answers[f"/agent/{ARCHIVE}"]
    plane.answers[f"/agent/{ARCHIVE}"] = packed[:-20]
    if is_told:
        plane.lies_about_length = True
        assert_untouched(machine, join(plane, machine), "does not answer")
    else:
        assert_untouched(machine, join(plane, machine), "is not what")


def test_an_archive_that_is_none_leaves_nothing(plane: ControlPlane, machine: Path) -> None:
    plane.answers[f"/agent/{ARCHIVE}"] = b"no archive"
    plane.answers[f"/agent/{os.uname().machine}.txt"] = plane.note(sha256(b"no archive").hexdigest())
    assert_untouched(machine, join(plane, machine), "can't be unpacked")


def test_a_server_without_an_archive_says_what_to_do(plane: ControlPlane, machine: Path) -> None:
    del plane.answers[f"/agent/{os.uname().machine}.txt"]
    assert_untouched(machine, join(plane, machine), "no bundle is here", "make agent-bundle")


def test_an_older_c_library_is_told_before_the_download(plane: ControlPlane, machine: Path) -> None:
    digest = sha256(plane.answers[f"/agent/{ARCHIVE}"]).hexdigest()
    plane.answers[f"/agent/{os.uname().machine}.txt"] = plane.note(digest, glibc="2.999")
    assert_untouched(machine, join(plane, machine), "needs glibc 2.999 or newer, and this machine has 2.")
    assert f"/agent/{ARCHIVE}" not in plane.asked


@pytest.mark.parametrize("name", ["../../etc/passwd", "a b", ""])
def test_a_note_with_an_odd_name_is_refused(plane: ControlPlane, machine: Path, name: str) -> None:
    note = plane.note("0" * 64).decode().replace(ARCHIVE, name)
    plane.answers[f"/agent/{os.uname().machine}.txt"] = note.encode()
    assert_untouched(machine, join(plane, machine), "no note of an archive")


@pytest.mark.parametrize(
    "server", ["", "host:port", "a b", "$(id)", "[::1", "fe80::1", "http://", "[fe80::1%`id`]:1", "-k:7380;id"]
)
def test_a_server_that_is_none_is_told(plane: ControlPlane, machine: Path, server: str) -> None:
    done = run(["dash", "-s", "--", server, plane.key], machine)
    assert_untouched(machine, done, "is no server", "give HOST or HOST:PORT")


def test_a_server_that_is_down_is_told(plane: ControlPlane, machine: Path) -> None:
    done = join(plane, machine, server="https://127.0.0.1:1")
    assert_untouched(machine, done, "127.0.0.1:1 does not answer", "does this machine reach that port?")


def test_it_asks_for_root(plane: ControlPlane, machine: Path) -> None:
    machine.chmod(0o777)
    command = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "dash",
        "-s",
        "--",
        plane.address,
        plane.key,
    ]
    assert_untouched(machine, run(command, machine), "must run as root")


def test_a_second_join_waits_for_the_first(plane: ControlPlane, machine: Path) -> None:
    (machine / "run").mkdir()
    holder = [sys.executable, "-c", "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); input()"]
    lock = str(machine / "run" / "gamekeeper-join.lock")
    with subprocess.Popen([*holder, lock], stdin=subprocess.PIPE) as first:
        while subprocess.run(["flock", "-n", lock, "true"], check=False).returncode == 0:
            assert first.poll() is None
        assert_untouched(machine, join(plane, machine), "another join of this machine is under way")
        assert first.stdin is not None
        first.stdin.close()
    assert join(plane, machine).returncode == 0


def test_what_a_killed_join_left_is_no_matter_to_the_next(plane: ControlPlane, machine: Path) -> None:
    left = machine / "opt" / "gamekeeper-agent" / ".new" / "gamekeeper-agent"
    left.mkdir(parents=True)
    (left / "old").write_text("old")
    assert join(plane, machine).returncode == 0
    assert not left.exists()


def test_a_script_that_is_cut_short_does_nothing(plane: ControlPlane, machine: Path) -> None:
    lines = JOIN_SCRIPT.splitlines(keepends=True)
    for count in range(len(lines)):
        run(["dash", "-s", "--", plane.address, plane.key], machine, b"".join(lines[:count]))
    assert list(machine.iterdir()) == []
    assert plane.asked == []


def pasted(plane: ControlPlane, machine: Path, script: bytes = JOIN_SCRIPT) -> Done:
    """The line, in a shell. Without the server's name for it, for curl: plain addresses of loopback are not HTTPS."""
    line = line_for(f"127.0.0.1:{plane.port}", plane.key, script.decode())
    return run(["dash", "-c", line.replace(f"set -- 127.0.0.1:{plane.port}", f"set -- {plane.address}")], machine)


def test_the_line_runs_the_script_that_it_knows(plane: ControlPlane, machine: Path) -> None:
    done = pasted(plane, machine)
    assert done.returncode == 0, done.stderr
    assert (machine / "told").exists()


@pytest.mark.parametrize("altered", [b"touch $DESTDIR/told\n", JOIN_SCRIPT[:-30], JOIN_SCRIPT + b"true\n", b""])
def test_the_line_runs_no_other_script(plane: ControlPlane, machine: Path, altered: bytes) -> None:
    plane.answers["/join.sh"] = altered
    assert_untouched(machine, pasted(plane, machine), "join.sh is not the one of this line")
    assert plane.asked == ["/join.sh"]


def test_the_line_ends_with_the_status_of_what_it_ran(plane: ControlPlane, machine: Path) -> None:
    failing = archive("exit 7\n")
    plane.answers[f"/agent/{ARCHIVE}"] = failing
    plane.answers[f"/agent/{os.uname().machine}.txt"] = plane.note(sha256(failing).hexdigest())
    assert pasted(plane, machine).returncode == 7


def test_uninstall_of_nothing_says_so(machine: Path) -> None:
    assert_untouched(machine, run(["dash", "-s", "--", "--uninstall"], machine), "no agent is installed")


def test_the_tools_of_these_tests_are_here() -> None:
    assert all(shutil.which(tool) for tool in ("curl", "dash", "bash", "busybox", "setpriv", "flock"))

"""The first day of a new user, walked by the words of README and tutorial: ``make bench-first-day``.

From a fresh clone, with an empty home folder, a host name of its own and nothing of this environment: each command is
taken from the pages as it stands there. It counts

    typed      commands that the pages have the reader type
    seconds    how long they take
    elsewhere  words that a reader had to look up elsewhere, because neither the page nor an earlier output tells them,
               and commands that failed; the aim is none

Not walked: ``make test``, which is for those who change Gamekeeper, lines of "Day to day" that want a situation of
their own, and the second machine, which ``tests/e2e/test_docs.py`` walks. Docker Engine is this machine's.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import docker
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
HOST = f"first-day-{secrets.token_hex(3)}"
KEPT = ("PIP_", "SSL_CERT_FILE", "http_proxy", "https_proxy", "no_proxy", "LANG", "TERM")  # the way to the packages
SITUATIONS = ("exec", "cancel", "rerun", "push", "apply", "-f", "make test")
WORD = re.compile(r"\b(NODE|RUN|STEP)\b")
IMAGE = "debian:bookworm-slim"


@dataclass
class Walk:
    """The reader: where they are, what they have read and seen, and what it took."""

    folder: Path
    home: Path
    seen: str = ""
    elsewhere: list[str] = field(default_factory=list)
    rows: list[tuple[str, int, float]] = field(default_factory=list)

    def do(self, place: str, script: str) -> str:
        """Types a script; its lines are commands."""
        script = self._filled(script)
        commands = [line for line in script.splitlines() if line.strip() and not line.startswith("#")]
        started = time.monotonic()
        inside = ["unshare", "--uts", "sh", "-c", f'hostname {HOST}; cd "$1"; exec sh -ec "$2"', "sh"]
        done = subprocess.run(
            [*inside, str(self.folder), script], env=self._environment(), capture_output=True, text=True, check=False
        )
        self.rows.append((place, len(commands), time.monotonic() - started))
        self.seen += done.stdout + done.stderr
        print(f"$ {script.strip()}\n{done.stdout}{done.stderr}", file=sys.stderr, flush=True)
        if done.returncode != 0:
            self.elsewhere.append(f"{place}: exit code {done.returncode}: {commands}")
        return done.stdout

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name.startswith(KEPT)}
        system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        path = f"{self.folder}/.venv/bin:{system}" if "export PATH" in self.seen else system
        return kept | {"HOME": str(self.home), "PATH": path}

    def _filled(self, script: str) -> str:
        """The script with the reader's own words; a word that nothing has told yet counts."""
        runs = re.findall(r"\b[0-9a-f]{16}\b", self.seen)
        steps = re.findall(r"^\s*(?:\S+\s+)?(greet|show|prepare)\b", self.seen, re.MULTILINE)
        told = {"NODE": HOST, "RUN": runs[-1] if runs else "", "STEP": steps[-1] if steps else ""}
        for word in sorted(set(WORD.findall(script))):
            if not told[word] or told[word] not in self.seen:
                self.elsewhere.append(f"{word} in: {script.strip().splitlines()[0]}")
        return WORD.sub(lambda found: told[found[0]], script)


def section(page: Path, title: str) -> str:
    """The text below a heading, up to the next of its kind."""
    return page.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def read_me(walk: Walk) -> None:
    """README: from nothing to a game server, and the day to day."""
    page = walk.folder / "README.md"
    for title in ("Two commands", "Day to day"):
        for line in blocks(section(page, title), "sh")[0].splitlines():
            command = line.partition(" # ")[0].rstrip()
            if command and not set(SITUATIONS) & {*command.split(), command}:
                walk.do(f"README, {title}", command)
        told = re.search(r"`(docker tag [^`]+)`", section(page, title))
        if told and not has_image():  # no registry answers, and the page says what to type then
            walk.do(f"README, {title}", told[1])


def tutorial(walk: Walk) -> None:
    """The tutorial up to the second machine, which wants a machine more."""
    text = (walk.folder / "docs" / "tutorial.md").read_text().partition("\n## A second machine")[0]
    walk.seen += text
    for file in blocks(text, "yaml"):
        name = re.findall(r"^name: (\w+)", file, re.MULTILINE)[0]
        (walk.folder / f"{name}.yaml").write_text(file)
    walk.rows.append(("tutorial, the path", 1, 0.0))
    for script in blocks(text, "sh"):
        walk.do("tutorial", script)


def has_image() -> bool:
    """True when the image of the examples is here, or comes when it is asked for."""
    client = docker.from_env()
    try:
        client.images.get(IMAGE)
    except docker.errors.ImageNotFound:
        return subprocess.run(["docker", "pull", "-q", IMAGE], capture_output=True, check=False).returncode == 0
    finally:
        client.close()
    return True


def main() -> int:
    there = {path for path in (Path("/srv/saves"), Path("/srv/backups")) if path.exists()}
    had_tag = bool(subprocess.run(["docker", "images", "-q", IMAGE], capture_output=True, check=True).stdout)
    scratch = Path(tempfile.mkdtemp(prefix="first-day-"))
    walk = Walk(scratch / "gamekeeper", scratch / "home")
    walk.home.mkdir()
    subprocess.run(["git", "clone", "-q", str(ROOT), str(walk.folder)], check=True)
    try:
        read_me(walk)
        tutorial(walk)
    finally:
        walk.do("after", ".venv/bin/gamekeeper down || true")
        walk.rows.pop()
        _clean(there, had_tag, scratch)
    _show(walk)
    return 1 if walk.elsewhere else 0


def _clean(there: set[Path], had_tag: bool, scratch: Path) -> None:
    client = docker.from_env()
    mine: dict[str, str | list[str] | bool] = {"label": f"gamekeeper.node={HOST}"}
    for container in client.containers.list(all=True, ignore_removed=True, filters=mine):
        container.remove(force=True, v=True)
    for kept in (client.networks, client.volumes):
        for item in kept.list(filters=mine):
            item.remove()
    if not had_tag and client.images.list(IMAGE):
        client.images.remove(IMAGE)
    client.close()
    for path in {Path("/srv/saves"), Path("/srv/backups")} - there:
        shutil.rmtree(path, ignore_errors=True)
    shutil.rmtree(scratch, ignore_errors=True)


def _show(walk: Walk) -> None:
    table = Table("place", "typed", "seconds")
    for place in dict.fromkeys(row[0] for row in walk.rows):
        rows = [row for row in walk.rows if row[0] == place]
        table.add_row(place, str(sum(row[1] for row in rows)), f"{sum(row[2] for row in rows):.1f}")
    table.add_row("in all", str(sum(row[1] for row in walk.rows)), f"{sum(row[2] for row in walk.rows):.1f}")
    console = Console()
    console.print(table)
    console.print(f"looked up elsewhere: {len(walk.elsewhere)}", *walk.elsewhere, sep="\n  ")


if __name__ == "__main__":
    sys.exit(main())

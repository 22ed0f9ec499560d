"""One process of the stack: started once, found again after the supervisor's death, stopped within a time limit."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import psutil

from gamekeeper.errors import UnavailableError
from gamekeeper.exit_status import MISCONFIGURED
from gamekeeper.liveness import LIVENESS, TELL_STACKS
from gamekeeper.logging import get_logger
from gamekeeper.stack.liveness import LivenessWatch

log = get_logger(__name__)

STARTED_AS = "GAMEKEEPER_STARTED_AS"
TEMPORAL_PREFIX = "TEMPORAL_"  # the way to Temporal, credentials included, is for those alone whose spec names it
STOP_SECONDS = 10.0
OWN_FILES = 0o077  # umask: what the stack writes is for its user alone
LAST_WORDS_SECONDS = 0.2
MAX_LOG_BYTES = 20 * 1024 * 1024


@dataclass(frozen=True)
class ProcessSpec:
    """Command and environment of a process. By ``fingerprint`` a living one shows that it was started the same way.

    ``answers`` says that it is one of ours, which answers the liveness call. Another one is watched at ``http2_port``
    of this machine, where it has one.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    answers: bool = False
    http2_port: int = 0

    @property
    def fingerprint(self) -> str:
        text = json.dumps([list(self.command), sorted(self.environment.items())])
        return hashlib.sha256(text.encode()).hexdigest()


class LockedFile:
    """A file whose lock a living process holds: this one, or a child that inherited the descriptor."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def try_lock(self) -> int | None:
        """The locked descriptor, or None when somebody living holds it."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        return descriptor

    def is_held(self) -> bool:
        if not self.path.exists():
            return False
        descriptor = self.try_lock()
        if descriptor is None:
            return True
        os.close(descriptor)
        return False

    def holder(self) -> psutil.Process | None:
        """The living process that has the file open, found by its descriptors; None when nobody holds the lock.

        A recorded pid can be stale, or of another program after a reboot; an open descriptor can't.
        """
        if not self.is_held():
            return None
        wanted = os.stat(self.path)
        for process in psutil.process_iter():
            if process.pid != os.getpid() and _has_open(process.pid, wanted):
                return process
        return None


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(TEMPORAL_PREFIX)}


def _started_with(process: psutil.Process, name: str) -> str:
    """A word that the process was started with. Its environment holds it: a file would need room on a disk."""
    with suppress(psutil.Error, OSError):
        return process.environ().get(name, "")
    return ""


def _has_open(pid: int, wanted: os.stat_result) -> bool:
    with suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                found = os.stat(f"/proc/{pid}/fd/{name}")
                if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                    return True
    return False


class ManagedProcess:
    """Blocking calls; the supervisor runs them one after another."""

    def __init__(self, spec: ProcessSpec, run_dir: Path, log_dir: Path) -> None:
        self.spec = spec
        self._lock = LockedFile(run_dir / f"{spec.name}.lock")
        self._log_file = log_dir / f"{spec.name}.log"
        self._child: subprocess.Popen[bytes] | None = None
        self._adopted: psutil.Process | None = None
        self._liveness: LivenessWatch | None = None

    @property
    def pid(self) -> int | None:
        if self._child is not None and self._child.poll() is None:
            return self._child.pid
        if self._adopted is not None and self._adopted.is_running():
            return int(self._adopted.pid)
        return None

    @property
    def is_misconfigured(self) -> bool:
        """True when it ended because of its configuration: another start would end the same way."""
        return self._child is not None and self._child.poll() == MISCONFIGURED

    @property
    def is_adopted(self) -> bool:
        """True for a process that an earlier supervisor started."""
        return self._adopted is not None

    def ensure(self) -> bool:
        """Adopts a living process that was started the same way, replaces another, or starts one.

        True when a new process was started. Raises OSError when the machine can't start one now (no room for its
        lock, no memory), UnavailableError when the one before does not end.
        """
        living = self._lock.holder()
        if living is not None and _started_with(living, STARTED_AS) == self.spec.fingerprint:
            if self._adopted is None:
                log.info("%s lives as pid %d: adopted", self.spec.name, living.pid)
            self._adopted = living
            self._watch(_started_with(living, LIVENESS) or self.spec.http2_port, living.pid, has_answered=True)
            return False
        if living is not None:
            log.info("%s lives as pid %d but was started differently: replacing it", self.spec.name, living.pid)
            stop_process(living)
        self._start()
        return True

    def _start(self) -> None:
        descriptor = self._lock.try_lock()
        if descriptor is None:
            raise UnavailableError(f"{self.spec.name}: {self._lock.path} is held by a process that does not end")
        liveness = f"gamekeeper-{secrets.token_hex(16)}" if self.spec.answers else ""
        own = {STARTED_AS: self.spec.fingerprint} | ({LIVENESS: liveness} if liveness else {})
        try:
            with self._open_log() as output:
                self._child = subprocess.Popen(
                    list(self.spec.command),
                    env={**_inherited(), **self.spec.environment, **own},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=[descriptor],
                    start_new_session=True,
                    umask=OWN_FILES,
                    cwd=self._lock.path.parent,  # a folder of ours, so that no other "api" is found first
                )
        finally:
            os.close(descriptor)  # the child's copy keeps the lock
        self._adopted = None
        self._watch(liveness or self.spec.http2_port, self._child.pid, has_answered=False)
        log.info("%s started as pid %d", self.spec.name, self._child.pid)

    def _watch(self, way: str | int, pid: int, *, has_answered: bool) -> None:
        """One without a way to ask it, as of a version before, is judged by its pid alone."""
        if self._liveness is not None:
            self._liveness.close()
        self._liveness = LivenessWatch(way, pid, has_answered=has_answered) if way else None

    def look_at_liveness(self) -> float:
        """To be called again and again. The seconds for which the process did not answer, where it counts as frozen;
        else 0."""
        if self._liveness is None:
            return 0.0
        self._liveness.look()
        return self._liveness.silence if self._liveness.is_frozen else 0.0

    def kill(self) -> None:
        """Ends one that hears nothing any more, and what it has started. The log of ours gets what its threads did."""
        if self.pid is None:
            return
        found = psutil.Process(self.pid)
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if self.spec.answers:
                found.send_signal(TELL_STACKS)
                time.sleep(LAST_WORDS_SECONDS)
            if os.getpgid(found.pid) == found.pid:
                os.killpg(found.pid, signal.SIGKILL)
            found.kill()
            with suppress(psutil.TimeoutExpired):
                found.wait(STOP_SECONDS)

    def _open_log(self) -> BinaryIO:
        """A process without a log is better than none: where the file can't be made, its words are dropped."""
        try:
            if self._log_file.exists() and self._log_file.stat().st_size > MAX_LOG_BYTES:
                self._log_file.replace(self._log_file.with_suffix(".log.1"))
            return open(self._log_file, "ab")
        except OSError as error:
            log.warning("%s runs without a log: %s: %s", self.spec.name, self._log_file, error.strerror)
            return open(os.devnull, "ab")

    def is_alive(self) -> bool:
        return self.pid is not None

    def last_error(self) -> str:
        """The newest error in its log; empty where there is none."""
        for line in reversed(self.log_tail(50).splitlines()):
            with suppress(ValueError, TypeError, KeyError):
                told = json.loads(line)
                if told["level"] == "error":
                    return str(told["message"])
        return ""

    def log_tail(self, lines: int = 5) -> str:
        with suppress(OSError):
            return "\n".join(self._log_file.read_text(errors="replace").splitlines()[-lines:])
        return ""

    def stop(self) -> None:
        """Ends the process, and one that an earlier supervisor left."""
        self._watch("", 0, has_answered=False)
        living = self._lock.holder()
        if living is not None:
            stop_process(living)
        if self._child is not None:
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(1)


def stop_process(process: psutil.Process) -> None:
    """SIGTERM, a while, SIGKILL; returns when the process is gone."""
    with suppress(psutil.NoSuchProcess):
        process.terminate()
        process.resume()  # one that is frozen (SIGSTOP) would not hear of it
        try:
            process.wait(STOP_SECONDS)
        except psutil.TimeoutExpired:
            log.warning("pid %d did not end on SIGTERM within %.0f s: killing it", process.pid, STOP_SECONDS)
            process.kill()
            with suppress(psutil.TimeoutExpired):
                process.wait(STOP_SECONDS)


def wait_released(lock: LockedFile, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not lock.is_held():
            return True
        time.sleep(0.1)
    return False

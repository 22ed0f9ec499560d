"""Asks for pipelines to be judged: a light one in a thread, any other in a process of its own.

A thread shares Python's lock with all that a process does, so what runs in one must be over soon. A text of a few KiB
without macros is. Others may take seconds, and are many at once only in a queue.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import weakref
from contextlib import suppress
from typing import Any, cast

from gamekeeper.control_plane.judging import work
from gamekeeper.control_plane.judging.worker import CPU_SECONDS, receive, send
from gamekeeper.domain.language.check import Checked
from gamekeeper.domain.language.resolve import Call
from gamekeeper.domain.language.resolved import ResolvedPipeline
from gamekeeper.domain.language.source import Document, is_light
from gamekeeper.errors import InvalidError, SpecError, UnavailableError

LIGHT_AT_ONCE = 2
MAX_WAITING = 32
_ENVIRONMENT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "TZ")


class Judge:
    """Every method raises SpecError with all problems, InvalidError for a pipeline that takes too much to judge, and
    UnavailableError while too many large ones wait. A cancel ends the work."""

    def __init__(self, cpu_seconds: float = CPU_SECONDS) -> None:
        self._cpu_seconds = cpu_seconds
        self._light = asyncio.Semaphore(LIGHT_AT_ONCE)
        self._heavy = asyncio.Semaphore(1)
        self._waiting = 0
        self._worker: _Worker | None = None

    async def parse(self, text: str) -> Document:
        return cast(Document, await self._do(is_light(text), work.parse.__name__, text))

    async def validate(self, text: str) -> Checked:
        return cast(Checked, await self._do(is_light(text), work.validate_text.__name__, text))

    async def check(self, document: Document) -> Checked:
        return cast(Checked, await self._do(document.is_light, work.check.__name__, document))

    async def resolve(self, document: Document, call: Call) -> ResolvedPipeline:
        return cast(ResolvedPipeline, await self._do(document.is_light, work.resolve_call.__name__, document, call))

    async def _do(self, light: bool, name: str, *given: Any) -> Any:
        if light:
            async with self._light:
                return await asyncio.to_thread(work.WORK[name], *given)
        if self._waiting >= MAX_WAITING:
            raise UnavailableError(f"{MAX_WAITING} large pipelines wait to be judged", hint="try again in a minute")
        self._waiting += 1
        try:
            async with self._heavy:
                answer = await self._apart(name, given)
        finally:
            self._waiting -= 1
        if answer is None:
            message = f"the pipeline takes more than {self._cpu_seconds:g} s, or too much memory, to judge"
            raise InvalidError(message, hint="split it, or give it fewer steps and expressions")
        return _value_of(*answer)

    async def _apart(self, name: str, given: tuple[Any, ...]) -> Any:
        worker, self._worker = self._worker, None
        if worker is None or worker.has_ended:
            worker = await asyncio.to_thread(_Worker, self._cpu_seconds)
        try:
            answer = await asyncio.to_thread(worker.ask, name, given)
        except asyncio.CancelledError:
            worker.close()
            raise
        if answer is None:
            worker.close()
        else:
            self._worker = worker
        return answer


def _value_of(kind: str, value: Any) -> Any:
    if kind == "problems":
        raise SpecError(value)
    if kind == "invalid":
        message, code, hint = value
        raise InvalidError(message, code=code, hint=hint)
    return value


class _Worker:
    """A process that judges. It ends with its last reference."""

    def __init__(self, cpu_seconds: float) -> None:
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}  # and no key of ours
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gamekeeper.control_plane.judging.worker", str(cpu_seconds)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
            )
        except OSError as error:
            raise UnavailableError(f"no process begins that could judge the pipeline: {error}") from error
        self.close = weakref.finalize(self, _end, self._process)

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def ask(self, name: str, given: tuple[Any, ...]) -> Any:
        """Blocks. None where the process ended instead of answering."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            send(self._process.stdin, (name, given))
            return receive(self._process.stdout)
        except (OSError, ValueError):  # a closed pipe
            return None


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(OSError):
                stream.close()

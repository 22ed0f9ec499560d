"""A process that judges pipelines for another one, one after the other, and that nothing waits for but their callers.

It reads pickled questions from its standard input and writes pickled answers. Its memory is limited, each answer's
processor time is (the one argument, in seconds), and it ends by itself when the process that asks is gone.
"""

from __future__ import annotations

import os
import pickle
import resource
import signal
import struct
import sys
from typing import IO, Any

from gamekeeper.control_plane.judging.work import WORK
from gamekeeper.errors import InvalidError, SpecError

CPU_SECONDS = 15.0
MEMORY_BYTES = 512 * 1024 * 1024
LENGTH = struct.Struct("!Q")
_NICENESS = 5


def main(cpu_seconds: float) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(_NICENESS)
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # a print must not stand among the answers
    while (question := receive(asked)) is not None:
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)  # its signal ends the process
        answer = _answer(*question)
        signal.setitimer(signal.ITIMER_PROF, 0)
        send(answers, answer)


def _answer(name: str, given: tuple[Any, ...]) -> tuple[str, Any]:
    """The answer: a word, and the value or the parts of the error, since exceptions of ours can not be pickled."""
    try:
        return "done", WORK[name](*given)
    except SpecError as error:
        return "problems", error.problems
    except InvalidError as error:
        return "invalid", (error.message, error.code, error.hint)


def send(stream: IO[bytes], message: Any) -> None:
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    stream.write(LENGTH.pack(len(data)) + data)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """None at the end of the stream."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    data = stream.read(length)
    return pickle.loads(data) if len(data) == length else None


if __name__ == "__main__":
    main(float(sys.argv[1]))

"""The log of a process: what a full disk costs it, and what of an error is told."""

from __future__ import annotations

import json
import logging
import os
from asyncio import CancelledError
from collections.abc import Iterator
from pathlib import Path

import pytest

from gamekeeper.errors import UnavailableError
from gamekeeper.logging import JsonFormatter, LineHandler


@pytest.fixture
def descriptor() -> Iterator[int]:
    """A descriptor of a device that is always full."""
    opened = os.open("/dev/full", os.O_WRONLY)
    yield opened
    os.close(opened)


def logger_on(descriptor: int) -> logging.Logger:
    handler = LineHandler(descriptor)
    handler.setFormatter(JsonFormatter())
    logger = logging.Logger("test")
    logger.addHandler(handler)
    return logger


def test_a_full_disk_costs_lines_and_tells_how_many(
    descriptor: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    logger = logger_on(descriptor)
    logger.warning("one")
    logger.warning("two")
    with open(tmp_path / "log", "wb") as file:
        os.dup2(file.fileno(), descriptor)
    logger.warning("three")
    logger.warning("four")
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().split("\n") if line]
    assert [line["message"] for line in lines] == [
        "2 lines of this log could not be written and are lost",
        "three",
        "four",
    ]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "message", "has_trace"),
    [
        (UnavailableError("the disk is full", hint="free space"), "it failed: the disk is full; free space", False),
        (CancelledError(), "it failed: cancelled", False),
        (ValueError("odd"), "it failed", True),
    ],
)
def test_only_an_error_that_nobody_foresaw_has_a_trace(
    error: BaseException, message: str, has_trace: bool, tmp_path: Path
) -> None:
    with open(tmp_path / "log", "wb") as file:
        try:
            raise error
        except (Exception, CancelledError):
            logger_on(file.fileno()).warning("%s failed", "it", exc_info=True)
    line = json.loads((tmp_path / "log").read_text())
    assert (line["message"], "Traceback" in line.get("exception", "")) == (message, has_trace)

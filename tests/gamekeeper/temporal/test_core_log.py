"""An outage of Temporal is one line of the log."""

from __future__ import annotations

import logging

from gamekeeper.temporal.core_log import QUIET_SECONDS, OncePerOutage


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("temporal", logging.WARNING, "(sdk-core)", 0, text, (), None)


def test_an_outage_is_told_once_however_often_the_core_tries() -> None:
    clock = Clock()
    once = OncePerOutage(clock)
    passed = 0
    for attempt in range(100):
        clock.now += QUIET_SECONDS / 2
        for call in ("poll_activity_task_queue", "respond_activity_task_completed"):
            passed += once.filter(record(f"gRPC call {call} retried {attempt} times {{'error': 'Unavailable'}}"))
    assert passed == 1
    clock.now += QUIET_SECONDS + 1
    assert once.filter(record("gRPC call poll_activity_task_queue retried 3 times"))


def test_the_same_words_with_other_numbers_are_the_same_and_other_words_are_not() -> None:
    once = OncePerOutage(Clock())
    assert once.filter(record("Activity 1 was not found"))
    assert not once.filter(record("Activity 2 was not found"))
    assert once.filter(record("Worker heartbeat is off"))


def test_colors_are_taken_out_and_the_cause_is_said() -> None:
    told = record("\x1b[33mgRPC call failed\x1b[0m")
    OncePerOutage(Clock()).filter(told)
    assert told.getMessage() == "Temporal is away: gRPC call failed"


def test_of_an_error_its_code_and_words_are_told() -> None:
    source = 'source: Some(tonic::transport::Error(Transport, ConnectError("tcp connect error", 127.0.0.1:7233)))'
    error = f"""{{'error': 'Status {{ code: Unavailable, message: "tcp connect error", {source} }}'}}"""
    told = record(f"gRPC call poll_activity_task_queue retried 6 times {error}")
    OncePerOutage(Clock()).filter(told)
    words = "gRPC call poll_activity_task_queue retried 6 times (Unavailable: tcp connect error)"
    assert told.getMessage() == f"Temporal is away: {words}"

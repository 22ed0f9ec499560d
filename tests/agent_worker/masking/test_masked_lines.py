"""Masked lines of a log: as many as there were, and the same wherever reading them was broken off and begun again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_worker.masking import masked_lines
from agent_worker.masking.forms import forms_of
from agent_worker.masking.masked_lines import Lines, MaskedLines
from agent_worker.masking.masker import ValueMasker, mask
from gamekeeper.domain.log.log import LogLine, LogStream

VALUES = [b"hunter2-hunter3", b"r3-abcd", b"line one\nline two\n", b"aaaaaa"]
MASKER = ValueMasker(VALUES)
OUT, ERR = LogStream.STDOUT, LogStream.STDERR

_forms = sorted({form for value in VALUES for form in forms_of(value)})
_texts = st.lists(
    st.one_of(st.sampled_from(_forms), st.text("ahr2-\n \nline").map(str.encode), st.just(b"\n")), max_size=12
).map(b"".join)


def in_parts(stream: LogStream, text: bytes, part: int) -> list[LogLine]:
    """As the engine has them: lines, and parts of long ones."""
    lines = text.splitlines(keepends=True)
    return [LogLine(stream, 0, line[at : at + part]) for line in lines for at in range(0, len(line), part)]


@st.composite
def logs(draw: st.DrawFn) -> list[LogLine]:
    """Of both streams, in some order."""
    left = {stream: in_parts(stream, draw(_texts), draw(st.integers(1, 20))) for stream in (OUT, ERR)}
    lines: list[LogLine] = []
    while left[OUT] or left[ERR]:
        stream = draw(st.sampled_from([stream for stream in (OUT, ERR) if left[stream]]))
        lines.append(left[stream].pop(0)._replace(ts_ns=len(lines)))
    return lines


def text_of(lines: Lines, stream: LogStream) -> bytes:
    return b"".join(line.data for line in lines if line.stream is stream)


_batches = st.lists(st.tuples(st.sampled_from(["go on", "new reading", "new reader"]), st.integers(1, 6)), max_size=8)


@given(logs(), _batches)
def test_a_log_is_masked_the_same_wherever_reading_it_begins_again(
    log: list[LogLine], batches: list[tuple[str, int]]
) -> None:
    """A new reader knows nothing but how many lines were kept; a new reading of the same one forgets what it holds."""
    masked, raw, shown = MaskedLines(MASKER), list[LogLine](), list[LogLine]()
    for what, count in [*batches, ("go on", len(log))]:
        if what == "new reader":
            masked = MaskedLines(MASKER)
        if what == "new reading":
            masked.begin()
        at = len(raw) + len(masked.held)
        kept = masked.take([*masked.held, *log[at : at + count]])
        raw += kept[0]
        shown += kept[1]
    last = masked.settle()
    raw, shown = [*raw, *last[0]], [*shown, *last[1]]
    assert raw == log
    assert [(line.stream, line.ts_ns) for line in shown] == [(line.stream, line.ts_ns) for line in log]
    for stream in (OUT, ERR):
        whole = text_of(log, stream)
        found = text_of(shown, stream)
        assert found.count(b"\n") == whole.count(b"\n")
        assert found[: found.rfind(b"\n") + 1] == mask(MASKER, whole[: whole.rfind(b"\n") + 1])
        assert not [form for form in _forms if form in found]


def line(data: bytes, stream: LogStream = OUT) -> LogLine:
    return LogLine(stream, 1, data)


def take(masked: MaskedLines, *lines: LogLine) -> list[bytes]:
    return [line.data for line in masked.take([*masked.held, *lines])[1]]


def test_a_part_waits_for_the_next_and_all_behind_it_do() -> None:
    masked = MaskedLines(MASKER)
    assert take(masked, line(b"first\n"), line(b"part hunter2-"), line(b"other\n", ERR)) == [b"first\n"]
    assert [held.data for held in masked.held] == [b"part hunter2-", b"other\n"]
    assert take(masked, line(b"hunter3 and more\n")) == [b"part ***", b"other\n", b" and more\n"]
    assert not masked.held


def test_a_part_in_which_a_value_ends_is_kept_with_the_one_before() -> None:
    """The last part may go on with a value itself; a reader that began behind the first would show the end of one."""
    masked = MaskedLines(MASKER)
    assert take(masked, line(b"xx hunter2-"), line(b"hunter3 hunt")) == []
    assert take(masked, line(b"ed\n")) == [b"xx ***", b" hunt", b"ed\n"]


def test_the_other_stream_waits_for_a_moment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masked_lines, "HELD_SECONDS", 0)
    masked = MaskedLines(MASKER)
    assert take(masked, line(b"hunter2-"), line(b"one\n", ERR)) == []
    assert take(masked, line(b"two\n", ERR)) == [b"***", b"one\n", b"two\n"]
    assert take(masked, line(b"hunter3 it is\n")) == [b"*** it is\n"]
    assert take(masked, line(b"hun"), line(b"one\n", ERR)) == []
    assert take(masked, line(b"two\n", ERR)) == [b"hun", b"one\n", b"two\n"]
    assert take(masked, line(b"ters\n")) == [b"ters\n"]


def test_no_more_is_held_than_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masked_lines, "HELD_BYTES", 100)
    masked, shown = MaskedLines(MASKER), 0
    for _ in range(50):
        shown += len(take(masked, line(b"hunter2-" if not shown else b"x" * 16, OUT if not shown else ERR)))
        assert len(masked.held) <= 10


def test_without_values_the_lines_are_the_same_objects() -> None:
    lines = [line(b"hunter2-")]
    assert MaskedLines(None).take(lines) == (lines, lines)
    assert MaskedLines(None).settle() == ((), ())

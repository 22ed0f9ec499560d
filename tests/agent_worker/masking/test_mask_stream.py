"""Masking a stream: the same however it is cut, nothing kept back without need, and no value in it."""

from __future__ import annotations

import base64
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_worker.masking.forms import forms_of
from agent_worker.masking.mask_stream import MaskStream
from agent_worker.masking.masker import MASK, WITHHELD, ValueMasker, mask, united

VALUE = b"hunter2-hunter3"

# Of few letters, so that values overlap, are parts of each other, and begin again within themselves.
values = st.lists(st.text("ab/ \n", min_size=1, max_size=12).map(str.encode), min_size=1, max_size=4)
cuts = st.lists(st.integers(0, 400), max_size=12)


@st.composite
def texts(draw: st.DrawFn) -> tuple[list[bytes], bytes]:
    """Values, and a text of their forms, parts of them and other letters."""
    chosen = draw(values)
    forms = sorted({form for value in chosen for form in forms_of(value)}) or [b"ab"]
    part = st.tuples(st.sampled_from(forms), st.integers(0, 40)).map(lambda pair: pair[0][: pair[1] or None])
    pieces = draw(st.lists(st.one_of(st.sampled_from(forms), part, st.text("ab/ \nYW=").map(str.encode)), max_size=12))
    return chosen, b"".join(pieces)


def chopped(text: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(place, len(text)) for place in places), len(text)]
    return [text[begin:end] for begin, end in pairwise(edges)]


def streamed(masker: ValueMasker, pieces: list[bytes]) -> bytes:
    stream = MaskStream(masker)
    return b"".join([*(stream.feed(piece) for piece in pieces), stream.end()])


@given(texts(), cuts)
def test_it_is_the_same_however_it_is_cut(made: tuple[list[bytes], bytes], places: list[int]) -> None:
    chosen, text = made
    masker = ValueMasker(chosen)
    assert streamed(masker, chopped(text, places)) == streamed(masker, [text])
    assert streamed(masker, chopped(text + b"\n", places)) == mask(masker, text + b"\n")


@given(texts(), cuts)
def test_no_form_of_a_value_is_left(made: tuple[list[bytes], bytes], places: list[int]) -> None:
    chosen, text = made
    shown = streamed(ValueMasker(chosen), chopped(text, places))
    assert not [form for value in chosen for form in forms_of(value) if form in shown]


@given(texts())
def test_all_that_a_form_covers_is_masked_and_nothing_else(made: tuple[list[bytes], bytes]) -> None:
    chosen, text = made
    forms = {form for value in chosen for form in forms_of(value)}
    places = [(at, at + len(form)) for form in forms for at in range(len(text)) if text.startswith(form, at)]
    assert ValueMasker(chosen).spans(text) == united(places)


@given(texts(), cuts, st.data())
def test_letting_go_changes_nothing_but_beginnings(
    made: tuple[list[bytes], bytes], places: list[int], data: st.DataObject
) -> None:
    """The rest of a value is masked behind a short beginning of it that was shown; all else is the same."""
    chosen, text = made
    masker, stream, shown = ValueMasker(chosen), MaskStream(ValueMasker(chosen)), b""
    for piece in chopped(text + b"\n", places):
        shown += stream.feed(piece)
        if data.draw(st.booleans()):
            shown += stream.let_go()
            assert not stream.keeps
    shown += stream.end()
    assert not [form for value in chosen for form in forms_of(value) if form in shown]
    if not masker.spans(text):
        assert shown == text + b"\n"
    assert shown.count(MASK) == len(masker.spans(text + b"\n"))


@pytest.mark.parametrize(
    ("text", "at_once"),
    [
        (b"Password: ", b"Password: "),
        (b"login: h", b"login: "),
        (b"login: hunter2-", b"login: "),
        (b"login: hunter2-hunter3", b"login: ***"),
        (b"hunter2-hunter2-h", b"hunter2-"),
        (b"hunter2-hunter3h", b"***"),
        (b"hunter2-\n", b"hunter2-\n"),
    ],
)
def test_only_what_may_be_the_beginning_of_a_value_is_kept_back(text: bytes, at_once: bytes) -> None:
    assert MaskStream(ValueMasker([VALUE])).feed(text) == at_once


def test_what_is_typed_is_shown_until_it_says_much_of_a_value() -> None:
    stream, shown = MaskStream(ValueMasker([VALUE])), []
    for byte in VALUE + b"\r\n":
        shown.append(stream.feed(bytes([byte])) + stream.let_go())
    assert shown[:4] == [b"h", b"u", b"n", b""]
    assert b"".join(shown) == b"hun***\r\n"


def test_what_was_typed_and_is_no_value_is_shown_whole() -> None:
    stream = MaskStream(ValueMasker([VALUE]))
    shown = [stream.feed(b"%c" % byte) + stream.let_go() for byte in b"hunters\r\n"]
    assert b"".join(shown) == b"hunters\r\n"


@pytest.mark.parametrize(("text", "shown"), [(b"x hun", b"x hun"), (b"x hunt", b"x ***"), (b"x hunter2-h", b"x ***")])
def test_the_end_of_a_stream_shows_no_long_beginning_of_a_value(text: bytes, shown: bytes) -> None:
    assert streamed(ValueMasker([VALUE]), [text]) == shown


def test_values_that_overlap_are_masked_as_one() -> None:
    masker = ValueMasker([b"abcdef", b"defghi", b"cd12"])
    assert mask(masker, b"-abcdefghi-abcdef12-abcd12-") == b"-***-***12-ab***-"


def test_a_masked_run_that_goes_on_in_the_next_piece_is_one() -> None:
    stream = MaskStream(ValueMasker([b"abcdef", b"defghi"]))
    assert [stream.feed(b"abcdef"), stream.feed(b"gh"), stream.feed(b"i-")] == [b"***", b"", b"-"]
    assert [stream.feed(b"abcdef"), stream.feed(b"gx")] == [b"***", b"gx"]
    assert stream.feed(b"abcdefgh") + stream.end() == b"***"


def test_values_that_never_come_hide_every_line() -> None:
    stream = MaskStream(WITHHELD)
    assert stream.feed(b"one\r\n\ntwo\n") + stream.feed(b"thr") + stream.end() == b"***\r\n\n***\n***"


def test_values_that_are_added_are_masked_beside_the_others() -> None:
    masker = ValueMasker([VALUE])
    assert masker.and_of([VALUE]) is masker
    more = masker.and_of([b"another-one"])
    assert mask(more, VALUE + b" " + base64.b64encode(b"another-one")) == b"*** ***"


def test_united_keeps_what_only_touches_apart() -> None:
    assert united([(4, 6), (0, 2), (2, 4), (5, 9), (1, 2)]) == [(0, 2), (2, 4), (4, 9)]

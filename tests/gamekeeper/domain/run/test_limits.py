"""Sizes that a run keeps to."""

from __future__ import annotations

import pytest

from gamekeeper.domain.run.limits import MAX_COMMANDS, MAX_MESSAGE, MAX_RENDERED, check_size, encoded_size, shortened
from gamekeeper.errors import InvalidError

TEMPORALS_TASK = 4 * 1024 * 1024
LINUX_ARGUMENT = 128 * 1024


@pytest.mark.parametrize(("value", "size"), [("ab", 4), ("\x01", 8), ("é", 4), ([1, None], 8), ({"a": "b"}, 9)])
def test_a_value_is_measured_as_it_is_encoded(value: object, size: int) -> None:
    assert encoded_size(value) == size


def test_a_value_as_large_as_its_limit_is_taken_and_one_byte_more_is_not() -> None:
    assert check_size("the cell", "x" * 98, 100, "hint") == 100
    with pytest.raises(InvalidError, match="the cell is too large: 1,001 bytes; the limit is 1,000") as caught:
        check_size("the cell", "x" * 999, 1000, "pass a file")
    assert caught.value.hint == "pass a file"


@pytest.mark.parametrize("length", [0, MAX_MESSAGE - 1, MAX_MESSAGE])
def test_a_message_that_fits_stays(length: int) -> None:
    assert shortened("x" * length) == "x" * length


def test_a_longer_message_is_cut_to_the_limit_and_shows_the_cut() -> None:
    text = "".join(chr(ord("a") + index % 26) for index in range(MAX_MESSAGE + 1))
    assert shortened(text) == text[: MAX_MESSAGE - 1] + "…"
    assert len(shortened(text)) == MAX_MESSAGE


def test_the_limits_leave_room_under_those_of_temporal_and_linux() -> None:
    assert MAX_RENDERED <= LINUX_ARGUMENT
    assert MAX_COMMANDS + MAX_RENDERED < TEMPORALS_TASK

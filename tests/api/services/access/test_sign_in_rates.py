"""Delays of the sign-in, by a clock of the test."""

from __future__ import annotations

import pytest

from api.services.access.sign_in_rates import (
    FORGOTTEN_SECONDS,
    FREE_OF_ADDRESS,
    FREE_OF_PAIR,
    LONGEST_SECONDS,
    MAX_KEPT,
    SignInRates,
)
from gamekeeper.errors import TooOftenError

HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"


class Doors:
    """Rates with a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.rates = SignInRates(lambda: self.now)

    def wrong(self, user: str, network: str, *, is_known: bool = False) -> float:
        """Seconds to wait; 0 for an attempt that was let through, and is wrong."""
        try:
            self.rates.begin(user, network, is_known=is_known)
        except TooOftenError as error:
            return error.after_seconds
        return 0.0

    def right(self, user: str, network: str, *, is_known: bool = False) -> None:
        self.rates.right(self.rates.begin(user, network, is_known=is_known))


def test_each_wrong_password_waits_longer_and_none_for_ever() -> None:
    doors, waits = Doors(), list[float]()
    for _ in range(20):
        assert doors.wrong("mia", HOME) == 0.0
        wait = doors.wrong("mia", HOME)
        waits.append(wait)
        doors.now += wait
    assert waits[: FREE_OF_PAIR - 1] == [0.0] * (FREE_OF_PAIR - 1) or waits[0] == 0.0
    assert waits == sorted(waits)
    assert max(waits) == LONGEST_SECONDS


def test_ten_thousand_wrong_passwords_lock_nobody_out() -> None:
    doors, let_through = Doors(), 0
    for number in range(10_000):
        let_through += doors.wrong("mia", f"203.0.113.{number % 250}") == 0.0
        doors.now += 0.1
        if number % 500 == 0:
            doors.right("mia", HOME, is_known=True)
            doors.right("joe", ELSEWHERE)
    assert let_through < 60  # of a thousand seconds
    doors.now += LONGEST_SECONDS
    doors.right("mia", ELSEWHERE)


def test_what_is_refused_adds_nothing_to_the_wait() -> None:
    doors = Doors()
    while not (wait := doors.wrong("mia", HOME)):
        pass
    for _ in range(1000):
        assert doors.wrong("mia", HOME) == wait
    doors.now += wait
    assert doors.wrong("mia", HOME) == 0.0


def test_many_at_once_are_no_way_around() -> None:
    doors = Doors()
    assert sum(doors.wrong("mia", HOME) == 0.0 for _ in range(100)) == FREE_OF_PAIR


def test_an_address_that_tries_one_password_on_many_waits() -> None:
    doors = Doors()
    assert sum(doors.wrong(f"user-{number}", HOME) == 0.0 for number in range(1000)) == FREE_OF_ADDRESS
    with pytest.raises(TooOftenError):
        doors.rates.check_address(HOME)
    doors.rates.check_address(ELSEWHERE)


def test_a_right_one_does_not_free_an_address_that_guesses() -> None:
    doors = Doors()
    for number in range(10_000):
        doors.wrong(f"user-{number}", HOME)
        try:
            doors.right("own", HOME)
        except TooOftenError as error:
            doors.now += error.after_seconds
    guessed = doors.now
    assert guessed > 10_000 * 10  # of an account of its own, a guesser gains nothing


def test_what_was_not_whole_does_not_count() -> None:
    doors = Doors()
    for _ in range(1000):
        doors.rates.undo(doors.rates.begin("mia", HOME, is_known=False))


def test_what_was_wrong_long_ago_is_forgotten() -> None:
    doors = Doors()
    for _ in range(FREE_OF_PAIR - 1):
        assert doors.wrong("mia", HOME) == 0.0
    doors.now += FORGOTTEN_SECONDS + 1
    for _ in range(FREE_OF_PAIR):
        assert doors.wrong("mia", HOME) == 0.0


def test_the_memory_is_bounded() -> None:
    doors = Doors()
    for number in range(MAX_KEPT):
        doors.wrong(f"user-{number}", f"2001:db8:{number:x}::/64")
    assert len(doors.rates._kept) <= MAX_KEPT

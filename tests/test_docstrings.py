"""The check of docstrings sees each place where one can stand."""

from __future__ import annotations

import pytest

from scripts.check_docstrings import bad_docstrings, silent_port_methods

PLACES = {
    "module": '"""{}"""\n',
    "class": 'class A:\n    """{}"""\n',
    "method": 'class A:\n    def b(self):\n        """{}"""\n',
    "coroutine": 'async def a():\n    """{}"""\n',
}


@pytest.mark.parametrize("place", PLACES)
def test_a_question_word_at_the_beginning_is_found(place: str) -> None:
    text = PLACES[place]
    assert [word for _, word in bad_docstrings(text.format("What a step asks for."))] == ["What"]
    assert [word for _, word in bad_docstrings(text.format("Whether it runs."))] == ["Whether"]
    assert not list(bad_docstrings(text.format("Whatever a step asks for, it gets.")))
    assert not list(bad_docstrings(text.format("The words that say what a step asks for.")))


def test_a_method_of_a_port_says_whether_it_is_idempotent() -> None:
    told = 'def b(self):\n        """Starts it. Idempotent."""'
    silent = 'def c(self):\n        """Starts it."""'
    port = f"class A(Protocol):\n    {told}\n    {silent}\n"
    assert [name for _, name in silent_port_methods(port)] == ["c"]
    assert not list(silent_port_methods(port.replace("(Protocol)", "")))

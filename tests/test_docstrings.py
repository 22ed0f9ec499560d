"""The check of docstrings sees each place where one can stand."""

from __future__ import annotations

import pytest

from scripts.check_docstrings import bad_docstrings

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

"""The graph of steps: a cycle is found wherever there is one, and is one."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gamekeeper.domain.language.graph import ancestors, find_cycle

NAMES = st.sampled_from("abcdef")


@given(st.dictionaries(NAMES, st.lists(NAMES, max_size=3), max_size=6))
def test_a_cycle_is_found_where_a_step_waits_for_itself(needs: dict[str, list[str]]) -> None:
    cycle = find_cycle(needs)
    waits_for_itself = {name for name in needs if name in ancestors(needs, name)}
    assert (cycle is not None) is bool(waits_for_itself)
    if cycle is not None:
        assert cycle[0] == cycle[-1]
        assert set(cycle) <= waits_for_itself
        assert all(before in needs[after] for before, after in pairwise(cycle))


def test_a_need_that_is_no_step_is_in_no_cycle() -> None:
    assert find_cycle({"a": ["x", "b"], "b": ["a"]}) == ["a", "b", "a"]
    assert find_cycle({"a": ["x"]}) is None
    assert ancestors({"a": ["x", "b"], "b": ["c"]}, "a") == {"x", "b", "c"}

"""The graph of steps: a cycle is found wherever there is one, and is one."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gamekeeper.domain.language.graph import Ancestors, find_cycle

NAMES = st.sampled_from("abcdef")


def waited_for(needs: dict[str, list[str]], name: str) -> set[str]:
    """Step by step, the plainest way."""
    found: set[str] = set()
    left = list(needs.get(name, ()))
    while left:
        need = left.pop()
        left += [] if need in found else needs.get(need, [])
        found.add(need)
    return found


@given(st.dictionaries(NAMES, st.lists(NAMES, max_size=3), max_size=6))
def test_a_cycle_is_found_where_a_step_waits_for_itself(needs: dict[str, list[str]]) -> None:
    cycle = find_cycle(needs)
    waits_for_itself = {name for name in needs if name in waited_for(needs, name)}
    assert (cycle is not None) is bool(waits_for_itself)
    if cycle is not None:
        assert cycle[0] == cycle[-1]
        assert set(cycle) <= waits_for_itself
        assert all(before in needs[after] for before, after in pairwise(cycle))


def test_a_need_that_is_no_step_is_in_no_cycle() -> None:
    assert find_cycle({"a": ["x", "b"], "b": ["a"]}) == ["a", "b", "a"]
    assert find_cycle({"a": ["x"]}) is None
    assert Ancestors({"a": ["x", "b"], "b": ["c"]}).of("a") == {"x", "b", "c"}


@given(st.dictionaries(NAMES, st.lists(NAMES, max_size=3), max_size=6))
def test_ancestors_are_those_of_the_plainest_way(needs: dict[str, list[str]]) -> None:
    above = Ancestors(needs)
    if find_cycle(needs) is None:
        assert {name: above.of(name) for name in needs} == {name: waited_for(needs, name) for name in needs}
    else:
        assert all(above.of(name) >= waited_for(needs, name) for name in needs)


def test_a_dense_graph_is_followed_once() -> None:
    needs = {str(name): [str(other) for other in range(max(0, name - 150), name)] for name in range(900)}
    assert len(Ancestors(needs).of("899")) == 899

"""The graph of steps: its order and its cycles. Pure, without Temporal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Needs = Mapping[str, Sequence[str]]


def find_cycle(needs: Needs) -> list[str] | None:
    """The first cycle, as ``[a, b, a]`` in the order of running, or None. Iterative: 10,000 steps are no recursion."""
    done: set[str] = set()
    for root in needs:
        path: list[str] = []
        stack: list[tuple[str, int]] = [(root, 0)]
        while stack:
            name, index = stack.pop()
            if index == 0:
                if name in done:
                    continue
                if name in path:
                    return [*path[path.index(name) :], name][::-1]
                path.append(name)
            following = [need for need in needs.get(name, ()) if need in needs]
            if index < len(following):
                stack.append((name, index + 1))
                stack.append((following[index], 0))
            else:
                done.add(name)
                path.remove(name)
    return None


def ancestors(needs: Needs, name: str) -> set[str]:
    """Every step that ``name`` waits for, directly or not."""
    found: set[str] = set()
    open_names = list(needs.get(name, ()))
    while open_names:
        need = open_names.pop()
        if need not in found:
            found.add(need)
            open_names.extend(needs.get(need, ()))
    return found

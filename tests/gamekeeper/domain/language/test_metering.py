"""The cost of expressions: the worst ones are refused soon, and the counting changes no value."""

from __future__ import annotations

from typing import Any

import cel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamekeeper.domain.language.counted_expression import with_counters
from gamekeeper.domain.language.evaluation import Values, evaluate
from gamekeeper.domain.language.expressions import ExpressionError
from gamekeeper.domain.language.metering import EXPRESSION_UNITS, Budget, size
from gamekeeper.errors import InvalidError

ROOTS = frozenset({"args", "envs", "steps"})
ARGS: dict[str, Any] = {
    "list": [1, 2, 3],
    "names": ["ada", "bob", "cy"],
    "map": {"a": 1, "b": 2},
    "text": "x" * 1_000_000,
    "many": list(range(10_000)),
    "deep": [[1, 2], [3]],
}


def valued(text: str, budget: Budget | None = None) -> Any:
    return evaluate(text, Values(args=ARGS, budget=budget or Budget()))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("args.list.map(v, v * 2)", [2, 4, 6]),
        ("args.list.map(v, v > 1, v * 2)", [4, 6]),
        ("args.list.filter(v, v > 1).map(w, string(w) + 'a')", ["2a", "3a"]),
        ("args.names.exists(n, n == 'bob') && args.names.all(n, n.size() > 1)", True),
        ("args.list.exists_one(v, v == 2)", True),
        ("args.deep.map(row, row.map(v, v + row.size()))", [[3, 4], [4]]),
        ("args.map.map(map, map)", ["a", "b"]),
        ("[1u, 2u].map(v, v)[0] == 1u", True),
        ("args.names.filter(n, n.matches('^[ab]'))", ["ada", "bob"]),
        ("{'b': 1, 'a': 2, 'c': 3}.map(k, k)", ["a", "b", "c"]),
        ("[{'b': 1, 'a': 2}].map(m, m.filter(k, m[k] > 0))", [["a", "b"]]),
        ("args['deep'][1].map(v, v)", [3]),
        ("(args.list + [4]).map(v, v)", [1, 2, 3, 4]),
        ("!args.list.all(v, v in [1].map(w, w))", True),
        ("-args.list.map(v, v)[0] + 5", 4),
        ("true ? args.list.map(v, v) : args.list.filter(v, v > 1)", [1, 2, 3]),
        ("args.names . map ( n , // the comma, and a bracket )\n n + ',(' )", ["ada,(", "bob,(", "cy,("]),
        ("['.map(v, v)', r\"\\\", '''a'.map(b, c)'''].map(v, v)", [".map(v, v)", "\\", "a'.map(b, c)"]),
        ("args['list'].map(v, v)", [1, 2, 3]),
        ("args.list.all(v, v > 5) || true", True),
        ("range(256).map(i, i * i).size()", 256),
    ],
)
def test_counting_changes_no_value(text: str, value: Any) -> None:
    assert valued(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "range(256).map(a, range(256).map(b, range(256).map(c, range(256).map(d, d)))).size() > 0",
        "range(256).all(a, range(256).all(b, range(256).all(c, true)))",
        "range(256).exists(a, range(256).exists(b, range(256).exists(c, false))) || true",
        "range(256).all(a, range(256).all(b, range(256).all(c, false || true) || true) || true)",
        "['aaaaaaaaaa']" + ".map(v, v + v)" * 30,
        "[[1]]" + ".map(v, [v, v, v, v])" * 12 + ".size() > 0",
        "+".join(["args.text"] * 100) + " != ''",
        "range(256).map(i, args.text + string(i)).size() > 0",
        "[args.text].map(t, range(256).map(i, t + t)).size() > 0",
        "args.many.map(v, v).size() > 0",
        "args.many.map(v, args.many[v]).size() > 0",
        "args.many.filter(v, args['many'].size() > v).size() > 0",
        "args.many.all(v, size(args) > 0)",
        r"range(256).all(i, 'a'.matches('\\w{200}') || true)",
        r"range(256).all(i, 'a'.matches('(\\pL{50}){20}') || true)",
        "range(256).map(i, from_json('\"' + args.text + '\"')).size() > 0",
        "range(256).map(i, hash(args.text)).size() > 0",
    ],
)
def test_what_does_too_much_is_refused(text: str) -> None:
    budget = Budget()
    with pytest.raises(ExpressionError, match="does too much"):
        valued(text, budget)
    assert budget.left == Budget().left - EXPRESSION_UNITS - 1


def test_expressions_of_one_run_share_what_they_may_cost() -> None:
    budget, text = Budget(), "range(256).map(a, range(64).map(b, b)).size()"
    while budget.left > EXPRESSION_UNITS:
        assert valued(text, budget) == 256
    budget.left = 1000
    with pytest.raises(ExpressionError, match="does too much"):
        valued(text, budget)


@pytest.mark.parametrize("name", ["gk_round", "gk_pattern", "gk_entries"])
def test_the_counters_are_nobodys(name: str) -> None:
    with pytest.raises(ExpressionError, match="unknown function"):
        valued(f"{name}(0)")


def test_macros_may_stand_in_one_another_twelve_deep() -> None:
    def nested(depth: int) -> str:
        return "[1].map(v, " * depth + "v" + ")" * depth

    with_counters(nested(12), ROOTS)
    with pytest.raises(InvalidError, match="stand in one another"):
        with_counters(nested(13), ROOTS)


@given(st.text(alphabet="abv.map(),'\"\\ \n/rb[]1+", max_size=60))
def test_every_text_is_read(text: str) -> None:
    counted = with_counters(text, ROOTS)
    assert counted.regions[0].macro == ""


def _lists(depth: int) -> st.SearchStrategy[str]:
    leaf = st.sampled_from(["args.list", "args.names", "range(3)", "['a', ')', \"(\"]", "args.map"])
    if depth == 0:
        return leaf
    below = _lists(depth - 1)
    name = st.sampled_from(["v", "w", "map", "list"])
    body = st.sampled_from(["{0}", "string({0}) + ','", "[{0}, {0}]", "[1, 2].map(x, [x, {0}])", "args.list.size()"])
    test = st.sampled_from(["true", "string({0}) != '2'", "[1].exists(y, y == 1)", "args.list.all(z, z > 0) || false"])
    mapped = st.builds(lambda made, v, b: f"{made}.map({v}, {b.format(v)})", below, name, body)
    kept = st.builds(lambda made, v, t: f"{made}.filter({v}, {t.format(v)})", below, name, test)
    both = st.builds(lambda made, v, t, b: f"{made}.map({v}, {t.format(v)}, {b.format(v)})", below, name, test, body)
    return st.one_of(leaf, mapped, kept, both)


def _unordered(value: Any) -> Any:
    """CEL's own order of a mapping's keys is another one each time."""
    return sorted(map(str, map(_unordered, value))) if isinstance(value, list) else value


@given(_lists(3))
@settings(max_examples=150)
def test_counted_and_uncounted_agree(text: str) -> None:
    context = cel.Context({"args": ARGS}, {"range": lambda count: list(range(count))})
    try:
        plain = cel.compile(text).execute(context)
    except (RuntimeError, TypeError):
        with pytest.raises(ExpressionError):
            valued(text)
        return
    assert _unordered(valued(text)) == _unordered(plain)


def test_the_size_of_a_value() -> None:
    assert [size(value) for value in (1, "a", "a" * 256, [1, [2]], {"a": None})] == [1, 1, 2, 4, 3]

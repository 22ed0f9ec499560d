"""CEL inside templates."""

from __future__ import annotations

import pytest

from gamekeeper.domain.language.evaluation import Values, as_template_text, as_texts, evaluate, render, render_tree
from gamekeeper.domain.language.expressions import (
    ExpressionError,
    Scope,
    check_expression,
    find_expressions,
    is_dynamic,
    reads_args,
)

VALUES = Values(
    args={"port": 8303, "mode": "full", "list": [1, 2], "flag": True, "none": None},
    steps={"a-b": {"status": "succeeded", "exit_code": 0}},
    run={"id": "r1", "status": "failed"},
    status={"success": False, "failure": True, "cancelled": False, "always": True},
)
SCOPE = Scope(
    frozenset({"port", "mode"}),
    frozenset({"ROOT"}),
    frozenset({"a-b", "build", "server", "quiet"}),
    ports={"server": frozenset({"game", "80"}), "quiet": frozenset()},
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${{ args.port }}", 8303),
        ("${{ args.port + 1 }}", 8304),
        ("x ${{ args.port }} y ${{ args.flag }}", "x 8303 y true"),
        ("${{ args.list }}", [1, 2]),
        ("l: ${{ args.list }}", "l: [1,2]"),
        ("n: ${{ args.none }}", "n: "),
        ("${{ '}}' }}", "}}"),
        ("no template", "no template"),
        ("${{ steps['a-b'].status }}", "succeeded"),
        ("${{ failure() && !success() }}", True),
        ("${{ range(3) }}", [0, 1, 2]),
        ('${{ from_json("[1]")[0] }}', 1),
        ("${{ hash('a') }}", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"),
    ],
)
def test_render(text: str, value: object) -> None:
    assert render(text, VALUES) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.5", 1.5),
        ("duration('90s')", "90s"),
        ("duration('1500ms')", "1.5s"),
        ("timestamp('2026-01-31T12:00:00Z')", "2026-01-31T12:00:00Z"),
        ("[1, duration('10s')]", [1, "10s"]),
        ("{2: true, 'x': [null]}", {"2": True, "x": [None]}),
        ("size(range(256))", 256),
        ("range(0)", []),
        ("hash({'b': 1, 'a': 2}) == hash({'a': 2, 'b': 1})", True),
        ("hash(['a']) == hash('[\"a\"]')", True),
    ],
)
def test_a_value_has_nothing_that_json_lacks(text: str, value: object) -> None:
    found = evaluate(text, VALUES)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("1.0 / 0.0", "the number inf"),
        ("double('nan')", "the number nan"),
        ("b'a'", "bytes"),
        ("[b'a']", "bytes"),
        ("{'a': -1.0 / 0.0}", "the number -inf"),
    ],
)
def test_a_value_that_json_lacks_says_how_to_convert_it(text: str, what: str) -> None:
    with pytest.raises(ExpressionError, match=f"it gives {what}, which can't be used") as caught:
        evaluate(text, VALUES)
    assert caught.value.hint == "convert it, as with string()"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (True, "true"), (False, "false"), ("a", "a"), (1.5, "1.5"), ({"a": [1]}, '{"a":[1]}')],
)
def test_the_text_of_a_value_inside_a_longer_one(value: object, text: str) -> None:
    assert as_template_text(value) == text
    assert as_texts({"X": value}) == {"X": text}


def test_static_rendering_leaves_the_rest() -> None:
    tree = {"a": ["${{ args.port }}", "${{ run.status }}"], "b": "${{ args.mode }}-${{ steps['a-b'].exit_code }}"}
    assert render_tree(tree, VALUES, static_only=True) == {
        "a": [8303, "${{ run.status }}"],
        "b": "full-${{ steps['a-b'].exit_code }}",
    }


@pytest.mark.parametrize(
    ("text", "dynamic"), [("args.port", False), ("run.id", False), ("run.status", True), ("always()", True)]
)
def test_dynamic(text: str, dynamic: bool) -> None:
    assert is_dynamic(text) is dynamic


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("args.prot", 'unknown name "args.prot"; did you mean "args.port"'),
        ("envs['ROTO']", 'unknown name "envs.ROTO"'),
        ("steps.nope.status", 'unknown name "steps.nope"'),
        ("steps.a-b.status", 'steps\\["a-b"\\]'),
        ("steps.build.ports.game", 'step "build" is no service: nothing of it is published'),
        ("steps.server.ports.gmae", 'step "server" publishes no port "gmae"; did you mean "game"'),
        ("steps['server'].ports['9']", 'publishes no port "9"; known: 80, game'),
        ("steps.server.ports[80]", r'the name of a port is a text; write steps\["server"\].ports\["80"\]'),
        ("steps.quiet.ports.web", 'publishes no port "web"; add "ports" to its container'),
        ("steps.other.ports.web", 'unknown name "steps.other"'),
        ("steps['build']['stats']", 'a step has no "stats"; did you mean "status"'),
        ("inputs.map", 'unknown name "inputs"; write args.NAME'),
        ("needs.build.outputs.x", "write steps.NAME.outputs.KEY"),
        ("github.sha", "write run.id, run.name or run.status"),
        ("secrets.KEY", "declare it as envs: {KEY: {secret: s3-key}}, and write envs.KEY"),
        ("fromJSON(args.mode)", 'unknown function "fromJSON"; write from_json'),
        ("contains(args.mode, 'x')", "write text.contains"),
        ("run.satus", 'unknown name "run.satus"'),
        ("matrix.x", "for the container of a step that has one"),
        ("secret", 'unknown name "secret"'),
        ("succes()", 'unknown function "succes"; did you mean "success"'),
        ("(" * 3000, "is not an expression|over 4096"),
        ("a" * 4097, "over 4096"),
        ("a" * 4096, "unknown name"),
        ("", "is not an expression"),
        ("args.mode(.map(x, x * 4).filterx, x)", "is not an expression: a macro stands behind no value"),
    ],
)
def test_wrong_expressions(text: str, message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        check_expression(text, SCOPE)


@pytest.mark.parametrize("text", ["steps.server.ports.game", "steps['server'].ports['80'] + 1", "steps.open.ports.any"])
def test_ports_that_a_service_has_may_be_read(text: str) -> None:
    ports = {"server": frozenset({"game", "80"}), "open": None}
    check_expression(text, Scope(steps=frozenset(ports), ports=ports))


def test_what_does_not_parse_says_where_and_why() -> None:
    with pytest.raises(ExpressionError) as caught:
        check_expression("args.port ++", SCOPE)
    assert caught.value.message.startswith('"args.port ++" is not an expression: at column 12: "+" can\'t stand there')
    assert "ERROR" not in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("args.a + args['b'] + args[\"c\"]", {"a", "b", "c"}),
        ("args", {"*"}),
        ("args[steps.a.status] + args.b", {"*", "b"}),
        ("'args.a' == \"args.b\"", set()),
        ("steps.args.outputs.x", set()),
    ],
)
def test_the_arguments_that_an_expression_reads(text: str, names: set[str]) -> None:
    assert reads_args(text) == names


@pytest.mark.parametrize("text", ["args.list.map(i, i * 2)", "'args.nope' == args.mode", "size(args.mode) > 2"])
def test_right_expressions(text: str) -> None:
    check_expression(text, Scope(frozenset({"list", "mode"})))


@pytest.mark.parametrize("text", ["args.mode + 1", "steps.x.y", "1 / 0", "range(257)", "range(-1)", "from_json('{')"])
def test_failing_evaluation_says_why(text: str, caplog: pytest.LogCaptureFixture) -> None:
    """In the error alone: what the library warns of would go to standard error where no log is configured."""
    with pytest.raises(ExpressionError, match="failed"):
        evaluate(text, VALUES)
    assert caplog.messages == []


def test_a_name_without_a_value_is_told_by_its_name() -> None:
    with pytest.raises(ExpressionError, match=r"args\.nope\" failed: there is no 'nope'$"):
        evaluate("args.nope", VALUES)


def test_find() -> None:
    assert [text.strip() for text in find_expressions("${{ a }} and ${{ 'x}}' }}")] == ["a", "'x}}'"]

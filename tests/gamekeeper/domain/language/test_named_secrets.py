"""Secrets in pipelines and instances: all spellings mean one list of names, and nothing else may read one."""

from __future__ import annotations

from typing import Any

import pytest

from gamekeeper.domain.instance.document import InstanceDocument, make_spec, read_document
from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.problem import ProblemList
from gamekeeper.domain.language.resolve import Call, resolve
from gamekeeper.domain.language.source import parse_text
from gamekeeper.domain.secret.name import name_trouble
from gamekeeper.errors import SpecError
from tests.factories import resolve_text

HEAD = "version: 1\nname: test\nenvs: {KEY: {secret: s3-key}, MOTD: hello}\nsteps:\n  - name: work\n    container:\n"


def of(text: str, **call: Any) -> Container:
    lines = "".join(f"      {line}\n" for line in text.splitlines())
    return resolve_text(f"{HEAD}      image: debian\n{lines}", **call).steps[0].spec


def places(container: Container) -> list[tuple[str, str]]:
    return [(item.secret, item.place) for item in container.secrets]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("environment: [KEY]", [("s3-key", "KEY")]),
        ("environment: {KEY: }", [("s3-key", "KEY")]),
        ('environment: {OTHER: "${{ envs.KEY }}"}', [("s3-key", "OTHER")]),
        ("environment: {OTHER: \"${{ envs['KEY'] }}\"}", [("s3-key", "OTHER")]),
        ("environment: {RCON: {secret: rcon}, MAP: dm1}", [("rcon", "RCON")]),
        ("secrets: [rcon]", [("rcon", "/run/secrets/rcon")]),
        ("secrets: rcon", [("rcon", "/run/secrets/rcon")]),
        ("secrets: [{secret: rcon, path: /etc/rcon, mode: 0440, uid: 5}]", [("rcon", "/etc/rcon")]),
        ("secrets: [{secret: rcon, env: RCON}, rcon]", [("rcon", "RCON"), ("rcon", "/run/secrets/rcon")]),
        ("environment: {MAP: dm1}", []),
    ],
)
def test_each_spelling_is_a_name_and_a_place(text: str, wanted: list[tuple[str, str]]) -> None:
    container = of(text)
    assert places(container) == wanted
    assert not {"KEY", "OTHER", "RCON"} & container.environment.keys()
    assert container.environment["MOTD"] == "hello"
    assert Container.model_validate(container.model_dump(mode="json", exclude_unset=True)) == container


def test_a_secret_of_the_envs_reaches_no_step_that_does_not_name_it() -> None:
    resolved = resolve_text(f"{HEAD}      image: debian\n")
    assert resolved.steps[0].spec.secrets == []
    assert resolved.declared_secrets == {"KEY": "s3-key"}
    assert resolved.envs == {"MOTD": "hello"}
    assert "s3-key" not in resolved.model_dump_json()


def test_in_commands_it_is_a_variable_that_is_not_echoed() -> None:
    container = of('commands: [\'curl -H "${{ envs.KEY }}" "${{ envs.MOTD }}"\']')
    assert places(container) == [("s3-key", "GAMEKEEPER_EXPR_2")]
    assert container.environment["GAMEKEEPER_EXPR_1"] == "hello"
    echo, command = (container.command or [])[1].splitlines()
    assert "GAMEKEEPER_EXPR_2" not in echo
    assert "***" in echo
    assert "${GAMEKEEPER_EXPR_2}" in command


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ('environment: {URL: "db://${{ envs.KEY }}@db"}', "environment.URL", "which only stands for a whole variable"),
        ('environment: {URL: "${{ hash(envs.KEY) }}"}', "environment.URL", "which only stands for a whole variable"),
        ('hostname: "${{ envs.KEY }}"', "hostname", "which only stands for a whole variable"),
        ('labels: {x: "${{ envs.KEY }}"}', "labels.x", "which only stands for a whole variable"),
        ("environment: {RCON: {secret: R CON}}", "environment", '"R CON" is no name of a secret'),
        ('environment: {RCON: {secret: "${{ envs.MOTD }}"}}', "environment", "holds no template"),
        ("environment: {RCON: {secrets: rcon}}", "environment", "RCON must be text or {secret: NAME}, got a mapping"),
        ("secrets: [rcon, rcon]", "", '"/run/secrets/rcon" is given twice'),
        ("environment: {RCON: x}\nsecrets: [{secret: rcon, env: RCON}]", "", '"RCON" is given twice'),
        ('secrets: ["${{ envs.MOTD }}"]', "secrets[0]", "holds no template"),
        ("secrets: [{source: rcon, target: /x}]", "secrets[0]", "source is secret here: write {secret: NAME, path:"),
        ("secrets: [{secret: rcon, path: etc/x}]", "secrets[0].path", "is no path of a file"),
        ("secrets: [{secret: rcon, path: /etc/../x}]", "secrets[0].path", "is no path of a file"),
        ("secrets: [{secret: rcon, path: /x, env: X}]", "secrets[0]", "has env and path"),
        ("secrets: [{secret: rcon, env: X-Y}]", "secrets[0].env", "is no name of a variable"),
        ("secrets: [{secret: rcon, env: X, mode: 0400}]", "secrets[0]", "mode, uid and gid are of a file"),
        ("secrets: [{secret: rcon, mode: 9}]", "secrets[0].mode", 'mode "9" is not octal'),
        ("secrets: [{secret: rcon, uid: -1}]", "secrets[0].uid", "an owner is a number"),
        ("pull: {secret: login, registry: 'http://x'}", "pull.registry", "is no registry"),
    ],
)
def test_a_slip_is_told_at_its_line(text: str, path: str, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        of(text)
    (problem,) = caught.value.problems
    assert problem.path == f"steps[0].container{'.' if path else ''}{path}"
    assert words in problem.message
    assert problem.line >= 6


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("if: \"${{ envs.KEY == 'x' }}\"", "steps[0].if"),
        ('timeout: "${{ envs.KEY }}"', "steps[0].timeout"),
        ('node: "${{ envs.KEY }}"', "steps[0].node"),
    ],
)
def test_no_other_place_reads_one(text: str, path: str) -> None:
    with pytest.raises(SpecError) as caught:
        resolve_text(f"{HEAD}      image: debian\n    {text}\n")
    assert [(problem.path, problem.message[:22]) for problem in caught.value.problems] == [
        (path, '"envs.KEY" is a secret')
    ]


def test_no_expression_gets_at_one_by_all_of_the_envs() -> None:
    container = of('environment: {ALL: "${{ string(size(envs)) }}"}')
    assert container.environment["ALL"] == "1"


def test_a_call_gives_no_secret() -> None:
    document = parse_text(f"{HEAD}      image: debian\n")
    with pytest.raises(SpecError, match='is the secret "s3-key"; no call gives its value'):
        resolve(document, Call(envs={"KEY": "mine"}, node="n"))


@pytest.mark.parametrize("key", ["default: x", "required: true", "input: true"])
def test_a_secret_of_the_envs_stands_alone(key: str) -> None:
    with pytest.raises(SpecError, match="a secret has no default"):
        resolve_text(
            f"name: test\nenvs: {{KEY: {{secret: s3-key, {key}}}}}\nsteps: [{{name: a, container: {{image: x}}}}]"
        )


def test_a_value_that_looks_like_a_reference_is_none() -> None:
    """Arguments choose no secrets."""
    text = """
version: 1
name: test
args: {x: {type: object}}
steps: [{name: a, container: {image: debian, environment: {X: "${{ args.x }}"}}}]
"""
    container = resolve_text(text, args={"x": {"secret": "root-key"}}).steps[0].spec
    assert container.secrets == []
    assert container.environment["X"] == '{"secret":"root-key"}'


@pytest.mark.parametrize(
    ("image", "pull", "is_right"),
    [
        ("debian:12", "{secret: login}", True),
        ("registry.example.org/${{ args.name }}:1", "{secret: login}", True),
        ("${{ args.name }}", "{secret: login}", False),
        ("library/${{ args.name }}", "{secret: login}", False),
        ("${{ args.name }}", "{secret: login, registry: docker.io}", True),
    ],
)
def test_no_argument_chooses_who_gets_the_credentials(image: str, pull: str, is_right: bool) -> None:
    text = f"name: test\nargs: {{name: x}}\nsteps: [{{name: a, container: {{image: '{image}', pull: {pull}}}}}]"
    if is_right:
        assert resolve_text(text).steps[0].spec.pull is not None
        return
    with pytest.raises(SpecError, match="an argument chooses the image"):
        resolve_text(text)


def test_an_instance_names_secrets_too() -> None:
    text = "container: {image: debian, environment: {RCON: {secret: rcon}}, secrets: [tls]}"
    problems = ProblemList({})
    found = read_document(parse_text(text), InstanceDocument, problems)
    assert found is not None
    spec = make_spec(found, "arena", problems)
    assert places(spec.container) == [("tls", "/run/secrets/tls"), ("rcon", "RCON")]
    assert spec.container.secret_names == ["rcon", "tls"]


@pytest.mark.parametrize("name", ["a", "s3-key", "a.b_c-", "A", "-a", "a" * 63, "a" * 64, "", "ä"])
def test_the_store_and_the_language_have_the_same_names(name: str) -> None:
    with pytest.raises(SpecError) if name_trouble(name) else _nothing():
        of(f"secrets: [{name!r}]")


class _nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

"""A pipeline and a call, resolved."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamekeeper.domain.language.resolve import Call, resolve
from gamekeeper.domain.language.resolved import ResolvedPipeline
from gamekeeper.domain.language.source import Document
from gamekeeper.domain.language.step import Lifetime
from gamekeeper.errors import SpecError
from tests.factories import make_pipeline, resolve_text


def one_step(**container: Any) -> dict[str, Any]:
    return {"name": "a", "container": {"image": "image"} | container}


def test_values_stay_as_written() -> None:
    resolved = resolve_text(
        """
name: test
steps:
  - name: a
    container: {image: "image", environment: {V: 3.10, N: no, Z: 007, B: true, E: "", F: }}
"""
    )
    environment = resolved.steps[0].spec.environment
    assert environment == {"V": "3.10", "N": "no", "Z": "007", "B": "true", "E": "", "F": None}


def test_a_whole_value_keeps_its_type() -> None:
    resolved = make_pipeline(
        one_step(init="${{ args.flag }}", shm_size="${{ args.size }}"),
        args={"flag": True, "size": {"type": "integer", "default": 5}},
    )
    container = resolved.steps[0].spec
    assert (container.init, container.shm_size) == (True, "5")


def test_needs_default_to_the_step_before() -> None:
    resolved = make_pipeline(
        {"name": "a"}, {"name": "b"}, {"name": "c", "needs": []}, {"name": "d", "needs": ["a", "c"]}
    )
    assert [step.needs for step in resolved.steps] == [[], ["a"], [], ["a", "c"]]


@pytest.mark.parametrize(("head", "lifetime"), [({"version": 1}, Lifetime.RUN), ({}, Lifetime.NODE)])
def test_lifetime_never_depends_on_what_stands_after(head: dict[str, Any], lifetime: Lifetime) -> None:
    alone = make_pipeline({"name": "a", "type": "service"}, **head)
    followed = make_pipeline({"name": "a", "type": "service"}, {"name": "b", "type": "service"}, {"name": "c"}, **head)
    assert [step.lifetime for step in (*alone.steps, *followed.steps)] == [lifetime] * 3 + [None]
    assert alone.steps[0].spec.restart == ("no" if lifetime is Lifetime.RUN else "on-failure")


def test_defaults_are_merged_and_the_step_wins() -> None:
    resolved = make_pipeline(
        {"name": "a"},
        {"name": "b", "timeout": "5s", "retry": {"attempts": 4}},
        defaults={"timeout": "1m", "retry": {"attempts": 2, "on": ["pull"]}, "continue_on_error": True},
    )
    first, second = resolved.steps
    assert (first.timeout, first.retry.attempts, first.retry.on, first.continue_on_error) == (60, 2, ["pull"], True)
    assert (second.timeout, second.retry.attempts) == (5, 4)


def test_a_services_time_limit_begins_after_its_start_period() -> None:
    def limit(**fields: Any) -> float:
        check = {"test": ["CMD", "true"], "start_period": "1h"}
        container = {"image": "image", "healthcheck": check}
        return make_pipeline({"name": "s", "timeout": "12s", "container": container, **fields}).steps[0].timeout

    assert limit(type="service") == 3612
    assert limit(type="job") == 12


def test_envs_reach_every_container_and_the_step_wins() -> None:
    resolved = resolve(
        Document(
            {
                "version": 1,
                "name": "x",
                "envs": {
                    "A": "1",
                    "B": {"required": True},
                    "C": {"default": "c"},
                    "D": {"default": "d", "input": True},
                },
                "steps": [one_step(environment={"A": "step"})],
            }
        ),
        Call(node="n", envs={"B": "given"}),
    )
    assert resolved.steps[0].spec.environment == {"A": "step", "B": "given", "C": "c"}


def test_older_pipelines_run_unchanged() -> None:
    resolved = resolve(
        Document(
            {
                "name": "old",
                "envs": ["ROOT"],
                "args": ["map"],
                "steps": [
                    {
                        "name": "a",
                        "container": {
                            "image": "x",
                            "commands": ["ls ${{ envs.ROOT }}/${{ args.map }}"],
                            "environment": {"N": 5, "B": True, "R": "${{ envs.ROOT }}"},
                            "tmpfs": ["/dev/shm:rw"],
                        },
                    }
                ],
            }
        ),
        Call(node="n", args={"map": "dm1"}, envs={"ROOT": "/srv"}),
    )
    environment = resolved.steps[0].spec.environment
    values = {"GAMEKEEPER_EXPR_1": "/srv", "GAMEKEEPER_EXPR_2": "dm1"}
    assert environment == {"N": "5", "B": "true", "R": "/srv"} | values  # and no ROOT: its envs are for templates


def test_what_reads_the_run_stays_for_the_workflow() -> None:
    resolved = make_pipeline(
        {"name": "a"},
        {"name": "b", "if": "${{ steps.a.exit_code == 3 }}", **one_step(hostname="h-${{ run.id }}-${{ run.status }}")}
        | {"name": "b"},
    )
    step = resolved.steps[1]
    assert step.if_ == "steps.a.exit_code == 3"
    assert step.spec.hostname == "h-run-${{ run.status }}"


@pytest.mark.parametrize(
    ("spec", "call", "message"),
    [
        ({"args": {"n": {"type": "integer", "max": 64}}}, {"args": {"n": "99"}}, "99 is above max 64"),
        ({"args": {"mode": "x"}}, {"args": {"modle": "y"}}, "no such argument"),
        ({"args": {"n": {"type": "integer"}}}, {}, "is required"),
        ({"args": {"n": {"type": "integer"}}}, {"args": {"n": 2**63}}, "must be an integer within 2^63"),
        ({"args": {"n": {"type": "boolean"}}}, {"args": {"n": "maybe"}}, "must be a boolean"),
        ({"args": {"n": {"type": "array"}}}, {"args": {"n": "x"}}, "must be an array"),
        ({"args": {"n": {"pattern": "^a+$"}}}, {"args": {"n": "b"}}, "does not match"),
        ({"args": {"mode": "x"}}, {"args": {"mode": ["\ud800"]}}, "holds half of a surrogate pair"),
        ({"envs": ["A"]}, {"envs": {"A": "x", "\udfff": "y"}}, "holds half of a surrogate pair"),
        ({"args": ["map"]}, {}, "is required"),
        ({"envs": ["A"]}, {}, "is required"),
        ({"envs": ["A"]}, {"envs": {"A": "x", "B": "y"}}, "no such environment value"),
        ({"envs": ["A"]}, {"envs": {"A": [1]}}, "must be text"),
        ({}, {"node": None}, "names no node"),
        ({"args": {"t": "x"}, "timeout": "${{ args.t }}"}, {}, "is not a duration"),
        ({"timeout": "0s"}, {}, "0s is no time at all"),
        ({"args": {"n": {"type": "integer", "min": 3}}}, {"args": {"n": 2}}, "2 is below min 3"),
        ({"args": {"n": {"type": "number", "max": 1.5}}}, {"args": {"n": 1.6}}, "1.6 is above max 1.5"),
        ({"args": {"n": {"type": "integer"}}}, {"args": {"n": True}}, "must be an integer within 2^63, got a boolean"),
        ({"args": {"n": {"type": "object"}}}, {"args": {"n": []}}, "must be an object, got a list"),
        ({"args": {"n": {"pattern": "("}}}, {"args": {"n": "b"}}, '"(" is not a regular expression: unclosed group'),
        ({"args": {"n": {"pattern": "(?=a)"}}}, {"args": {"n": "b"}}, "look-around, including look-ahead"),
        ({"args": {"n": {"pattern": "(a{1000}){1000}"}}}, {"args": {"n": "b"}}, "it is too large"),
        ({"args": {"n": {"pattern": "^[a-z]+$"}}}, {"args": {"n": "a" * 4096 + "; echo"}}, "does not match"),
        ({"args": {"n": {"pattern": "^[a-z]+$"}}}, {"args": {"n": "abc\n"}}, '"abc\\n" does not match'),
        ({"args": {"n": {"pattern": "^(a+)+$"}}}, {"args": {"n": "a" * 50_000 + "!"}}, "does not match"),
        ({"args": {"n": {"pattern": "^a$"}}}, {"args": {"n": None}}, "must be a string, got nothing"),
        ({"args": {"n": {"type": "integer", "min": 1}}}, {"args": {"n": None}}, "must be an integer within 2^63"),
        ({"args": {"n": {"enum": ["a"], "default": "a"}}}, {"args": {"n": None}}, "must be a string, got nothing"),
        ({"args": {"n": {"type": "number", "max": 1}}}, {"args": {"n": float("nan")}}, "must be a number"),
        ({"args": {"n": {"type": "number", "max": 1}}}, {"args": {"n": float("inf")}}, "must be a number"),
        ({"args": {"n": {"type": "number", "max": 1}}}, {"args": {"n": ".nan"}}, "must be a number"),
        ({"args": {"n": {"type": "number", "max": 1}}}, {"args": {"n": "1e999"}}, "must be a number"),
        ({"args": {"n": {"type": "array"}}}, {"args": {"n": [float("nan")]}}, "must be an array"),
        ({"args": {"n": {"type": "integer", "enum": ["x", 1]}}}, {"args": {"n": 2}}, '"2" is not one of x, 1'),
        ({"args": {"n": {"enum": ["full", "quick"]}}}, {"args": {"n": "ful"}}, '"ful" is not one of full, quick'),
        ({"concurrency": {"group": "${{ args.n }}"}, "args": {"n": ""}}, {}, "1 to 200 characters; this one has 0"),
        ({"concurrency": {"group": "x" * 201}}, {}, "1 to 200 characters; this one has 201"),
        ({"concurrency": {"group": "a\tb"}}, {}, "printable characters"),
        ({"concurrency": {"group": "a", "limit": 0}}, {}, "0; use 1 to 10000"),
        ({"concurrency": {"group": "a", "limit": 10_001}}, {}, "10001; use 1 to 10000"),
    ],
)
def test_a_wrong_call_names_the_thing(spec: dict[str, Any], call: dict[str, Any], message: str) -> None:
    document = Document({"name": "x", "steps": [one_step()]} | spec)
    with pytest.raises(SpecError) as caught:
        resolve(document, Call(**({"node": "n"} | call)))
    assert message in caught.value.problems[0].message


def test_a_value_may_be_left_out_by_null_where_it_may_be_left_out() -> None:
    resolved = make_pipeline(one_step(), args={"n": {"required": False, "pattern": "^a$"}}, given={"n": None})
    assert resolved.args == {"n": None}


def test_labels_and_environments_are_text_whatever_their_templates_give() -> None:
    values = {"n": "${{ args.n }}", "list": "${{ [args.n] }}", "flag": "${{ args.n > 1 }}"}
    call = {"name": "call", "type": "pipeline", "pipeline": {"name": "other", "envs": values}}
    resolved = make_pipeline(one_step(environment=values), call, args={"n": 5}, labels=values)
    texts = {"n": "5", "list": "[5]", "flag": "true"}
    assert resolved.labels == texts
    assert resolved.steps[0].spec.environment == texts
    assert resolved.steps[1].call is not None
    assert resolved.steps[1].call.envs == texts


def test_if_of_the_wrong_type_is_found_at_submission() -> None:
    with pytest.raises(SpecError, match='if must give a boolean, got string "full"'):
        make_pipeline({"name": "a", "if": "args.mode"}, args={"mode": "full"})


def test_a_rendered_value_is_checked_again() -> None:
    with pytest.raises(SpecError, match="is not a port"):
        make_pipeline(one_step(ports=["${{ args.port }}:80"]), args={"port": "web"})


def test_large_containers_are_refused() -> None:
    with pytest.raises(SpecError, match="the limit is 16384"):
        make_pipeline(one_step(commands=["x" * 20_000]))


def test_large_pipelines_are_refused() -> None:
    steps = [{"name": f"s{index}", "container": {"image": "i", "command": ["x" * 15_000]}} for index in range(70)]
    with pytest.raises(SpecError, match=r"the resolved pipeline has 1\d{6} bytes; the limit is 1048576"):
        make_pipeline(*steps)
    make_pipeline(*steps[:65])


def run_script(resolved: ResolvedPipeline) -> str:
    """Runs a step's script in a real shell on this machine."""
    container = resolved.steps[0].spec
    done = subprocess.run(
        [*(container.entrypoint or []), *(container.command or [])],
        env={"PATH": "/usr/bin:/bin"} | {name: text or "" for name, text in container.environment.items()},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize(
    "value", ["$(echo pwned)", "`id`", "'; echo pwned; '", '"; echo pwned; "', "a\nb", "\\", "${X}"]
)
def test_a_value_never_becomes_shell_code(value: str) -> None:
    resolved = make_pipeline(
        one_step(commands=['printf "<%s>" "${{ args.x }}"']), args={"x": {"type": "string"}}, given={"x": value}
    )
    assert run_script(resolved).endswith(f"<{value}>")
    assert "pwned>" not in run_script(resolved).replace(f"<{value}>", "")


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60))
def test_any_value_arrives_unchanged(value: str) -> None:
    resolved = make_pipeline(
        one_step(commands=['printf "%s" "${{ args.x }}"']), args={"x": {"type": "string"}}, given={"x": value}
    )
    script = resolved.steps[0].spec
    assert script.environment["GAMEKEEPER_EXPR_1"] == value
    assert script.command is not None
    bare = script.command[1].replace("GAMEKEEPER_EXPR_1", "")
    assert value not in bare or len(value) < 8


def test_each_line_is_echoed_and_the_first_failure_ends_the_script() -> None:
    resolved = make_pipeline(one_step(commands=["echo one", "false", "echo two"]))
    container = resolved.steps[0].spec
    done = subprocess.run(
        [*(container.entrypoint or []), *(container.command or [])], capture_output=True, text=True, check=False
    )
    assert done.stdout == "+ echo one\none\n+ false\n"
    assert done.returncode == 1


def test_a_variable_without_a_value_is_that_of_envs() -> None:
    """As Compose takes it from the shell; where there is none, it is no variable of the container."""
    text = """
name: test
args: {a: {type: object, default: {b: null}}}
envs: {TZ: {default: UTC}, KEEP: {default: x}}
steps:
  - name: a
    container: {image: image, environment: [TZ, GONE, EMPTY=, "NULL=${{ args.a.b }}"]}
"""
    environment = resolve_text(text).steps[0].spec.environment
    assert environment == {"TZ": "UTC", "GONE": None, "EMPTY": "", "NULL": ""}
    environment = resolve_text("version: 1" + text).steps[0].spec.environment
    assert environment == {"TZ": "UTC", "KEEP": "x", "GONE": None, "EMPTY": "", "NULL": ""}


def test_names_of_ports_are_kept_for_those_who_read_them() -> None:
    ports = {"container": {"image": "i", "ports": [{"name": "web", "target": 80, "published": 0}]}}
    job, service = make_pipeline(
        {"name": "job"} | ports, {"name": "stays", "type": "service", "lifetime": "node"} | ports
    ).steps
    assert job.spec.ports == ["web=0:80/tcp"]
    assert service.spec.ports == ["web=0:80/tcp"]

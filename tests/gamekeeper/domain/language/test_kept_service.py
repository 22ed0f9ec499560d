"""The instance that a service which stays up ensures: its id, its group, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from gamekeeper.domain.language.resolved import ResolvedInstance
from gamekeeper.domain.language.step import Lifetime
from gamekeeper.domain.language.values import DNS_LABEL
from gamekeeper.errors import SpecError
from tests.factories import make_pipeline, resolve_text


def kept(name: str = "arena", **fields: Any) -> dict[str, Any]:
    return {"name": name, "type": "service", "lifetime": "node"} | fields


def instances(*steps: dict[str, Any], **fields: Any) -> list[ResolvedInstance | None]:
    usual: dict[str, Any] = {"version": 1, "name": "deploy"}
    return [step.instance for step in make_pipeline(*steps, **(usual | fields)).steps]


def test_pipeline_and_step_are_the_instance() -> None:
    (made,) = instances(kept())
    assert made == ResolvedInstance(id="deploy-arena", group="deploy", auto_revert=True)


def test_what_ends_with_the_run_is_none() -> None:
    assert instances({"name": "a"}, {"name": "b", "type": "service"}) == [None, None]


@pytest.mark.parametrize("pipeline", ["-d-", "d" * 63])
def test_an_id_is_a_label_whatever_the_names_are(pipeline: str) -> None:
    one, other = instances(kept("a" * 63), kept("a" * 62 + "b"), name=pipeline)
    assert one is not None
    assert other is not None
    assert one.id != other.id
    assert all(DNS_LABEL.fullmatch(text) for text in (one.id, other.id, one.group))


def test_an_id_reads_the_call() -> None:
    made = instances(kept(instance="arena-${{ args.port }}", auto_revert="${{ args.back }}"), args=ARGS)[0]
    assert made is not None
    assert (made.id, made.auto_revert) == ("arena-8303", False)


ARGS = {"port": 8303, "back": False, "long": "A B"}


def test_instances_of_another_name_are_of_another_group() -> None:
    def groups(port: int) -> set[str]:
        steps = kept("arena", instance="arena-${{ args.port }}"), kept("db")
        return {made.group for made in instances(*steps, args=ARGS, given={"port": port}) if made}

    assert len(groups(1)) == len(groups(2)) == 1
    assert groups(1) == groups(1) != groups(2)


@pytest.mark.parametrize(
    ("steps", "path", "message"),
    [
        ([kept(), kept("b", instance="deploy-arena")], "steps[1].instance", 'the instance of step "arena" already'),
        ([kept(instance="${{ args.long }}")], "steps[0].instance", 'try "a-b"'),
        ([{"name": "a"}, kept(instance="${{ steps.a.status }}")], "steps[1].instance", "steps.a"),
        ([kept(auto_revert="${{ args.long }}")], "steps[0].auto_revert", "must be true or false"),
    ],
)
def test_refused(steps: list[dict[str, Any]], path: str, message: str) -> None:
    with pytest.raises(SpecError) as refused:
        instances(*steps, args=ARGS)
    (problem,) = refused.value.problems
    assert problem.path == path
    assert message in problem.message


def test_what_stays_up_by_the_default_of_older_pipelines_is_one_a_run() -> None:
    older = make_pipeline({"name": "arena", "type": "service"}, kept("db"), name="deploy")
    assert {step.lifetime for step in older.steps} == {Lifetime.NODE}
    assert [step.instance.id for step in older.steps if step.instance] == ["deploy-arena-run", "deploy-db"]


def test_a_rerun_of_such_a_run_goes_on_with_its_instance() -> None:
    text = "name: deploy\nsteps: [{name: arena, type: service, container: {image: i}}]"
    again = resolve_text(text, run_id="second", first_run="first").steps[0].instance
    assert again is not None
    assert again.id == "deploy-arena-first"

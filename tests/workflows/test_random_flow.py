"""Pipelines made at random: what the validator accepts runs to an end, and to the end that the rules predict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gamekeeper.domain.run.run import RunState
from tests.factories import make_pipeline
from tests.workflows.conftest import ControlPlane, ended
from tests.workflows.test_pipeline import step

CONDITIONS = (None, None, "true", "false", "success()", "failure()", "always()", "success() || failure()")


@dataclass(frozen=True)
class Made:
    """A step: what it needs by place, its condition, how it ends, and its cells, of which the first may fail. It is a
    job, or a call of a pipeline with one job that ends so."""

    needs: frozenset[int]
    condition: str | None
    fails: bool
    forgiven: bool
    attempts: int
    cells: int
    calls: bool

    def written(self, name: str) -> dict[str, Any]:
        code = "3" if self.fails else "0"
        fields: dict[str, Any] = {"continue_on_error": self.forgiven}
        if self.attempts > 1:
            fields["retry"] = {"attempts": self.attempts, "backoff": "1ms"}
        if self.cells:
            fields |= {"matrix": {"n": list(range(self.cells))}, "fail_fast": False}
            code = f"${{{{ matrix.n == 0 ? {code} : 0 }}}}"
        if self.condition:
            fields["if"] = self.condition
        needs = [f"s{need}" for need in sorted(self.needs)]
        if self.calls:
            call = {"name": "inner", "args": {"code": code}}
            return {"name": name, "type": "pipeline", "needs": needs, "pipeline": call} | fields
        return step(name, needs, dummy={"exit_code": code}, **fields)


@st.composite
def pipelines(draw: st.DrawFn) -> tuple[list[Made], list[Made]]:
    def made(place: int, may_call: bool = True) -> Made:
        return Made(
            needs=draw(st.frozensets(st.integers(0, place - 1), max_size=3)) if place else frozenset(),
            condition=draw(st.sampled_from(CONDITIONS)),
            fails=draw(st.booleans()),
            forgiven=draw(st.booleans()),
            attempts=draw(st.sampled_from((1, 1, 2))),
            cells=draw(st.sampled_from((0, 0, 1, 3))),
            calls=may_call and draw(st.booleans()),
        )

    steps = [made(place) for place in range(draw(st.integers(1, 6)))]
    return steps, [made(0, may_call=False) for _ in range(draw(st.integers(0, 1)))]


def predict(steps: list[Made], finals: list[Made]) -> tuple[list[str], RunState]:
    """The oracle: the rules of docs/language.md, written a second time."""
    states: list[str] = []
    well: list[bool] = []
    above: list[set[int]] = []
    for place, made in enumerate([*steps, *finals]):
        is_final = place >= len(steps)
        needed = set() if is_final else set(made.needs)
        above.append(set(range(len(steps))) if is_final else needed.union(*[above[need] for need in needed]))
        failed = any(not well[other] for other in above[place])
        asks = made.condition is not None and "(" in made.condition
        met = {"true": True, "false": False, "success()": not failed, "failure()": failed}.get(
            made.condition or "", True
        )
        if not asks and not all(well[need] for need in needed):
            states.append("skipped")
            well.append(False)
        elif not met:
            states.append("skipped")
            well.append(True)
        else:
            states.append("failed" if made.fails else "succeeded")
            well.append(not made.fails or made.forgiven)
    bad = any(state == "failed" and not made.forgiven for state, made in zip(states, [*steps, *finals], strict=True))
    return states, RunState.FAILED if bad else RunState.SUCCEEDED


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pipelines())
async def test_a_run_ends_as_the_rules_predict(
    control_plane: ControlPlane, pipeline: tuple[list[Made], list[Made]]
) -> None:
    steps, finals = pipeline
    if not control_plane.has_node:
        await control_plane.start_node()
    control_plane.intake.pipelines["inner"] = lambda call: make_pipeline(
        step("x", dummy={"exit_code": call.args["code"]}), node=control_plane.node
    )
    control_plane.store.snapshots.clear()
    names = [f"s{place}" for place in range(len(steps))]
    last = [f"z{place}" for place in range(len(finals))]
    written = [made.written(name) for name, made in zip(names, steps, strict=True)]
    closing = [made.written(name) for name, made in zip(last, finals, strict=True)]
    handle = await control_plane.submit(*written, finally_=closing)
    await ended(handle)
    states, outcome = predict(steps, finals)
    told = [snapshot for snapshot in control_plane.store.snapshots if f"run/{snapshot.run_id}" == handle.id]
    found = {status.name: status.state.value for snapshot in told for status in snapshot.steps}
    assert ([found[name] for name in [*names, *last]], told[-1].state) == (states, outcome)

"""The argument of a try, as its node gets it: the container with its last templates filled in."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from gamekeeper.domain.container.container_key import StepKey
    from gamekeeper.domain.language.plain_words import first_words
    from gamekeeper.domain.language.resolved import ResolvedStep
    from gamekeeper.domain.language.step import StepType
    from gamekeeper.domain.run.progress import RunProgress
    from gamekeeper.domain.run.step import RunStepInput
    from gamekeeper.errors import InvalidError


def input_of(step: ResolvedStep, key: StepKey, progress: RunProgress, *, ensures: bool, caller: str) -> RunStepInput:
    """Raises InvalidError or ValidationError for a container whose last templates give none."""
    return RunStepInput(
        key=key,
        node=step.node,
        pipeline=progress.pipeline.name,
        container=progress.render_container(step.name),
        timeout=step.timeout,
        service=step.type is StepType.SERVICE,
        lifetime=step.lifetime,
        network=progress.needs_network(step.node),
        group=progress.group_on(step.node) if ensures else None,
        outputs=step.outputs,
        caller=caller,
    )


def why_no_input(error: InvalidError | ValidationError) -> str:
    return str(error) if isinstance(error, InvalidError) else f"container.{first_words(error)}"

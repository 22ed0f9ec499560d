"""The rules of one step: which keys fit its type, and what this version does not execute yet."""

from __future__ import annotations

from gamekeeper.domain.language.approver import check_approvers
from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.given_port import asks_same_number
from gamekeeper.domain.language.named_secret import names_registry
from gamekeeper.domain.language.node_choice import NodeSelector
from gamekeeper.domain.language.outputs import NAME as OUTPUT_NAME
from gamekeeper.domain.language.placed_step import Placed
from gamekeeper.domain.language.problem import Path, ProblemList
from gamekeeper.domain.language.published_port import parse_entry
from gamekeeper.domain.language.shell_text import find_fault
from gamekeeper.domain.language.step import Lifetime, Step, StepType, Strategy
from gamekeeper.domain.language.values import NAME, has_template

UNSUPPORTED_STEP_KEYS = ("disconnect", "artifacts")
INSTANCE_KEYS = ("instance", "strategy", "auto_revert")
JOB_KEYS = ("matrix", "outputs", "max_parallel", "fail_fast")
NO_CALL_KEYS = ("container", "lifetime", "outputs", "priority", "approval")
CONTAINER_KEYS = (*JOB_KEYS, "container", "retry", "lifetime", "node", "timeout", "priority", "on_failure")
MAX_MATRIX_NAME = 58  # behind it stands the number of a cell
NOT_YET = "is not supported yet"
NOT_YET_HINT = "remove the key"


def check_step(item: Placed, problems: ProblemList) -> None:
    """Adds the problems of one step by itself."""
    step, path = item.step, item.path
    _check_supported(step, path, problems)
    if step.lifetime is not None and step.type is not StepType.SERVICE:
        message = f'lifetime is for services; step "{step.name}" is a {step.type}'
        problems.add((*path, "lifetime"), "lifetime", message, "remove it, or set type: service")
    _check_instance_keys(item, problems)
    if item.is_finally and step.type is not StepType.JOB:
        problems.add((*path, "type"), "finally", "a finally step is a job", f"put the {step.type} among the steps")
    if step.type is StepType.APPROVAL:
        _check_approval(item, problems)
        return
    if step.type is StepType.PIPELINE:
        _check_call(item, problems)
        return
    _check_job_keys(item, problems)
    if step.container is None:
        problems.add(path, "missing", f'step "{step.name}" has no container', 'add "container" with an image')
    else:
        _check_container(item, step.container, problems)


def _check_supported(step: Step, path: Path, problems: ProblemList) -> None:
    for key in UNSUPPORTED_STEP_KEYS:
        if getattr(step, key) is not None:
            problems.add((*path, key), "not_supported", f'"{key}" {NOT_YET}', NOT_YET_HINT)
    if isinstance(step.node, NodeSelector) and step.type is StepType.PIPELINE:
        problems.add(
            (*path, "node"),
            "not_supported",
            f"a node by labels for a called pipeline {NOT_YET}",
            "name the node by its id",
        )


def _check_instance_keys(item: Placed, problems: ProblemList) -> None:
    step, path = item.step, item.path
    for key in INSTANCE_KEYS:
        if getattr(step, key) is not None and item.lifetime is not Lifetime.NODE:
            message = f'"{key}" is for a service that stays up'
            problems.add((*path, key), "instance", message, "write type: service and lifetime: node, or remove it")
    if step.strategy is Strategy.BLUE_GREEN and step.container is not None:
        check_side_by_side(step.container, path, problems)


def check_side_by_side(container: Container, path: Path, problems: ProblemList) -> None:
    """Adds a problem for each port with a number of its own, and for GPUs: the next revision could not have them beside
    this one."""
    for index, port in enumerate(container.ports):
        if not has_template(port) and (entry := parse_entry(port)).is_fixed:
            message = f'blue_green: "{port}" can\'t be held by two revisions at once'
            hint = f'write "0:{entry.inside[0]}/{entry.protocol}" for a free port, another one with each update, or'
            problems.add((*path, "container", "ports", index), "port_of_both", message, f"{hint} strategy: recreate")
    if container.device_requests:
        message = "blue_green: GPUs can't be held by two revisions at once"
        problems.add((*path, *container.path_of_gpus), "gpu_of_both", message, "write strategy: recreate")


def _check_approval(item: Placed, problems: ProblemList) -> None:
    step, path = item.step, item.path
    if step.approval is None:
        problems.add(path, "missing", f'step "{step.name}" has no approval', 'add "approval" with a message')
    else:
        check_approvers(step.approval.allow, (*path, "approval", "allow"), problems)
    for key in (*CONTAINER_KEYS, "pipeline"):
        if getattr(step, key) is not None and key != "lifetime":
            problems.add((*path, key), "approval", f'"{key}" is for what runs on a node; "{step.name}" is an approval')


def _check_call(item: Placed, problems: ProblemList) -> None:
    step, path = item.step, item.path
    if step.pipeline is None:
        problems.add(path, "missing", f'step "{step.name}" has no pipeline', 'add "pipeline" with a name')
    elif not NAME.fullmatch(step.pipeline.name):
        message = f'"{step.pipeline.name}" is no name of a pipeline'
        problems.add((*path, "pipeline", "name"), "name", message, "it is written out, of a-z, 0-9 and -")
    for key in NO_CALL_KEYS:
        if getattr(step, key) is not None and key != "lifetime":
            message = f'"{key}" is for what runs on a node; "{step.name}" runs a pipeline'
            problems.add((*path, key), "pipeline", message)
    _check_matrix(step, path, problems)


def _check_job_keys(item: Placed, problems: ProblemList) -> None:
    step, path = item.step, item.path
    if step.approval is not None:
        problems.add((*path, "approval"), "approval", f'step "{step.name}" is a {step.type}', "set type: approval")
    if step.pipeline is not None:
        problems.add((*path, "pipeline"), "pipeline", f'step "{step.name}" is a {step.type}', "set type: pipeline")
    if step.type is StepType.SERVICE:
        for key in JOB_KEYS:
            if getattr(step, key) is not None:
                problems.add((*path, key), "service", f'"{key}" is for jobs; step "{step.name}" is a service')
    _check_matrix(step, path, problems)
    for index, name in enumerate(step.outputs or []):
        if not OUTPUT_NAME.fullmatch(name):
            message = f'"{name}" may use letters, digits and "_", and begins with no digit'
            problems.add((*path, "outputs", index), "output", message)


def _check_matrix(step: Step, path: Path, problems: ProblemList) -> None:
    for key in ("max_parallel", "fail_fast"):
        if getattr(step, key) is not None and step.matrix is None:
            problems.add((*path, key), "matrix", f'"{key}" is for a step with a matrix', "add a matrix or remove it")
    if step.matrix is not None and len(step.name) > MAX_MATRIX_NAME:
        problems.add((*path, "name"), "name", f"the name of a matrix has at most {MAX_MATRIX_NAME} characters")


def _check_container(item: Placed, container: Container, problems: ProblemList) -> None:
    path = (*item.path, "container")
    for index, command in enumerate(container.commands):
        fault = find_fault(command)
        if fault is not None:
            problems.add((*path, "commands", index), *fault)
    for index, port in enumerate(container.ports):
        if item.lifetime is not Lifetime.NODE and asks_same_number(port):
            message, hint = "same_number is for what outlives its run", "write lifetime: node on a service"
            problems.add((*path, "ports", index), "port", message, hint)
    if container.pull is not None and container.pull.registry is None and not names_registry(container.image):
        message = "an argument chooses the image, and so the registry that gets the credentials"
        hint = "write pull: {secret: NAME, registry: HOST}, or the registry before the template in image"
        problems.add((*path, "pull"), "registry", message, hint)
    if container.restart != "no" and item.lifetime is not Lifetime.NODE:
        if item.lifetime is None:
            message, hint = f"restart: {container.restart} is for services", "use retry for a job"
        else:
            message = f"restart: {container.restart} needs lifetime: node"
            hint = 'write "lifetime: node" on the step if it shall stay up after the run, or drop restart'
        problems.add((*path, "restart"), "restart", message, hint)

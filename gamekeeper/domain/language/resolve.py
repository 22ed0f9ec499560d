"""A checked pipeline plus a call's arguments, as something that runs: defaults filled in, static templates rendered."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from gamekeeper.domain.language.approver import approvers
from gamekeeper.domain.language.arguments import read_args, read_envs
from gamekeeper.domain.language.check import Checked, check_document
from gamekeeper.domain.language.check_matrix import try_cells
from gamekeeper.domain.language.container import Container, with_own_volumes
from gamekeeper.domain.language.evaluation import Values, as_environment, evaluate, reads_unknown
from gamekeeper.domain.language.expressions import ExpressionError, is_dynamic, whole_expression
from gamekeeper.domain.language.kept_service import resolve_instance, with_group
from gamekeeper.domain.language.node_choice import NodeSelector
from gamekeeper.domain.language.pipeline import Pipeline
from gamekeeper.domain.language.placed_step import Placed
from gamekeeper.domain.language.problem import Path, ProblemList, dotted
from gamekeeper.domain.language.read_model import add_problems
from gamekeeper.domain.language.rendering import Rendering
from gamekeeper.domain.language.resolved import (
    ResolvedApproval,
    ResolvedCall,
    ResolvedConcurrency,
    ResolvedPipeline,
    ResolvedRetry,
    ResolvedStep,
)
from gamekeeper.domain.language.script import build_script
from gamekeeper.domain.language.secret_expressions import secret_of
from gamekeeper.domain.language.source import Document, refuse_broken_text
from gamekeeper.domain.language.step import Approval, Lifetime, PipelineCall, Retry, Step, StepType
from gamekeeper.domain.language.units import format_duration, parse_duration
from gamekeeper.domain.language.values import has_template, kind_of
from gamekeeper.errors import SpecError

DEFAULT_JOB_TIMEOUT = timedelta(hours=6)
DEFAULT_SHORT_TIMEOUT = timedelta(minutes=10)
MAX_CONTAINER_BYTES = 16 * 1024
MAX_PIPELINE_BYTES = 1024 * 1024
DEFAULT_PRIORITY = 50
MAX_HOLD = timedelta(days=7)
CALL_TIMEOUT = timedelta(days=7)
MAX_GROUP_NAME = 200
ANY_NODE = "any-node"


@dataclass(frozen=True)
class Call:
    """A call: the arguments that a caller gives with a pipeline. Every step that names no node uses ``node``; steps
    that describe theirs by labels have the one in ``placed``, by their names. A rerun goes on with what ``first_run``
    made, the earliest of its runs."""

    args: Mapping[str, Any] = field(default_factory=dict)
    envs: Mapping[str, Any] = field(default_factory=dict)
    node: str | None = None
    run_id: str = ""
    placed: Mapping[str, str] = field(default_factory=dict)
    first_run: str = ""


def resolve(document: Document, call: Call) -> ResolvedPipeline:
    """A step that describes its node by labels, and is not placed, has a ``selector`` and no node: it is to be placed,
    and then the pipeline is resolved again, with the node's id where steps read it.

    Raises SpecError with every problem of the pipeline's own, or else every problem with this call.
    """
    checked = check_document(document)
    open_ = any(isinstance(_chosen(item.step, checked.pipeline, call), NodeSelector) for item in checked.placed)
    unknown = {"node"} if open_ and not call.placed else set[str]()
    return _resolve(call, checked, ProblemList(document.positions), unknown)


def _chosen(step: Step, pipeline: Pipeline, call: Call) -> str | NodeSelector | None:
    return step.node or call.node or pipeline.defaults.node


def validate(document: Document) -> Checked:
    """The pipeline in a document, without a call: refused is what every call would be refused for. An argument that has
    no default, and the node, may be anything. Raises SpecError with every problem."""
    checked = check_document(document)
    _resolve(Call(node=ANY_NODE), checked, _ProblemsOfNoCall(document.positions), {"node"})
    return checked


class _ProblemsOfNoCall(ProblemList):
    """Drops that something is not given."""

    def __init__(self, positions: dict[Path, tuple[int, int]]) -> None:
        super().__init__(positions)
        self.required: set[str] = set()

    def add(self, path: Path, code: str, message: str, hint: str = "") -> None:
        if code == "required":
            self.required.add(dotted(path))
        else:
            super().add(path, code, message, hint)


def _resolve(call: Call, checked: Checked, problems: ProblemList, unknown: Set[str] = frozenset()) -> ResolvedPipeline:
    pipeline, placed, warnings = checked
    refuse_broken_text({"args": call.args, "envs": call.envs}, problems)
    args = read_args(pipeline.args, call.args, problems)
    envs = read_envs(pipeline.envs, call.envs, problems)
    wrong = {problem.path for problem in problems.problems}  # the rest is looked at without them
    not_given = problems.required if isinstance(problems, _ProblemsOfNoCall) else set()
    values = Values(args=args, envs=envs, unknown=frozenset(wrong | not_given | unknown))
    resolver = _Resolver(pipeline, call, values, problems)
    steps = [resolver.step(item) for item in placed]
    with_group(pipeline, steps, placed, problems)
    timeout = resolver.seconds(pipeline.timeout, ("timeout",)) if pipeline.timeout else None
    labels = resolver.texts(pipeline.labels, ("labels",))
    concurrency = resolver.concurrency()
    if problems.problems:
        raise SpecError(problems.problems)
    resolved = ResolvedPipeline(
        name=pipeline.name,
        labels=labels,
        args=args,
        envs=envs,
        steps=[step for step, item in zip(steps, placed, strict=True) if step and not item.is_finally],
        finally_=[step for step, item in zip(steps, placed, strict=True) if step and item.is_finally],
        timeout=timeout,
        concurrency=concurrency,
        warnings=warnings,
        declared_secrets=pipeline.secrets,
    )
    _check_size(resolved, problems)
    return resolved


def _check_size(resolved: ResolvedPipeline, problems: ProblemList) -> None:
    size = len(resolved.model_dump_json(exclude_defaults=True))
    if size > MAX_PIPELINE_BYTES:
        message = f"the resolved pipeline has {size} bytes; the limit is {MAX_PIPELINE_BYTES}"
        problems.add((), "too_large", message, "split it, or move long scripts into the image")
        raise SpecError(problems.problems)


class _Resolver(Rendering):
    """Holds what every step's resolution needs; problems go to the shared list."""

    def __init__(self, pipeline: Pipeline, call: Call, values: Values, problems: ProblemList) -> None:
        super().__init__(values, problems)
        self.pipeline = pipeline
        self.call = call
        self.values.run = {"id": call.run_id, "name": pipeline.name}

    def step(self, item: Placed) -> ResolvedStep | None:
        step, defaults, path = item.step, self.pipeline.defaults, item.path
        if step.approval is not None:
            return self._approval(item, step.approval)
        if step.pipeline is not None:
            return self._call(item, step.pipeline)
        node = self._node(step, path)
        self.values.node = {"id": node}
        container = self._container(item)
        if container is None:
            return None
        short = step.type is StepType.SERVICE or item.is_finally
        default = DEFAULT_SHORT_TIMEOUT if short else DEFAULT_JOB_TIMEOUT
        timeout = step.timeout or defaults.timeout
        return ResolvedStep(
            name=step.name,
            type=step.type,
            node=node,
            needs=item.needs,
            started_needs=item.started_needs,
            if_=self._condition(step, path),
            retry=self._retry(step.retry or defaults.retry, path),
            continue_on_error=self._forgiving(step, path),
            timeout=(self.seconds(timeout, (*path, "timeout")) if timeout else default.total_seconds())
            + _start_period(step, container),
            container=container,
            selector=self._selector(step, path),
            lifetime=item.lifetime,
            instance=resolve_instance(item, self.pipeline, self.call.first_run or self.call.run_id, self),
            outputs=step.outputs or [],
            priority=self.number(step.priority, defaults.priority, DEFAULT_PRIORITY, (0, 100), (*path, "priority")),
            hold=self._hold(step, path),
            **self._matrix(step, container, path),
        )

    def _call(self, item: Placed, called: PipelineCall) -> ResolvedStep:
        step, defaults, path = item.step, self.pipeline.defaults, item.path
        chosen = step.node or self.call.node or defaults.node
        timeout = step.timeout or defaults.timeout or format_duration(CALL_TIMEOUT)
        return ResolvedStep(
            name=step.name,
            type=step.type,
            node="",
            needs=item.needs,
            started_needs=item.started_needs,
            if_=self._condition(step, path),
            retry=self._retry(step.retry or defaults.retry, path),
            continue_on_error=self._forgiving(step, path),
            timeout=self.seconds(timeout, (*path, "timeout")),
            hold=self._hold(step, path),
            call=ResolvedCall(
                name=called.name,
                version=self.number(called.version, None, 1, (1, 2**31 - 1), (*path, "pipeline", "version"))
                if called.version is not None
                else None,
                args=self.tree(called.args, (*path, "pipeline", "args")) or {},
                envs=self.texts(called.envs, (*path, "pipeline", "envs")),
                node=str(self.tree(chosen, (*path, "node"))) if isinstance(chosen, str) else None,
            ),
            **self._matrix(step, None, path),
        )

    def concurrency(self) -> ResolvedConcurrency | None:
        asked = self.pipeline.concurrency
        if asked is None:
            return None
        group = str(self.tree(asked.group, ("concurrency", "group")))
        if self.is_open(group):
            pass
        elif not 1 <= len(group) <= MAX_GROUP_NAME:
            message = f"a group's name has 1 to {MAX_GROUP_NAME} characters; this one has {len(group)}"
            self.problems.add(("concurrency", "group"), "range", message)
        elif not group.isprintable():  # a NUL, say, no database takes
            message = "a group's name is of printable characters in one line"
            self.problems.add(("concurrency", "group"), "value", message)
        limit = self.number(asked.limit, None, 1, (1, 10_000), ("concurrency", "limit"))
        return ResolvedConcurrency(group=group, limit=limit, on_busy=asked.on_busy)

    def _approval(self, item: Placed, approval: Approval) -> ResolvedStep:
        expires = self.seconds(approval.expires, (*item.path, "approval", "expires"))
        message = self.tree(approval.message, (*item.path, "approval", "message"))
        return ResolvedStep(
            name=item.step.name,
            type=item.step.type,
            node="",
            needs=item.needs,
            started_needs=item.started_needs,
            if_=self._condition(item.step, item.path),
            continue_on_error=self._forgiving(item.step, item.path),
            timeout=expires,
            approval=ResolvedApproval(message=str(message), allow=approvers(approval.allow), expires=expires),
        )

    def _forgiving(self, step: Step, path: Path) -> bool:
        """A step's own word stands before the defaults, a ``false`` as well."""
        own, default = step.continue_on_error, self.pipeline.defaults.continue_on_error
        chosen = own if own is not None else default
        return self.flag(False if chosen is None else chosen, (*path, "continue_on_error"))

    def _hold(self, step: Step, path: Path) -> float | None:
        if step.on_failure is None:
            return None
        seconds = self.seconds(step.on_failure.removeprefix("hold "), (*path, "on_failure"))
        if seconds > MAX_HOLD.total_seconds():
            self.problems.add((*path, "on_failure"), "range", "hold is longer than the limit of 7d")
        return seconds

    def _matrix(self, step: Step, container: Container | None, path: Path) -> dict[str, Any]:
        """The matrix of a step, resolved. One whose lists are known now is tried out as a whole."""
        if step.matrix is None:
            return {}
        where = (*path, "matrix")
        matrix = self.tree(step.matrix, where)
        if matrix is not None and "${{" not in str(matrix):
            try_cells(matrix, container, path, self)
        fail_fast = True if step.fail_fast is None else self.flag(step.fail_fast, (*path, "fail_fast"))
        parallel = None
        if step.max_parallel is not None:
            parallel = self.number(step.max_parallel, None, 1, (1, 256), (*path, "max_parallel"))
        return {"matrix": matrix, "fail_fast": fail_fast, "max_parallel": parallel}

    def _node(self, step: Step, path: Path) -> str:
        chosen = _chosen(step, self.pipeline, self.call)
        if isinstance(chosen, NodeSelector):
            return self.call.placed.get(step.name, "")
        if chosen is None:
            message = f'step "{step.name}" names no node'
            self.problems.add((*path, "node"), "missing", message, 'add "node", or give one with --node')
            return ""
        return str(self.tree(chosen, (*path, "node")))

    def _selector(self, step: Step, path: Path) -> NodeSelector | None:
        """The labels of a step that is not placed yet."""
        chosen = _chosen(step, self.pipeline, self.call)
        if not isinstance(chosen, NodeSelector) or step.name in self.call.placed:
            return None
        where = (*path, "node") if step.node is not None else ("defaults", "node")
        keys = ("labels", "anti_affinity")
        return chosen.model_copy(update={key: self.texts(getattr(chosen, key), (*where, key)) for key in keys})

    def _condition(self, step: Step, path: Path) -> str | None:
        """The expression of ``if``; a static one becomes true or false now, so that a wrong type shows early."""
        if step.if_ is None:
            return None
        expression = (whole_expression(step.if_) or step.if_).strip()
        if is_dynamic(expression) or reads_unknown(expression, self.values):
            return expression
        try:
            value = evaluate(expression, self.values)
        except ExpressionError as error:
            self.problems.add((*path, "if"), "expression", error.message)
            return None
        if not isinstance(value, bool):
            shown = f'string "{value}"' if isinstance(value, str) else kind_of(value)
            self.problems.add((*path, "if"), "type", f"if must give a boolean, got {shown}")
        return "true" if value is True else "false"

    def _container(self, item: Placed) -> Container | None:
        if item.step.container is None:
            return None
        where = (*item.path, "container")
        raw = item.step.container.model_dump(exclude_unset=True)
        commands = raw.pop("commands", [])
        environment = self._environment() | raw.get("environment", {})
        known = self.pipeline.secrets
        if commands:
            script = build_script(commands, frozenset(known))
            raw |= {"entrypoint": ["/bin/sh"], "command": ["-ec", script.text]}
            environment |= script.environment
        named = {name: found for name, text in environment.items() if (found := secret_of(text, name, known))}
        if named:
            entries = [{"secret": secret, "env": name} for name, secret in named.items()]
            raw["secrets"] = [*raw.get("secrets", []), *entries]
        environment = {name: text for name, text in environment.items() if name not in named}
        bare = [name for name, text in environment.items() if text is None]  # as Compose takes them from the shell
        environment |= {name: self.values.envs.get(name) for name in bare}
        raw["environment"] = environment
        if item.lifetime is Lifetime.NODE:
            raw.setdefault("restart", "on-failure")
        rendered = self.tree(raw, where)
        if rendered is not None:
            rendered["environment"] = as_environment(environment, rendered["environment"])
        return self._validated(rendered, where) if rendered is not None else None

    def _environment(self) -> dict[str, str | None]:
        """The envs that reach every container: of an older pipeline none, and none that is an input for templates."""
        if self.pipeline.is_older:
            return {}
        inputs = {name for name, env in self.pipeline.envs.items() if env.input is True}
        return {name: value for name, value in self.values.envs.items() if name not in inputs}

    def _validated(self, rendered: Any, where: Path) -> Container | None:
        try:
            container = Container.model_validate(rendered)
        except ValidationError as error:
            add_problems(error, rendered, Container, where, self.problems)
            return None
        container = with_own_volumes(container, self.pipeline.name)
        size = len(container.model_dump_json(exclude_defaults=True))
        if size > MAX_CONTAINER_BYTES:
            message = f"the container has {size} bytes of settings; the limit is {MAX_CONTAINER_BYTES}"
            self.problems.add(where, "too_large", message, "move long scripts into the image or a volume")
            return None
        return container

    def _retry(self, retry: Retry | None, path: Path) -> ResolvedRetry:
        if retry is None:
            return ResolvedRetry()
        where = (*path, "retry")
        codes = self.tree(retry.exit_codes, (*where, "exit_codes"))
        return ResolvedRetry(
            attempts=self.number(retry.attempts, None, 1, (1, 100), (*where, "attempts")),
            backoff=self.seconds(retry.backoff, (*where, "backoff")),
            factor=float(retry.factor),
            max_backoff=self.seconds(retry.max_backoff, (*where, "max_backoff")),
            on=list(retry.on),
            exit_codes=[code for code in codes or [] if isinstance(code, int)],
        )


def _start_period(step: Step, container: Container) -> float:
    """Seconds that a service is allowed for its start, which its time limit doesn't count. One that is a template is
    known only on the node."""
    check = container.healthcheck
    if step.type is not StepType.SERVICE or check is None or not check.start_period:
        return 0.0
    if has_template(check.start_period):
        return 0.0
    return parse_duration(check.start_period).total_seconds()

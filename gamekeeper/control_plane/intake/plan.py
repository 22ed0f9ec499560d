"""Plans a run: resolves the pipeline, looks at its nodes, and plans every pipeline that it calls the same way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from gamekeeper.control_plane.access.approvers import check_approvers
from gamekeeper.control_plane.intake.admission import admit, admit_instances, check_groups
from gamekeeper.control_plane.intake.submission import Submission
from gamekeeper.control_plane.judging.judge import Judge
from gamekeeper.control_plane.placement.steps import place_steps
from gamekeeper.control_plane.secret.naming import check_run
from gamekeeper.db.engine import Database
from gamekeeper.db.models import PipelineRow
from gamekeeper.db.repositories.instance import InstanceRepository
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.db.repositories.pipeline import PipelineRepository, no_pipeline
from gamekeeper.db.repositories.target import TargetRepository
from gamekeeper.domain.access.access import ALL_NODES, ALL_PIPELINES, Scope
from gamekeeper.domain.access.bounds import NO_BOUNDS, NOTHING, Bounds
from gamekeeper.domain.access.target import Target
from gamekeeper.domain.access.verb import ObjectKind
from gamekeeper.domain.language.arguments import check_call
from gamekeeper.domain.language.problem import Path, ProblemList
from gamekeeper.domain.language.resolve import Call
from gamekeeper.domain.language.resolved import ResolvedCall, ResolvedConcurrency, ResolvedPipeline
from gamekeeper.domain.language.source import Document, read_value
from gamekeeper.domain.node.node import NodeView
from gamekeeper.domain.run.limits import MAX_INPUT, check_size
from gamekeeper.domain.run.step import StepStatus
from gamekeeper.errors import NotFoundError, SpecError

MAX_DEPTH = 8
MAX_CALLS = 100


@dataclass(frozen=True)
class Plan:
    """``submission`` has the text and the version of a stored pipeline. ``bounds`` are those that it was planned
    within: none for a stored one of an author without bounds."""

    submission: Submission
    pipeline: ResolvedPipeline
    nodes: dict[str, NodeView]
    bounds: Bounds = NO_BOUNDS


@dataclass
class _Chain:
    """The pipelines that call one another down to the one that is planned now, with the concurrency groups that they
    hold, the actor who asks for all of it, within which bounds and with what sight, and the calls looked at in all."""

    names: tuple[str, ...]
    groups: frozenset[str] = frozenset()
    caller: str | None = None
    bounds: Bounds = NO_BOUNDS
    sight: Bounds = NOTHING
    looked_at: list[str] = field(default_factory=list)

    def below(self, name: str, group: ResolvedConcurrency | None = None) -> _Chain:
        groups = self.groups | {group.group} if group else self.groups
        return _Chain((*self.names, name), groups, self.caller, self.bounds, self.sight, self.looked_at)

    def of(self, row: PipelineRow) -> _Chain:
        """The same for a stored pipeline: one of an author without bounds is trusted."""
        return self if row.is_bounded else replace(self, bounds=NO_BOUNDS)


class RunPlanner:
    def __init__(self, database: Database) -> None:
        self._database = database
        self.judge = Judge()

    async def plan(
        self,
        submission: Submission,
        node_wait: float,
        run_id: str = "",
        callers: tuple[str, ...] = (),
        held_groups: frozenset[str] = frozenset(),
        first_run: str = "",
        caller: str | None = None,
        bounds: Bounds = NO_BOUNDS,
        sight: Bounds = NOTHING,
    ) -> Plan:
        """``callers`` are the pipelines whose steps this one is, and ``held_groups`` what their runs hold. A rerun has
        its ``first_run``. The actor ``caller`` asks for it; where nobody is named, nodes alone judge by that. What lies
        outside of ``bounds`` is not there, unless the pipeline is stored and its author had none. Problems name what
        ``sight`` shows.

        Raises SpecError with every problem, InvalidError for more than a workflow can begin with, and NotFoundError for
        a stored pipeline that is not there.
        """
        submission = await self.stored(submission)
        document = await self.document(submission)
        call = Call(submission.args, submission.envs, submission.node, run_id, first_run=first_run)
        if not bounds.is_everything and not await self._is_bounded(submission):
            bounds = NO_BOUNDS
        resolved, views = await self._plan(document, call, _Chain(callers, held_groups, caller, bounds, sight))
        resolved.node_wait = node_wait
        plan = Plan(submission, resolved, views, bounds)
        check_can_begin(plan, [])
        return plan

    async def document(self, submission: Submission) -> Document:
        """Raises as the judge does."""
        return await self.judge.parse(submission.yaml) if submission.yaml is not None else read_value(submission.spec)

    async def _is_bounded(self, submission: Submission) -> bool:
        if submission.pipeline is None:
            return True
        async with self._database.read() as session:
            row = await PipelineRepository(session).find_whatever(submission.pipeline, submission.version or 0)
        return row is None or row.is_bounded

    async def with_node(self, submission: Submission, allowed: Scope = ALL_NODES) -> Submission:
        """A submission that names no node gets the only one of a fleet of one, and keeps it when others come. Whoever
        may not place work there gets none by it."""
        if submission.node is not None:
            return submission
        async with self._database.read() as session:
            node_id = await NodeRepository(session).only_id()
            target = await TargetRepository(session).node(node_id) if node_id is not None else None
        return replace(submission, node=node_id) if target is not None and allowed.covers(target) else submission

    async def stored(self, submission: Submission) -> Submission:
        """Adds the text of a stored pipeline, and the version that it is pinned to. Raises NotFoundError."""
        if submission.pipeline is None or submission.yaml is not None:
            return submission
        row = await self._find(submission.pipeline, submission.version)
        return replace(submission, yaml=row.source, version=row.version)

    async def _find(self, name: str, version: int | None, scope: Scope = ALL_PIPELINES) -> PipelineRow:
        async with self._database.read() as session:
            pipelines = PipelineRepository(session)
            newest = await pipelines.get(name)
            if not scope.covers(Target(ObjectKind.PIPELINE, name, newest.labels)):
                raise no_pipeline(name, version)
            return await pipelines.get(name, version)

    async def _plan(
        self, document: Document, call: Call, chain: _Chain
    ) -> tuple[ResolvedPipeline, dict[str, NodeView]]:
        resolved = await self.judge.resolve(document, call)
        async with self._database.read() as session:
            if any(step.selector is not None for step in resolved.all_steps()):
                placed = await place_steps(session, resolved, document, chain.bounds.nodes, chain.sight)
                resolved = await self.judge.resolve(document, replace(call, placed=placed))
            nodes = NodeRepository(session)
            allowed = chain.bounds.nodes
            rows, ids = await nodes.find_many(resolved.nodes(), allowed), await nodes.ids(allowed)
            views = admit(resolved, rows, ids, document, chain.caller)
            instances = await InstanceRepository(session).find_many(resolved.instances())
            problems = ProblemList(document.positions)
            await check_run(session, resolved, rows, document, problems)
            await check_groups(session, resolved, chain.bounds.instances, problems)
            if chain.bounds.is_everything and chain.sight.is_everything:  # others hear of nobody, nor that it is nobody
                await check_approvers(session, resolved, problems)
        admit_instances(resolved, instances, chain.bounds.instances, chain.sight.instances, problems)
        if resolved.concurrency is not None and resolved.concurrency.group in chain.groups:
            message = f'the caller holds group "{resolved.concurrency.group}", so this would wait for ever'
            problems.add(("concurrency", "group"), "cycle", message, "give one of them another group")
        below = chain.below(resolved.name, resolved.concurrency)
        for index, step in enumerate(resolved.steps):
            if step.call is not None:
                await self._plan_call(step.call, below, ("steps", index, "pipeline"), problems)
        if problems.problems:
            raise SpecError(problems.problems)
        resolved.warnings += problems.warnings
        return resolved, views

    async def _plan_call(self, call: ResolvedCall, chain: _Chain, path: Path, problems: ProblemList) -> None:
        """Pins the call to a version. What is known only later in the run is checked when the step begins."""
        way = " -> ".join([*chain.names, call.name])
        if call.name in chain.names:
            message = f"pipelines that call one another never end: {way}"
            problems.add((*path, "name"), "cycle", message, "take one of the calls out")
            return
        chain.looked_at.append(call.name)
        if len(chain.names) >= MAX_DEPTH or len(chain.looked_at) > MAX_CALLS:
            message = f"pipelines may call one another {MAX_DEPTH} deep, and {MAX_CALLS} in all: {way}"
            problems.add((*path, "name"), "too_many", message)
            return
        try:
            row = await self._find(call.name, call.version, chain.bounds.pipelines)
            call.version, chain = row.version, chain.of(row)
            document = await self.judge.parse(row.source)
            if _is_static(call):
                await self._plan(document, Call(call.args, call.envs, call.node), chain)
            else:
                await self._check_later(document, call, chain, problems, path)
        except NotFoundError as error:
            problems.add((*path, "name"), "unknown", error.message, error.hint)
        except SpecError as error:
            for found in error.problems:
                problems.add(path, found.code, f"{call.name}: {found.path}: {found.message}", found.hint)

    async def _check_later(
        self, document: Document, call: ResolvedCall, chain: _Chain, problems: ProblemList, path: Path
    ) -> None:
        """Checks a call whose arguments are not all known yet: those that are, and the pipelines it calls in turn."""
        pipeline, _, _ = await self.judge.check(document)
        if len(chain.names) == 1:  # below it nothing is known
            found = ProblemList({})
            check_call(pipeline.args, call.args, found)
            if found.problems:
                raise SpecError(found.problems)
        for step in pipeline.steps:
            if step.pipeline is not None:
                version = step.pipeline.version if isinstance(step.pipeline.version, int) else None
                unknown = ResolvedCall(name=step.pipeline.name, version=version, args={"later": "${{ steps }}"})
                await self._plan_call(unknown, chain.below(pipeline.name), path, problems)


def check_can_begin(plan: Plan, carried: Sequence[StepStatus]) -> None:
    """Raises InvalidError for a run that Temporal would refuse to start. The bytes that it is given hold the default of
    each setting of each step, so a short text of many steps can be too large; so can the outputs that a rerun carries.
    """
    if carried:
        hint = "begin at an earlier step with --from, or at the start with --from all"
    else:
        hint = "call a part of it as a pipeline of its own"
    check_size("the run as Temporal is given it", [plan.pipeline, plan.nodes, *carried], MAX_INPUT, hint)


def _is_static(call: ResolvedCall) -> bool:
    return "${{" not in str([call.args, call.envs])

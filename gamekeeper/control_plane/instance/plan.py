"""Plans an instance, or a revision of one: a document of a user becomes a spec that its node would take."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.control_plane.placement.instance import PlacedInstance, place_instance
from gamekeeper.control_plane.secret.naming import check_instance
from gamekeeper.db.models import InstanceRow, NodeRow
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.domain.access.access import ALL_NODES, Scope
from gamekeeper.domain.access.bounds import NOTHING, Bounds
from gamekeeper.domain.access.target import Target
from gamekeeper.domain.access.verb import ObjectKind
from gamekeeper.domain.instance.document import InstanceDocument, RevisionDocument, make_spec, read_document
from gamekeeper.domain.instance.side_by_side import GPU_HINT, clashing_gpus, clashing_ports
from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.node_choice import NodeSelector
from gamekeeper.domain.language.problem import ProblemList, did_you_mean
from gamekeeper.domain.language.source import Document, parse_text, read_value
from gamekeeper.domain.node.demand import Where, where_of
from gamekeeper.domain.node.node import NodeMode
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.errors import InvalidError, SpecError

WHAT = "instance"
MAX_BYTES = 64 * 1024  # of one container's text
_SLUG = re.compile(r"[^a-z0-9]+")
_ID_LENGTH = 56  # of what is made up here, with six characters behind it


@dataclass(frozen=True)
class InstanceSubmission:
    """A caller's request: a document as ``yaml`` or as a ``value``. ``fingerprint`` identifies the whole request."""

    yaml: str | None = None
    value: Any = None
    idempotency_key: str | None = None
    fingerprint: str = ""

    def document(self) -> Document:
        """Raises SpecError for text that is no YAML, InvalidError for a text beside a document."""
        if self.yaml is None:
            return read_value(self.value)
        if self.value:
            raise InvalidError('give the instance as "yaml" or by its keys, not as both')
        return parse_text(self.yaml, MAX_BYTES, WHAT)


@dataclass(frozen=True)
class InstancePlan:
    """An instance that can be made."""

    id: str
    document: InstanceDocument
    spec: InstanceSpec
    positions: Document


async def plan_instance(submission: InstanceSubmission) -> InstancePlan:
    """Raises SpecError with every problem of the document's own."""
    document = submission.document()
    if isinstance(document.value, dict) and "steps" in document.value:
        raise InvalidError("this is a pipeline, and no instance", hint="its `steps` are run by: gamekeeper run FILE")
    problems = ProblemList(document.positions)
    found = read_document(document, InstanceDocument, problems)
    if found is None:
        raise SpecError(problems.problems, WHAT)
    instance_id = found.id or _made_up(found)
    spec = make_spec(found, instance_id, problems)
    if problems.problems:
        raise SpecError(problems.problems, WHAT)
    return InstancePlan(instance_id, found, spec, document)


async def plan_revision(
    session: AsyncSession, submission: InstanceSubmission, row: InstanceRow, before: InstanceSpec, *, beside: bool
) -> InstanceSpec:
    """The next revision. Raises SpecError with every problem, and InvalidError for one that changes nothing."""
    document = submission.document()
    problems = ProblemList(document.positions)
    node = await NodeRepository(session).get(row.node_id)
    found = read_document(document, RevisionDocument, problems)
    spec = make_spec(found, row.id, problems, before) if found is not None else None
    if isinstance(spec, InstanceSpec):
        check_policy(spec, node, problems)
        await check_instance(session, spec.container, row.id, row.pipeline, node, document, problems)
        if beside:
            _check_beside(before.container, spec.asked.container, problems)
    if problems.problems or spec is None:
        raise SpecError(problems.problems, WHAT)
    return InstanceSpec.model_validate(spec.model_dump(exclude_unset=True))


def _check_beside(before: Container, after: Container, problems: ProblemList) -> None:
    for index, (message, hint) in clashing_ports(before, after).items():
        problems.add(("container", "ports", index), "port_of_both", message, hint)
    if message := clashing_gpus(before, after):
        problems.add(after.path_of_gpus, "gpu_of_both", message, GPU_HINT)


async def where_to(
    session: AsyncSession, plan: InstancePlan, allowed: Scope = ALL_NODES, sight: Bounds = NOTHING
) -> Where:
    """The node that the plan names, or those among which it may be placed. In a fleet of one it names none. ``allowed``
    are the nodes that there are for who asks, and ``sight`` what they may be told of.

    Raises SpecError with every problem of the named one.
    """
    wish = plan.document.node
    if isinstance(wish, NodeSelector):
        return replace(where_of(wish, plan.spec.group or ""), allowed=allowed, sight=sight)
    problems = ProblemList(plan.positions.positions)
    nodes = NodeRepository(session)
    node_id = wish or await nodes.only_id()
    row = await nodes.find(node_id) if node_id is not None else None
    if row is not None and not allowed.covers(Target(ObjectKind.NODE, row.id, row.labels)):
        row, node_id = None, wish
    if node_id is None:
        message = "the instance names no node"
        problems.add(("node",), "missing", message, 'add "node": "gpu-01", or "node": {"labels": {"pool": "eu"}}')
    elif row is None:
        hint = did_you_mean(node_id, await nodes.ids(allowed)) or "gamekeeper node add creates one"
        problems.add(("node",), "unknown_node", f'node "{node_id}" has never registered', hint)
    else:
        _check_mode(row, problems)
        check_policy(plan.spec, row, problems)
    if problems.problems:
        raise SpecError(problems.problems, WHAT)
    return Where(node=node_id, group=plan.spec.group or "", sight=sight)


async def placed(
    session: AsyncSession, plan: InstancePlan, pipeline: str, allowed: Scope = ALL_NODES, sight: Bounds = NOTHING
) -> PlacedInstance:
    """Promises the instance its room. Raises SpecError with every problem, ConflictError while no node has room. Of a
    ``pipeline`` it may have the secrets that this may have."""
    where, problems = await where_to(session, plan, allowed, sight), ProblemList(plan.positions.positions)
    try:
        placed_at = await place_instance(session, plan.id, plan.spec, where)
    except InvalidError as error:
        problems.add(("node",), error.code, error.message, error.hint)
        raise SpecError(problems.problems, WHAT) from error
    node = await NodeRepository(session).get(placed_at.node)
    await check_instance(session, plan.spec.container, plan.id, pipeline, node, plan.positions, problems)
    if problems.problems:
        raise SpecError(problems.problems, WHAT)
    return placed_at


def _check_mode(row: NodeRow, problems: ProblemList) -> None:
    if row.mode != NodeMode.ACTIVE:
        state = "disabled" if row.mode == NodeMode.DISABLED else "in maintenance: nothing new starts there"
        hint = f"gamekeeper node uncordon {row.id}"
        problems.add(("node",), f"node_{row.mode}", f'node "{row.id}" is {state}', hint)


def check_policy(spec: InstanceSpec, row: NodeRow, problems: ProblemList) -> None:
    """Adds what the node's own policy, as it last told it, forbids."""
    if row.policy is None:
        return
    policy = NodePolicy.model_validate(row.policy)
    for violation in policy.violations(spec.container):
        message, hint = violation.message, policy.advice(violation, row.id)
        if violation.line:
            message = f"{message} of {row.id}"
        problems.add(("container", *violation.path), "policy", message, hint)


def _made_up(found: InstanceDocument) -> str:
    """An id for one that has none: of its name or image, with some random digits."""
    image = found.container.image if found.container else ""
    told: Sequence[str] = [found.name or "", image.rpartition("/")[2].partition(":")[0].partition("@")[0], WHAT]
    slugs = [_SLUG.sub("-", text.lower()).strip("-")[:_ID_LENGTH] for text in told]
    return f"{next(slug for slug in slugs if slug)}-{secrets.token_hex(2)}"

"""Values of secrets go to the node whose open step, or whose instance's present revision, names them."""

from __future__ import annotations

from typing import Any

import pytest

from api.services.node import secret_delivery
from api.services.node.secret_delivery import SecretDelivery
from gamekeeper.db.engine import Database
from gamekeeper.db.models import InstanceRevisionRow, InstanceRow, NodeRow, RunRow, StepRow
from gamekeeper.domain.container.container_key import InstanceKey, StepKey
from gamekeeper.domain.run.run import RunState
from gamekeeper.domain.run.step import StepState
from gamekeeper.errors import ForbiddenError, GamekeeperError, LaterError, NotFoundError, TooLargeError
from tests.fakes.secret_values import FakeSecretValues

RUN = "f" * 16
KEY = StepKey(run_id=RUN, step="work", try_=2)
CONTAINER = {"image": "image", "secrets": [{"secret": "s3-key", "env": "KEY"}], "pull": {"secret": "login"}}


class Given:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.values = FakeSecretValues(**{"s3-key": b"value", "login": b"bot:word", "other": b"nothing"})
        self.delivery = SecretDelivery(database, self.values)

    async def step(self, name: str = "work", node: str = "a", run: RunState = RunState.RUNNING, **fields: Any) -> None:
        resolved = {"name": "p", "steps": [{"name": "work", "container": CONTAINER}, {"name": "own"}]}
        async with self.database.write() as session:
            session.add(NodeRow(id="a", name="a", labels={"zone": "eu"}))
            session.add(RunRow(id=RUN, pipeline="p", state=run.value, resolved=resolved))
            await session.flush()
            state: dict[str, Any] = {"state": StepState.STARTING.value, "try_number": 2} | fields
            session.add(StepRow(run_id=RUN, name=name, node_id=node, **state))

    async def instance(self, **fields: Any) -> None:
        row: dict[str, Any] = {"node_id": "a", "revision": 2, "running_revision": 1, "pipeline": "p"}
        async with self.database.write() as session:
            session.add(InstanceRow(id="arena", **(row | fields)))
            await session.flush()
            for number in (1, 2, 3):
                spec = {"container": CONTAINER if number < 3 else {"image": "image"}}
                session.add(InstanceRevisionRow(instance_id="arena", revision=number, spec=spec))

    async def refusal(self, key: Any, *names: str, node: str = "a") -> GamekeeperError:
        with pytest.raises(GamekeeperError) as caught:
            await self.delivery.give(node, key, names or ["s3-key"])
        assert self.values.uses == []
        return caught.value


@pytest.fixture
def given(database: Database) -> Given:
    return Given(database)


async def test_an_open_step_gets_what_it_names(given: Given) -> None:
    await given.step()
    found = await given.delivery.give("a", KEY, ["s3-key", "login"])
    assert found == {"s3-key": b"value", "login": b"bot:word"}
    (use,) = given.values.uses
    assert (use.pipeline, use.node, use.node_labels, use.run, use.step) == ("p", "a", {"zone": "eu"}, RUN, "work")


async def test_a_cell_gets_what_its_matrix_names(given: Given) -> None:
    await given.step("work-3", cell_of="work", cell=3)
    key = StepKey(run_id=RUN, step="work-3", try_=2)
    assert await given.delivery.give("a", key, ["s3-key"]) == {"s3-key": b"value"}


@pytest.mark.parametrize(
    ("fields", "try_", "kind"),
    [
        ({"state": StepState.PENDING.value, "try_number": 0}, 2, LaterError),  # its workflow has begun it just now
        ({"state": StepState.PENDING.value, "try_number": 0}, 1, LaterError),  # or it waits for an approval
        ({"state": StepState.FAILED.value, "try_number": 1}, 2, LaterError),
        ({"state": StepState.HELD.value}, 2, LaterError),
        ({"state": StepState.SUCCEEDED.value}, 2, ForbiddenError),
        ({"state": StepState.CANCELED.value}, 2, ForbiddenError),
        ({}, 1, ForbiddenError),
        ({"node": "b"}, 2, ForbiddenError),
        ({"run": RunState.SUCCEEDED}, 2, ForbiddenError),
        ({"name": "own"}, 2, LaterError),  # a cell that nobody has written yet; of a step that there is none, for ever
    ],
)
async def test_a_step_that_is_not_open_here_gets_nothing(
    given: Given, fields: dict[str, Any], try_: int, kind: type[GamekeeperError]
) -> None:
    await given.step(**fields)
    assert type(await given.refusal(KEY.model_copy(update={"try_": try_}))) is kind


async def test_what_a_step_does_not_name_it_does_not_get(given: Given) -> None:
    await given.step()
    error = await given.refusal(KEY, "s3-key", "other")
    assert isinstance(error, ForbiddenError)
    assert 'does not name the secret "other"' in str(error)


async def test_the_scope_counts_at_each_question(given: Given) -> None:
    await given.step()
    given.values.forbidden.add("s3-key")
    assert 'the secret "s3-key" may not be had by step "work"' in str(await given.refusal(KEY))
    given.values.known.clear()
    assert isinstance(await given.refusal(KEY), NotFoundError)


@pytest.mark.parametrize("revision", [1, 2])
async def test_an_instance_gets_what_its_ordered_or_its_running_revision_names(given: Given, revision: int) -> None:
    await given.instance()
    key = InstanceKey(instance="arena", revision=revision)
    assert await given.delivery.give("a", key, ["s3-key"]) == {"s3-key": b"value"}
    (use,) = given.values.uses
    assert (use.instance, use.pipeline, use.node) == ("arena", "p", "a")


@pytest.mark.parametrize(
    ("fields", "revision", "node"),
    [
        ({}, 3, "a"),
        ({}, 2, "b"),
        ({"desired": "stopped"}, 2, "a"),
        ({"desired": "removed"}, 2, "a"),
        ({"revision": 3, "running_revision": 3}, 1, "a"),
        ({"revision": 3, "running_revision": 3}, 3, "a"),  # which names none
    ],
)
async def test_an_instance_that_is_not_to_run_here_gets_nothing(
    given: Given, fields: dict[str, Any], revision: int, node: str
) -> None:
    await given.instance(**fields)
    error = await given.refusal(InstanceKey(instance="arena", revision=revision), node=node)
    assert isinstance(error, ForbiddenError)


async def test_an_answer_has_a_size(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    await given.step()
    monkeypatch.setattr(secret_delivery, "MAX_BYTES", 4)
    with pytest.raises(TooLargeError, match="have 5 bytes in all, at most 4 are given"):
        await given.delivery.give("a", KEY, ["s3-key"])

"""An upload of many logs at once, as busy nodes send them: one question of the database, whatever their number."""

from __future__ import annotations

from collections.abc import AsyncIterator

from sqlalchemy import event

from gamekeeper.db.repositories.run import RUNS_AT_ONCE
from gamekeeper.domain.container.container_key import ContainerKey, InstanceKey, StepKey
from gamekeeper.domain.log.log import LogEnd, LogStream
from gamekeeper.rpc.convert import key_to_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from tests.fixtures.api import ApiUnderTest
from tests.fixtures.raw_agent import RawAgent

LOGS = 50


def noted(api: ApiUnderTest) -> list[str]:
    """The questions of the database from here on."""
    questions: list[str] = []
    event.listen(
        api.database._engine.sync_engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, *_: questions.append(statement),
    )
    return questions


async def test_the_owners_of_all_logs_are_one_question(api: ApiUnderTest) -> None:
    await api.add_node()
    raw = RawAgent(api, await api.enrol("node-1"))
    _session = await raw.hello()
    steps = [{"name": f"s{index}", "container": {"image": "image"}} for index in range(LOGS)]
    run = await api.submit(*steps)
    own = [StepKey(run_id=run["id"], step=f"s{index}", try_=1) for index in range(LOGS)]
    keys: list[ContainerKey] = [*own, StepKey(run_id=run["id"], step="none", try_=1)]
    keys.append(InstanceKey(instance="none", revision=1))
    questions = noted(api)

    async def batches() -> AsyncIterator[pb.LogBatch]:
        end = pb.LogRecord(seq=2, stream=LogStream.END, data=LogEnd(True).encode())
        for key in keys:
            yield pb.LogBatch(key=key_to_pb(key), records=[pb.LogRecord(seq=1, stream=1, data=b"line\n"), end])

    answer = await raw.dial.bulk.UploadLogs(batches(), metadata=raw.metadata)
    assert [ack.seq for ack in answer.acks] == [2] * LOGS + [0, 0]
    strange = [ack.refused for ack in answer.acks if ack.refused]
    assert strange == [f'run "{run["id"]}" has no step "none"', 'there is no revision 1 of an instance "none"']
    assert len([text for text in questions if "FROM steps" in text and "steps.name IN" in text]) == 1
    assert len([text for text in questions if "FROM steps" in text]) < LOGS
    await raw.dial.close()


async def test_made_up_runs_are_few_questions(api: ApiUnderTest) -> None:
    """A node names as many runs as it likes in one upload; a question for each would keep the others waiting."""
    await api.add_node()
    raw = RawAgent(api, await api.enrol("node-1"))
    _session = await raw.hello()
    own = StepKey(run_id=(await api.submit({"name": "s", "container": {"image": "image"}}))["id"], step="s", try_=1)
    keys = [StepKey(run_id=f"made-up-{number}", step="s", try_=1) for number in range(RUNS_AT_ONCE + 50)]
    questions = noted(api)

    async def batches() -> AsyncIterator[pb.LogBatch]:
        for key in (*keys, own):
            yield pb.LogBatch(key=key_to_pb(key), records=[pb.LogRecord(seq=1, stream=1, data=b"line\n")])

    answer = await raw.dial.bulk.UploadLogs(batches(), metadata=raw.metadata)
    assert [bool(ack.refused) for ack in answer.acks] == [True] * len(keys) + [False]
    assert len([text for text in questions if "FROM steps" in text and "steps.name IN" in text]) == 2
    await raw.dial.close()

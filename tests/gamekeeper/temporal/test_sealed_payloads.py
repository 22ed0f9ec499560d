"""The codec that encrypts: what is in it comes out, in its own place, and what is not encrypted passes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload
from temporalio.converter import ActivitySerializationContext, SerializationContext, WorkflowSerializationContext
from temporalio.exceptions import ApplicationError

from gamekeeper.payload_keys.cipher import AlteredError
from gamekeeper.payload_keys.live import GivenUpKeyError, MissingKeyError
from gamekeeper.payload_keys.ring_file import new_key
from gamekeeper.temporal import queues
from gamekeeper.temporal.sealed_payloads import (
    ENCRYPTED,
    KEY_ID,
    MAX_OVERHEAD,
    NODE,
    PayloadSeals,
    SealingCodec,
    is_sealed,
)
from tests.fakes.trouble_log import FakeTroubleLog
from tests.fixtures.temporal import PlainCodec, seals_of

WORDS = Payload(metadata={"encoding": b"json/plain", "more": b"marks"}, data=b'"canary"')
RUN = WorkflowSerializationContext(namespace="default", workflow_id="run/1")


def activity_of(queue: str) -> SerializationContext:
    return ActivitySerializationContext(
        namespace="default",
        workflow_id="run/1",
        workflow_type="PipelineWorkflow",
        activity_type="step.run_job",
        activity_id="a.1",
        activity_task_queue=queue,
        is_local=False,
    )


@pytest.fixture
def seals(tmp_path: Path) -> PayloadSeals:
    return seals_of(tmp_path)


async def through(codec: SealingCodec, payload: Payload) -> Payload:
    [sealed] = await codec.encode([payload])
    [found] = await codec.decode([sealed])
    return found


@given(st.binary(max_size=4096), st.dictionaries(st.text(max_size=20), st.binary(max_size=40), max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_payload_comes_back_as_it_was(seals: PayloadSeals, data: bytes, metadata: dict[str, bytes]) -> None:
    payload = Payload(metadata=metadata, data=data)
    sealed = seals.sealed(payload)
    assert seals.opened(sealed, "") == payload
    assert sealed.ByteSize() <= payload.ByteSize() + MAX_OVERHEAD
    assert sealed.metadata["encoding"] == ENCRYPTED


def test_nothing_is_readable_but_the_keys_id(seals: PayloadSeals) -> None:
    sealed = seals.sealed(WORDS, "edge-1")
    assert {name: bytes(value) for name, value in sealed.metadata.items()} == {
        "encoding": ENCRYPTED,
        KEY_ID: seals.keys.ring.keys[0].id.encode(),
        NODE: b"edge-1",
    }
    assert b"canary" not in sealed.SerializeToString()
    assert b"marks" not in sealed.SerializeToString()
    assert seals.sealed(WORDS).data != seals.sealed(WORDS).data


def test_what_was_written_in_clear_passes(seals: PayloadSeals) -> None:
    assert seals.opened(WORDS, "") is WORDS
    assert seals.opened(Payload(), "edge-1") == Payload()


def test_an_upgrade_that_is_under_way_writes_in_clear(tmp_path: Path) -> None:
    assert seals_of(tmp_path, in_clear=True).sealed(WORDS) is WORDS


@pytest.mark.parametrize("context", [RUN, activity_of(queues.CONTROL_PLANE)])
async def test_the_control_plane_takes_its_own_alone(seals: PayloadSeals, context: SerializationContext) -> None:
    codec = SealingCodec(PlainCodec(), seals).with_context(context)
    assert await through(codec, WORDS) == WORDS
    with pytest.raises(AlteredError, match="is not from where it should be"):
        await codec.decode([seals.sealed(WORDS, "edge-1")])


async def test_a_node_answers_for_itself_alone(seals: PayloadSeals) -> None:
    """Somebody with Temporal's address can't pass what another node was told, or answered, for this one's answer."""
    control = SealingCodec(PlainCodec(), seals).with_context(activity_of(queues.node_queue("edge-1")))
    assert await control.decode([seals.sealed(WORDS, "edge-1")]) == [WORDS]
    for node in ("edge-2", ""):
        with pytest.raises(AlteredError, match="is not from where it should be"):
            await control.decode([seals.sealed(WORDS, node)])
    renamed = seals.sealed(WORDS, "edge-2")
    renamed.metadata[NODE] = b"edge-1"
    with pytest.raises(AlteredError, match="does not fit its key"):
        await control.decode([renamed])


async def test_a_node_that_has_the_keys_reads_its_input_and_answers(seals: PayloadSeals) -> None:
    """As an agent that speaks to Temporal itself."""
    place = activity_of(queues.node_control_queue("edge-1"))
    node = SealingCodec(PlainCodec(), seals, node="edge-1").with_context(place)
    control = SealingCodec(PlainCodec(), seals).with_context(place)
    assert await node.decode(await control.encode([WORDS])) == [WORDS]
    assert await control.decode(await node.encode([WORDS])) == [WORDS]


async def test_whoever_only_shows_takes_all(seals: PayloadSeals) -> None:
    shown = SealingCodec(PlainCodec(), seals)
    assert await shown.decode([seals.sealed(WORDS, "edge-1"), seals.sealed(WORDS), WORDS]) == [WORDS] * 3


@pytest.mark.parametrize("changed", ["data", "key", "twice"])
async def test_an_altered_payload_is_refused(seals: PayloadSeals, changed: str) -> None:
    now = datetime.now(UTC)
    other = new_key(now + timedelta(hours=1), now)
    seals.keys.file.change(lambda ring: ring.with_key(other))
    sealed = seals.sealed(WORDS)
    if changed == "data":
        sealed.data = sealed.data[:-1] + bytes([sealed.data[-1] ^ 1])
    elif changed == "key":
        sealed.metadata[KEY_ID] = other.id.encode()
    else:
        inner = seals.opened(seals.sealed(sealed), "")
        assert is_sealed(inner), "what a node sends as encrypted is not opened for it"
        return
    with pytest.raises(AlteredError, match="was altered, or is another key's"):
        seals.opened(sealed, "")


async def test_a_key_that_is_missing_is_told_and_found_again(seals: PayloadSeals, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other, log = seals_of(tmp_path / "other"), FakeTroubleLog()
    codec = SealingCodec(PlainCodec(), seals, is_of_a_worker=True).with_context(RUN)
    sealed = other.sealed(WORDS)
    with pytest.raises(MissingKeyError):
        await codec.decode([sealed])
    await seals.tell(log, "control_worker")
    ((place, trouble),) = log.rows.items()
    assert place == ("control_worker", "run/1", other.keys.ring.keys[0].id)
    assert trouble.is_missing
    first = other.keys.ring.keys[0].model_copy(update={"writes_from": seals.keys.ring.keys[0].writes_from})
    seals.keys.file.change(lambda ring: ring.model_copy(update={"keys": (*ring.keys, first)}))
    assert await codec.decode([sealed]) == [WORDS], "the file was restored"
    await seals.tell(log, "control_worker")
    assert not log.rows


async def test_a_key_that_was_given_up_ends_a_workflow_in_words(seals: PayloadSeals) -> None:
    sealed, now = seals.sealed(WORDS), datetime.now(UTC)
    first = seals.keys.ring.keys[0].id
    seals.keys.file.change(lambda ring: ring.given_up(first, "key:admin", now, new_key(now, now)))
    seals.keys.look()
    worker = SealingCodec(PlainCodec(), seals, is_of_a_worker=True).with_context(RUN)
    with pytest.raises(ApplicationError, match="was given up by key:admin") as caught:
        await worker.decode([sealed])
    assert caught.value.non_retryable
    with pytest.raises(GivenUpKeyError):
        await SealingCodec(PlainCodec(), seals).with_context(RUN).decode([sealed])
    assert not seals.troubles.take()[0], "somebody knows of it"
    assert await through(worker, WORDS) == WORDS, "what is new is encrypted with a new key"


async def test_a_spoiled_file_is_a_trouble(seals: PayloadSeals) -> None:
    log, text = FakeTroubleLog(), seals.keys.path.read_text()
    seals.keys.path.write_text("{")
    await seals.tell(log, "gateway")
    assert "can't be read" in log.rows["gateway", "", ""].message
    seals.keys.path.write_text(text)
    await seals.tell(log, "gateway")
    assert not log.rows

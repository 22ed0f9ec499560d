"""Reports of containers as agents send them."""

from __future__ import annotations

from datetime import timedelta

from api.grpc.containers import MAX_TRIES, report_from_pb
from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.rpc.convert import key_to_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from tests.factories import make_key


async def test_containers_with_odd_labels_keep_no_other_from_being_seen_to() -> None:
    good = make_key()
    odd = [
        pb.ContainerKey(run_id=good.run_id, step="work"),
        key_to_pb(StepKey(run_id="../x", step="work", try_=1)),
        pb.ContainerKey(),
    ]
    request = pb.ReportContainersRequest(
        containers=[pb.Container(id=f"c{index}", key=key) for index, key in enumerate([*odd, key_to_pb(good)])],
        tries=[*odd, *[key_to_pb(good)] * 2 * MAX_TRIES],
        run_resources=["x" * 100],
    )
    report = await report_from_pb("n1", request)
    assert [item.key for item in report.containers] == [good]
    assert set(report.tries) == {good}
    assert len(report.tries) < MAX_TRIES
    assert report.run_resources == ["x" * 32]


async def test_a_container_is_read_as_its_agent_tells_it() -> None:
    item = pb.Container(
        id="c1", key=key_to_pb(make_key()), status="running", lifetime="node", age_ms=2500, restart_count=2**32 - 1
    )
    (found,) = (await report_from_pb("n1", pb.ReportContainersRequest(containers=[item]))).containers
    assert (found.ended, found.age, found.row.lifetime) == (False, timedelta(seconds=2.5), "node")
    assert (found.row.exit_code, found.last_exit_code, found.finished_at) == (None, None, None)
    assert found.row.restart_count == 2**31 - 1
    item.ended, item.status, item.last_exit_code, item.exit_code, item.finished_at_ms = True, "exited", 0, 0, 1000
    (found,) = (await report_from_pb("n1", pb.ReportContainersRequest(containers=[item]))).containers
    assert (found.row.exit_code, found.last_exit_code) == (0, 0)
    assert found.finished_at is not None

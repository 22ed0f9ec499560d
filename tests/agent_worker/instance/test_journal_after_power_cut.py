"""The keeper's journal on a machine that lost its power: it has each order that was taken, and no removed instance.

A file system that writes nothing by itself for minutes holds the journal. A copy of what it has written is what the
machine finds when it is up again.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent_worker.instance.journal import KeeperJournal
from agent_worker.instance.succession import first_record
from gamekeeper.domain.instance.order import InstanceOrder
from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.instance.state import Desired

MIB = 2**20


def order(serial: int, desired: Desired = Desired.RUNNING) -> InstanceOrder:
    spec = InstanceSpec.model_validate({"container": {"image": "i"}})
    return InstanceOrder(instance="game", node="n", serial=serial, revision=1, desired=desired, spec=spec)


@contextmanager
def mounted(image: Path, place: Path) -> Iterator[Path]:
    place.mkdir()
    subprocess.run(["mount", "-o", "loop,commit=3000", str(image), str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    made = tmp_path / "disk"
    with made.open("wb") as file:
        file.truncate(24 * MIB)
    subprocess.run(["mkfs.ext4", "-q", str(made)], check=True)
    return made


def test_an_order_that_was_taken_outlives_a_power_cut(image: Path, tmp_path: Path) -> None:
    with mounted(image, tmp_path / "before") as folder:
        journal = KeeperJournal(folder / "instances.db")
        journal.keep_order(first_record(order(1), []))
        subprocess.run(["sync", "-f", str(folder)], check=True)
        journal.keep_order(first_record(order(2, Desired.STOPPED), []))
        shutil.copy(image, tmp_path / "ordered")
        journal.bury("game", 3)
        shutil.copy(image, tmp_path / "buried")
        journal.close()
    with mounted(tmp_path / "ordered", tmp_path / "after") as folder:
        journal = KeeperJournal(folder / "instances.db")
        record = journal.load()["game"]
        assert (record.order.serial, record.order.desired) == (2, Desired.STOPPED)
        journal.close()
    with mounted(tmp_path / "buried", tmp_path / "later") as folder:
        journal = KeeperJournal(folder / "instances.db")
        assert (journal.load(), journal.buried("game")) == ({}, 3)
        journal.close()

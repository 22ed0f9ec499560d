"""Downloads of agent bundles are counted, and nothing of them is kept."""

from __future__ import annotations

from pathlib import Path

from api.services.access.bundle import BundleService


def test_addresses_that_are_done_are_forgotten() -> None:
    bundles = BundleService(Path("nowhere"))
    for number in range(100):
        with bundles.download(f"192.0.2.{number}"):
            pass
    assert not bundles._downloads

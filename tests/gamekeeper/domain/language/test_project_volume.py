"""Names of volumes: nobody's are another's."""

from __future__ import annotations

import re

import pytest

from gamekeeper.domain.language.project_volume import of_instance, of_pipeline, own_prefix
from gamekeeper.domain.language.volume import split_volume


def test_ids_that_begin_alike_share_no_volume() -> None:
    names = of_instance("1-data:/d", "arena"), of_instance("data:/d", "arena-1")
    assert names == ("gk-i-arena.1-data:/d", "gk-i-arena-1.data:/d")
    assert not re.match(re.escape(own_prefix("arena")), names[1])
    assert split_volume(names[0]).source == "gk-i-arena.1-data"


@pytest.mark.parametrize(
    "volume", ["gk-i-arena.data:/d", "gk-p-shop-data:/d", "/srv/x:/x", "/cache", "external:data:/d:ro"]
)
def test_what_has_an_owner_stays(volume: str) -> None:
    assert of_instance(volume, "arena") == volume


@pytest.mark.parametrize("name", ["gk-p-other-data", "gk-i-arena.data", "gk-u-x"])
def test_a_pipeline_that_writes_the_name_of_anothers_volume_gets_its_own(name: str) -> None:
    assert of_pipeline(f"{name}:/d", "own") == f"gk-p-own-{name}:/d"
    assert of_pipeline("gk-p-own-data:/d", "own") == "gk-p-own-data:/d"

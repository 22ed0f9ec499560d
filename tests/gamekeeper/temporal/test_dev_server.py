"""The settings of the embedded Temporal server, and of a cluster."""

from __future__ import annotations

from pathlib import Path

import yaml

from gamekeeper.domain.run.limits import MAX_RENDERED
from gamekeeper.temporal.dev_server import DYNAMIC_CONFIG
from workflows.run.interpreter import PARALLEL_STEPS

CLUSTER = Path(__file__).parents[3] / "deploy" / "temporal" / "dynamic-config.yaml"
EMBEDDED = {name: yaml.safe_load(value) for name, _, value in (text.partition("=") for text in DYNAMIC_CONFIG)}


def test_what_steps_side_by_side_are_given_fits_into_the_cache_of_events() -> None:
    assert EMBEDDED["history.eventsCacheMaxSizeBytes"] >= PARALLEL_STEPS * MAX_RENDERED


def test_a_cluster_has_the_same_settings() -> None:
    cluster = {name: values[0]["value"] for name, values in yaml.safe_load(CLUSTER.read_text()).items()}
    assert cluster == {name: value for name, value in EMBEDDED.items() if name != "history.timerProcessorMaxTimeShift"}

"""Ends of the runs of each pipeline and schedule, for Prometheus; ``schedule`` is empty where none made the run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from api.services.run.outcome import RunOutcomes

_WHOSE = ("pipeline", "schedule")


class RunOutcomeMetrics(Collector):
    def __init__(self, outcomes: Sequence[RunOutcomes], now: datetime) -> None:
        self._outcomes = outcomes
        self._now = now

    def collect(self) -> Iterable[Metric]:
        ended = CounterMetricFamily(
            "gamekeeper_pipeline_runs_ended", "Runs that have ended, by their state", labels=[*_WHOSE, "state"]
        )
        took = SummaryMetricFamily(
            "gamekeeper_pipeline_run_seconds", "From the start of runs to their end", labels=[*_WHOSE, "state"]
        )
        success = GaugeMetricFamily(
            "gamekeeper_pipeline_last_success_seconds", "Unix time at which a run last succeeded", labels=_WHOSE
        )
        failed = GaugeMetricFamily(
            "gamekeeper_pipeline_failed_in_a_row", "Failed runs since the last one that succeeded", labels=_WHOSE
        )
        waits = GaugeMetricFamily(
            "gamekeeper_pipeline_waiting_seconds",
            "How long the oldest run waits, in the queue or for a node",
            labels=_WHOSE,
        )
        for each in self._outcomes:
            whose = [each.pipeline, each.schedule or ""]
            for state, count in each.ended.items():
                ended.add_metric([*whose, state], count)
                took.add_metric([*whose, state], count_value=each.timed[state], sum_value=each.seconds[state])
            if each.last_success:
                success.add_metric(whose, each.last_success.timestamp())
            failed.add_metric(whose, each.failed_in_a_row)
            since = each.waits_since
            waits.add_metric(whose, max(0.0, (self._now - since).total_seconds()) if since else 0)
        return [ended, took, success, failed, waits]

"""OpenTelemetry traces, exported by OTLP where ``OTEL_EXPORTER_OTLP_ENDPOINT`` says so, else not loaded at all.

The exporter's imports cost the agent several megabytes, so they happen only when somebody collects.
"""

from __future__ import annotations

import os


def tracing_enabled() -> bool:
    return bool(os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"))


def configure_tracing(service: str) -> None:
    """Sets the process's tracer provider; does nothing when no collector is named."""
    if not tracing_enabled():
        return
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": service, "service.namespace": "gamekeeper"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)

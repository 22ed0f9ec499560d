"""The engine that only pretends: for tests, load tests and UI work. Nothing here starts a process."""

from agent_worker.dummy_engine.console import DummyConsole
from agent_worker.dummy_engine.engine import DummyEngine

__all__ = ["DummyConsole", "DummyEngine"]

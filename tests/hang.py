"""The limit of every wait in a test. It ends a test that hangs and never decides whether one passes.

It is far longer than any wait needs, because a busy machine may take many times as long as a quiet one. A test that
must tell soon from late compares what was recorded: an order of events, an outcome, a lease.
"""

from __future__ import annotations

HANG_SECONDS = 100.0

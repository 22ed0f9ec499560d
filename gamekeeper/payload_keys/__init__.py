"""The keys that encrypt what is written into Temporal's histories. The newest one writes, and all of them read."""

"""The workflows of a run. Others talk to ``pipeline``, ``interpreter`` decides the order, the other modules
each do one kind of step."""

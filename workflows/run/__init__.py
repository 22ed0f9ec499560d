"""The workflows of a run. ``pipeline`` is what others talk to, ``interpreter`` decides the order, the other modules
each do one kind of step."""

"""Python's search for cycles of garbage, made seldom: what a process has loaded lives as long as it does, and so do a
fleet's sessions and the steps of a large run, a hundred thousand objects.

With Python's own numbers a fifth of the api's time went into looking at them again and again, and a seventh of the
control worker's.
"""

from __future__ import annotations

import gc

YOUNG, MIDDLE, OLD = 20_000, 20, 20


def collect_seldom() -> None:
    """To be called once all is loaded: what is there then is never looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)

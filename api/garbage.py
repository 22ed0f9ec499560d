"""Python's search for cycles of garbage, made seldom: a fleet's sessions are a hundred thousand objects that live long.

With Python's own numbers a fifth of the api's time went into looking at them again and again.
"""

from __future__ import annotations

import gc

YOUNG, MIDDLE, OLD = 20_000, 20, 20


def collect_seldom() -> None:
    """To be called once all is loaded: what is there then is never looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)

"""Keeps out of memory what a library would load just in case."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(module: str) -> Iterator[None]:
    """Within it ``module`` can't be imported, where it is not there yet, and nobody is warned of that."""
    if module in sys.modules:
        yield
        return
    blocked: dict[str, object] = {module: None}
    sys.modules.update(blocked)  # type: ignore[arg-type]  # as the import system itself has it for what is not there
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        del sys.modules[module]

"""The changes between two versions of a pipeline's text, and its steps as a drawing."""

from __future__ import annotations

import difflib

from gamekeeper.domain.language.pipeline import Pipeline
from gamekeeper.domain.language.placed_step import place_steps
from gamekeeper.domain.language.step import StepType

_SHAPES = {
    StepType.JOB: ('["', '"]'),
    StepType.SERVICE: ('(["', '"])'),
    StepType.APPROVAL: ('{{"', '"}}'),
    StepType.PIPELINE: ('[["', '"]]'),
}


def unified_diff(name: str, old: tuple[int, str], new: tuple[int, str]) -> str:
    """The difference of two (version, text), as ``diff -u`` writes it; empty for equal texts."""
    before, after = (text if text.endswith("\n") else text + "\n" for _, text in (old, new))
    labels = f"{name} version {old[0]}", f"{name} version {new[0]}"
    return "".join(difflib.unified_diff(before.splitlines(True), after.splitlines(True), *labels))


def mermaid(pipeline: Pipeline) -> str:
    """The steps and their needs as a Mermaid flowchart; finally steps stand behind all others."""
    placed = place_steps(pipeline)
    ids = {item.step.name: f"s{index}" for index, item in enumerate(placed)}
    needed = {need for item in placed for need in item.needs}
    last = [item.step.name for item in placed if not item.is_finally and item.step.name not in needed]
    lines = ["flowchart TD"]
    for item in placed:
        opened, closed = _SHAPES[item.step.type]
        label = item.step.name + (" (matrix)" if item.step.matrix is not None else "")
        lines.append(f"    {ids[item.step.name]}{opened}{label}{closed}")
    for item in placed:
        arrow = "-.->" if item.is_finally and not item.needs else "-->"
        for need in item.needs or (last if item.is_finally else []):
            word = "|started|" if need in item.started_needs else ""
            lines.append(f"    {ids[need]} {arrow}{word} {ids[item.step.name]}")
    return "\n".join(lines) + "\n"

"""Renders docs/keys.md, the page of all keys of the pipeline language, from the models and their descriptions."""

from __future__ import annotations

import json
from typing import Any

from gamekeeper.domain.language.key_docs import MODELS, json_schema

HEAD = """\
# Every key of the language

Written by `make pages` from the models that read pipelines; an editor shows the same by the JSON Schema at
`/api/v1/schema/pipeline-v1.json`. What is not executed yet is refused as "not supported yet": see
[the language](language.md). Bold keys are required.
"""
TITLES = {
    "Pipeline": "The pipeline",
    "Step": "A step",
    "Container": "`container`",
    "StepDefaults": "`defaults`",
    "Port": "An entry of `ports`, in its long form",
    "VolumeForm": "An entry of `volumes`, in its long form",
    "BindOptions": "`bind` of a volume",
    "VolumeOptions": "`volume` of a volume",
    "TmpfsOptions": "`tmpfs` of a volume",
    "Device": "An entry of `devices`, in its long form",
    "ScheduleLine": "A line of `schedule`",
}


def render() -> str:
    schema = json_schema()
    parts = [HEAD]
    for name, keys in MODELS.items():
        model = schema if name == "Pipeline" else schema["$defs"][name]
        required = set(model.get("required", []))
        parts.append(f"## {TITLES.get(name, name)}\n")
        parts.append("| key | meaning | example |\n| --- | --- | --- |")
        for key, (description, example) in keys.items():
            bold = f"**{key}**" if key in required else key
            parts.append(f"| {bold} | {_cell(description)} | `{_cell(_example(example))}` |")
        parts.append("")
    return "\n".join(parts)


def _example(example: Any) -> str:
    return example if isinstance(example, str) else json.dumps(example)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")

"""Versions side by side, and a pipeline as a drawing."""

from __future__ import annotations

from gamekeeper.domain.language.check import check_document
from gamekeeper.domain.language.pipeline_diff import mermaid, unified_diff
from gamekeeper.domain.language.source import parse_text

TEXT = """
name: test
steps:
  - {name: db, type: service, container: {image: a}}
  - {name: check, matrix: {n: [1, 2]}, container: {image: a}}
  - {name: go, type: approval, approval: {message: go?}}
  - {name: alone, needs: [], container: {image: a}}
finally:
  - {name: notify, container: {image: a}}
  - {name: report, needs: [notify], container: {image: a}}
"""


def test_diff() -> None:
    text = unified_diff("test", (1, "a\nb\n"), (2, "a\nc"))
    assert text == "--- test version 1\n+++ test version 2\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
    assert unified_diff("test", (1, "a\n"), (2, "a\n")) == ""


def test_drawing() -> None:
    pipeline = check_document(parse_text(TEXT)).pipeline
    assert mermaid(pipeline).splitlines() == [
        "flowchart TD",
        '    s0(["db"])',
        '    s1["check (matrix)"]',
        '    s2{{"go"}}',
        '    s3["alone"]',
        '    s4["notify"]',
        '    s5["report"]',
        "    s0 --> s1",
        "    s1 --> s2",
        "    s2 -.-> s4",
        "    s3 -.-> s4",
        "    s4 --> s5",
    ]


def test_a_need_of_a_start_is_drawn_as_one() -> None:
    service = "{name: db, type: service, container: {image: a}}"
    text = f"version: 1\nname: test\nsteps: [{service}, {{name: a, needs: {{db: started}}, container: {{image: a}}}}]\n"
    assert "    s0 -->|started| s1" in mermaid(check_document(parse_text(text)).pipeline).splitlines()

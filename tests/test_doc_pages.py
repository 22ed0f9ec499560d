"""The pages for users: each command and route has its place, and what they quote is what the code says."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import jsonschema
import pytest
import typer

from gamekeeper.cli.app import build
from gamekeeper.domain.language.check import check_document
from gamekeeper.domain.language.source import parse_text
from scripts.cli_page import commands

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
TROUBLES = (DOCS / "troubleshooting.md").read_text()
COMMANDS = dict(commands(typer.main.get_command(build()), "gamekeeper"))
SOURCES = subprocess.run(
    [
        "git",
        "grep",
        "-hI",
        "",
        "--",
        "gamekeeper/*",
        "api/*",
        "agent_worker/*",
        "activities/*",
        "workflows/*",
        "deploy/*",
    ],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
).stdout
OF_OTHERS = ("gamekeeper: command not found",)


def quoted() -> list[str]:
    """The messages in the first column: what stands in backticks and has words of ours."""
    rows = [line.split(" | ")[0] for line in TROUBLES.splitlines() if line.startswith("| ")]
    found = [text for row in rows for text in re.findall("`([^`]+)`", row)]
    return [text for text in found if text not in OF_OTHERS]


@pytest.mark.parametrize("message", quoted())
def test_a_symptom_is_what_the_code_says(message: str) -> None:
    for part in message.split("..."):
        assert part.strip(" ,:") in SOURCES, part


def test_pages_name_commands_that_exist() -> None:
    """With the words before options and names: ``gamekeeper runs logs RUN``."""
    for page in [ROOT / "README.md", ROOT / "README.zh.md", *DOCS.glob("*.md"), ROOT / "deploy" / "README.md"]:
        for words in re.findall(r"(?:`|^|\(|bin/)gamekeeper ((?:[a-z-]+ ?)+)", page.read_text(), re.MULTILINE):
            called = words.split()
            alone = ("up", "login", "run", "agent", "status", "down", "events", "audit")
            if called[0] in alone or called[0].startswith("-"):
                continue
            assert f"gamekeeper {' '.join(called[:2])}" in COMMANDS, (page.name, words)


def test_each_command_and_each_route_has_its_place() -> None:
    cli, rest = (DOCS / "cli.md").read_text(), (DOCS / "rest.md").read_text()
    assert [words for words in COMMANDS if f"# `{words}`" not in cli] == []
    document = json.loads((DOCS / "openapi.json").read_text())
    routes = [f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods]
    assert [route for route in routes if f"### `{route}`" not in rest] == []


def test_the_lines_of_curl_are_whole_commands_with_bodies_that_are_taken() -> None:
    """Each body is one of its schema's; a line is read as a shell reads it."""
    document = json.loads((DOCS / "openapi.json").read_text())
    lines = re.findall(r"### `(\w+) (\S+)`.*?\n(curl -s .*?)\n", (DOCS / "rest.md").read_text(), re.DOTALL)
    assert len(lines) == sum(len(methods) for methods in document["paths"].values())
    for method, path, line in lines:
        words = shlex.split(line)
        body = document["paths"][path][method.lower()].get("requestBody")
        assert ("-d" in words) == (body is not None), line
        if body is not None:
            schema = body["content"]["application/json"]["schema"] | {"components": document["components"]}
            jsonschema.validate(json.loads(words[words.index("-d") + 1]), schema)


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_of_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_pipeline_of_the_page_of_registries_is_one() -> None:
    text = re.findall(r"```yaml\n(.*?)```", (DOCS / "registry.md").read_text(), re.DOTALL)[0]
    check_document(parse_text(text))  # raises SpecError


def code(page: Path) -> list[str]:
    """The blocks of a language without comments, which are translated."""
    blocks = re.findall(r"```\w+\n(.*?)```", page.read_text(), re.DOTALL)
    return [re.sub(r" *(?:^|(?<=\s))#.*$", "", block, flags=re.MULTILINE) for block in blocks]


def links(page: Path) -> set[str]:
    return {target.replace(".zh.md", ".md") for target in re.findall(r"\]\(([^)]+)\)", page.read_text())}


@pytest.mark.parametrize("page", [ROOT / "README.md", DOCS / "tutorial.md"], ids=lambda page: page.name)
def test_a_translation_has_the_same_commands_and_links(page: Path) -> None:
    translated = page.with_suffix(".zh.md")
    assert code(translated) == code(page)
    assert links(translated) - {page.name} == links(page) - {page.name}
    assert translated.read_text().count("\n## ") == page.read_text().count("\n## ")

"""``node fit``: the nodes that would take an instance, and the reasons against the others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gamekeeper.cli.context import Context
from gamekeeper.cli.options import JsonOption, read_file
from gamekeeper.cli.output import print_json, print_table, printable, say

InstanceFile = Annotated[Path, typer.Option("--file", "-f", help="YAML of an instance; - reads standard input")]


def fit(context: typer.Context, file: InstanceFile, as_json: JsonOption = False) -> None:
    """Show which nodes would take an instance, best first, and why not the others. Nothing is made."""
    obj: Context = context.obj
    answer = obj.call("POST", "/placement/try", json={"yaml": read_file(file)})
    if as_json:
        print_json(answer)
        return
    for found in answer["fits"]:
        ports = ", ".join(f"{name} at {number}" for name, number in found["ports"].items())
        say(f"{found['node']} would take it" + (f", {ports}" if ports else ""))
    if not answer["fits"]:
        say("no node could ever take it" if answer["never"] else "no node would take it now")
    print_table(("NODE", "WHY NOT"), [(each["node"], printable(each["why"])) for each in answer["left_out"]])

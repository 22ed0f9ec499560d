"""``node``: list, show, add, edit, remove, enrol, revoke."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from gamekeeper.cli.context import Context
from gamekeeper.cli.instance_row import INSTANCE_COLUMNS, instance_row, without_node
from gamekeeper.cli.join_line import print_join_line
from gamekeeper.cli.options import CapacityOption, JsonOption, LabelsOption, numbers, pairs
from gamekeeper.cli.output import ago, coloured, print_fields, print_json, print_table, printable, say
from gamekeeper.counted import counted


class Mode(StrEnum):
    active = "active"
    maintenance = "maintenance"
    disabled = "disabled"


def list_nodes(
    context: typer.Context,
    status: Annotated[str, typer.Option(help="never_seen, online, suspect or offline")] = "",
    mode: Annotated[Mode | None, typer.Option()] = None,
    label: Annotated[str, typer.Option(help="KEY=VALUE")] = "",
    as_json: JsonOption = False,
) -> None:
    """List nodes."""
    obj: Context = context.obj
    filters = {"status": status, "mode": mode, "label": label}
    items = obj.list_all("/nodes", {key: value for key, value in filters.items() if value})
    if as_json:
        print_json(items)
        return
    rows = [
        (
            *(item[name] for name in ("id", "status", "mode", "location")),
            ago(item["last_seen_at"]),
            " ".join(condition["type"] for condition in item["conditions"]),
        )
        for item in items
    ]
    print_table(("NODE", "STATUS", "MODE", "LOCATION", "SEEN", "CONDITIONS"), rows)


def show(context: typer.Context, node: str, as_json: JsonOption = False) -> None:
    """Show a node, its instances and its containers."""
    obj: Context = context.obj
    found = obj.call("GET", f"/nodes/{node}")
    containers = obj.call("GET", f"/nodes/{node}/containers")["items"]
    instances = obj.list_all("/instances", {"node": node, "limit": 500})
    if as_json:
        print_json(found | {"instances": instances, "containers": containers})
        return
    names = ("id", "name", "status", "mode", "location", "description", "agent_version", "last_seen_at")
    print_fields({name: found[name] for name in names} | found["hardware"] | found["system"] | found["capacity"])
    print_table(("ROOM", "HAS", "PROMISED", "FREE"), _room(found["room"]))
    for condition in found["conditions"]:
        about = f"{condition['type']}: {printable(condition['reason'])}, since {condition['since']}"
        say(typer.style(about, fg="yellow"))
    for gpu in found["inventory"].get("gpus", []):
        say(f"gpu: {printable(gpu['name'])}, {gpu['memory_bytes'] / 2**30:.0f} GiB, driver {gpu['driver']}")
    print_table(without_node(INSTANCE_COLUMNS), [without_node(instance_row(item)) for item in instances])
    rows = [
        (item["name"], item["status"], item["lifetime"], item["image"], " ".join(item["ports"])) for item in containers
    ]
    print_table(("CONTAINER", "STATUS", "LIFETIME", "IMAGE", "PORTS"), rows)


def add(
    context: typer.Context,
    node: str,
    name: str = "",
    description: str = "",
    location: str = "",
    label: LabelsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a node; `enrol` then gives the token with which its agent registers."""
    obj: Context = context.obj
    body = {"id": node, "name": name, "description": description, "location": location}
    created = obj.call("POST", "/nodes", json=body | {"labels": pairs(label, "--label")})
    if as_json:
        print_json(created)
    else:
        say(f"added {node}; next: gamekeeper node enrol {node}")


def edit(
    context: typer.Context,
    node: str,
    name: str | None = None,
    description: str | None = None,
    location: str | None = None,
    mode: Annotated[Mode | None, typer.Option(help="disabled stops running steps too")] = None,
    label: LabelsOption = None,
    capacity: CapacityOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a node. Labels given replace all labels, capacities all that were given before."""
    obj: Context = context.obj
    fields: dict[str, Any] = {"name": name, "description": description, "location": location, "mode": mode}
    if label is not None:
        fields["labels"] = pairs(label, "--label")
    if capacity is not None:
        fields["capacity_override"] = numbers(capacity)
    changed = obj.call(
        "PATCH", f"/nodes/{node}", json={key: value for key, value in fields.items() if value is not None}
    )
    if as_json:
        print_json(changed)
    else:
        say(f"{node} is at version {changed['version']}, mode {coloured(changed['mode'])}")


def remove(
    context: typer.Context,
    node: str,
    force: Annotated[
        bool, typer.Option("--force", help="Stop its live steps, and leave services that outlive runs on its machine")
    ] = False,
) -> None:
    """Remove a node."""
    obj: Context = context.obj
    before = obj.call("GET", f"/nodes/{node}/containers")["items"] if force else []
    instances = [item["id"] for item in obj.list_all("/instances", {"node": node, "limit": 500})] if force else []
    obj.call("DELETE", f"/nodes/{node}", params={"force": force})
    say(f"removed {node}")
    if instances:
        many = counted(len(instances), "instance")
        say(f"its machine keeps {many}, unknown from now on: {', '.join(instances)}")
    left = [item["name"] for item in before if item["lifetime"] == "node"]
    if left:
        many = counted(len(left), "service")
        say(f"its machine keeps {many}; to remove from there: docker rm -f {' '.join(left)}")


def enrol(
    context: typer.Context,
    node: str,
    minutes: Annotated[int, typer.Option(min=1, max=1440, help="How long the token is good for")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Make a one-time token with which the node's agent registers."""
    obj: Context = context.obj
    made = obj.call("POST", f"/nodes/{node}/enrolment-tokens", json={"minutes": minutes})
    if as_json:
        print_json(made)
        return
    say(f"a token for one machine, until {made['expires_at'][:16].replace('T', ' ')} UTC")
    print_join_line(obj, made["token"])


def revoke(context: typer.Context, node: str) -> None:
    """Shut a node out: its key and certificates are void. Its containers go on; `enrol` lets it back in."""
    obj: Context = context.obj
    obj.call("POST", f"/nodes/{node}/revoke")
    say(f"revoked {node}: its agent is out within 5 s, its containers go on with nobody to look after them")
    say(f"to let it back in: gamekeeper node enrol {node}")


def _room(room: dict[str, Any]) -> list[tuple[str, ...]]:
    """Rows of the node's room; without a capacity nothing is known, and nothing bounds it."""
    kinds = {"CPUs": room["cpus"], "memory": room["memory_bytes"], "processes": room["pids"]}
    kinds |= {f"{vendor} GPUs": share for vendor, share in room["gpus"].items()}
    shown = [
        (name, *(_amount(name, share[key]) for key in ("capacity", "reserved", "free")))
        for name, share in kinds.items()
    ]
    return [*shown, (f"ports {room['port_range']}", "", str(room["ports_reserved"]), "")]


def _amount(name: str, amount: float | None) -> str:
    if amount is None:
        return "-"
    return f"{amount / 2**30:.1f} GiB" if name == "memory" else f"{amount:g}"

"""``secret``: set, scope, list, show, restore, destroy and remove secrets, and rotate the key over all of them.

A value comes from a file, from standard input or from a prompt without echo, and never from the command line, which
every user of the machine can read.
"""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from gamekeeper.cli.context import Context
from gamekeeper.cli.options import STDIN, JsonOption, pairs
from gamekeeper.cli.output import ago, print_fields, print_json, print_table, say, warn
from gamekeeper.domain.secret.name import name_trouble
from gamekeeper.domain.secret.value import MAX_VALUE_BYTES
from gamekeeper.errors import InvalidError

SecretArgument = Annotated[str, typer.Argument(metavar="NAME")]
VersionArgument = Annotated[int, typer.Argument(metavar="VERSION", min=1)]
PipelinesOption = Annotated[
    list[str] | None,
    typer.Option("--pipeline", metavar="PATTERN", help="A pipeline may name it, as deploy-*; as often as you like"),
]
InstancesOption = Annotated[
    list[str] | None, typer.Option("--instance", metavar="PATTERN", help="An instance may name it, as arena-*")
]
NodesOption = Annotated[
    list[str] | None, typer.Option("--node", metavar="PATTERN", help="Its value may go to this node, as edge-*")
]
LabelsOption = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="KEY=PATTERN", help="Its value may go to nodes with this label alone"),
]
EverythingOption = Annotated[bool, typer.Option("--all", help="Everything may name it, on every node")]


def set_secret(
    context: typer.Context,
    name: SecretArgument,
    more: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    from_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The value is the bytes of this file; - reads standard input")
    ] = None,
    vault: Annotated[
        str, typer.Option(metavar="PATH#KEY", help="A Vault that the api knows keeps the value, there")
    ] = "",
    folder_file: Annotated[
        str, typer.Option(metavar="PATH", help="The api's folder of secrets (GAMEKEEPER_SECRETS_DIR) keeps the value")
    ] = "",
    description: Annotated[str | None, typer.Option(help="For people")] = None,
    pipeline: PipelinesOption = None,
    instance: InstancesOption = None,
    node: NodesOption = None,
    label: LabelsOption = None,
    everything: EverythingOption = False,
    as_json: JsonOption = False,
) -> None:
    """Give a secret a value: of a file, of standard input, or typed at a prompt that shows nothing.

    Each value makes a version, and the newest is in use. Without options of a scope, that stays as it is; a new secret
    may be named by nothing until it has one."""
    if more:
        raise InvalidError(
            "a value in the command line can be read by every user of this machine, and stays in your shell's history",
            hint=f"if this was one, change it where it is used; then: gamekeeper secret set {name} --from-file FILE",
        )
    body = _content(from_file, vault, folder_file)
    scope = _scope(pipeline, instance, node, label, everything)
    body |= {} if scope is None else {"scope": scope}
    body |= {} if description is None else {"description": description}
    changed = _put(context.obj, name, body)
    if as_json:
        print_json(changed)
        return
    say(f"{name} has version {changed['current']}; it may be named by {scope_words(changed['scope'])}")


def scope(
    context: typer.Context,
    name: SecretArgument,
    pipeline: PipelinesOption = None,
    instance: InstancesOption = None,
    node: NodesOption = None,
    label: LabelsOption = None,
    everything: EverythingOption = False,
    nobody: Annotated[bool, typer.Option("--nobody", help="Nothing may name it")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say who may name a secret and where its value may go, in place of all that was said before.

    Pipelines or instances are who, nodes and labels of nodes are where; what is left out bounds nothing."""
    wanted = {} if nobody else _scope(pipeline, instance, node, label, everything)
    if wanted is None:
        raise InvalidError("say who: --pipeline, --instance, --node, --label, --all or --nobody")
    changed = _put(context.obj, name, {"scope": wanted})
    if as_json:
        print_json(changed)
        return
    say(f"{name} may be named by {scope_words(changed['scope'])}")


def list_secrets(context: typer.Context, as_json: JsonOption = False) -> None:
    """List secrets: who may name each, and who used it last."""
    obj: Context = context.obj
    items = obj.list_all("/secrets", {"limit": 500})
    if as_json:
        print_json(items)
        return
    rows = [
        (
            item["name"],
            item["current"],
            ago(item["updated_at"]),
            item["updated_by"],
            ago(item["last_used_at"]),
            item["last_used_by"],
            scope_words(item["scope"]),
        )
        for item in items
    ]
    print_table(("SECRET", "VERSION", "CHANGED", "BY", "USED", "BY", "MAY BE NAMED BY"), rows)


def show(context: typer.Context, name: SecretArgument, as_json: JsonOption = False) -> None:
    """Show a secret: its scope, its versions, its users. Its value is never shown."""
    obj: Context = context.obj
    found = obj.call("GET", f"/secrets/{_path(name)}")
    if as_json:
        print_json(found)
        return
    fields = {key: value for key, value in found.items() if key not in ("versions", "scope", "version")}
    print_fields(fields | {"scope": scope_words(found["scope"])})
    rows = [
        (item["number"], item["state"], item["created_at"][:16].replace("T", " "), item["created_by"], _kept(item))
        for item in found["versions"]
    ]
    print_table(("VERSION", "STATE", "MADE (UTC)", "BY", "KEPT"), rows)


def restore(
    context: typer.Context, name: SecretArgument, version: VersionArgument, as_json: JsonOption = False
) -> None:
    """Bring an earlier value back: it makes a new version."""
    obj: Context = context.obj
    changed = obj.call("POST", f"/secrets/{_path(name)}/versions/{version}/restore")
    if as_json:
        print_json(changed)
        return
    say(f"{name} has version {changed['current']}, with the value of version {version}")


def destroy(context: typer.Context, name: SecretArgument, version: VersionArgument) -> None:
    """Destroy the value of a version that is not in use."""
    obj: Context = context.obj
    obj.call("DELETE", f"/secrets/{_path(name)}/versions/{version}")
    say(f"destroyed version {version} of {name}")


def remove(
    context: typer.Context,
    name: SecretArgument,
    force: Annotated[
        bool, typer.Option("--force", help="Although something uses it, which then can't be started anew")
    ] = False,
) -> None:
    """Remove a secret with all its versions."""
    obj: Context = context.obj
    obj.call("DELETE", f"/secrets/{_path(name)}", params={"force": force})
    say(f"removed {name}")


def rotate_key(context: typer.Context, as_json: JsonOption = False) -> None:
    """Make a new master key, and put all secrets under it. Nothing that runs notices it."""
    obj: Context = context.obj
    with obj.client(timeout=None) as client:
        from gamekeeper.cli.context import checked

        done = checked(client.post("/secret-key/rotate"))
    if as_json:
        print_json(done)
        return
    say(f"the master key is {done['key_id']} now; {done['rewrapped']} versions are under it")
    say("back up its file anew: gamekeeper status names the state directory, which holds secrets.key")
    if done["left"]:
        warn(f"no key opens {', '.join(done['left'])}: remove these secrets, or set them anew")


def scope_words(given: dict[str, Any]) -> str:
    """A scope as a line: ``pipelines deploy-*, on nodes edge-*``."""
    who = [f"{what} {', '.join(given[what])}" for what in ("pipelines", "instances") if given[what]]
    where = [f"nodes {', '.join(given['nodes'])}"] if given["nodes"] else []
    where += [f"nodes with {key}={pattern}" for key, pattern in given["labels"].items()]
    if not who and not where:
        return "nothing"
    if not who and given["nodes"] == ["*"] and not given["labels"]:
        return "everything"
    return f"{' or '.join(who) or 'everything'}{f' on {chr(32).join(where)}' if where else ''}"


def _put(obj: Context, name: str, body: dict[str, Any]) -> Any:
    return obj.call("PUT", f"/secrets/{_path(name)}", json=body)


def _path(name: str) -> str:
    """The name, for a URL. Raises InvalidError for one that no secret has."""
    if trouble := name_trouble(name):
        raise InvalidError(trouble)
    return name


def _content(from_file: Path | None, vault: str, folder_file: str) -> dict[str, Any]:
    """The part of the body that is the value. Raises InvalidError."""
    if (from_file is not None) + bool(vault) + bool(folder_file) > 1:
        raise InvalidError("give one of --from-file, --vault and --folder-file")
    if vault:
        return {"vault": _vault(vault)}
    if folder_file:
        return {"file": {"path": folder_file}}
    return _written(_value(from_file))


def _vault(text: str) -> dict[str, Any]:
    path, mark, key = text.partition("#")
    if not mark or not path or not key:
        raise InvalidError(f'--vault "{text}" is not PATH#KEY', hint="as --vault team/database#password")
    return {"path": path, "key": key}


def _value(from_file: Path | None) -> bytes:
    """Raises InvalidError that names the file; it holds nothing of what was read."""
    if from_file is None and sys.stdin.isatty():
        return str(typer.prompt("value", hide_input=True, confirmation_prompt=True, err=True)).encode()
    try:
        if from_file is None or str(from_file) == STDIN:
            value = sys.stdin.buffer.read(MAX_VALUE_BYTES + 1)
        else:
            with from_file.open("rb") as file:
                value = file.read(MAX_VALUE_BYTES + 1)
    except OSError as error:
        raise InvalidError(f"{from_file or 'standard input'}: {error.strerror}") from error
    if not value:
        raise InvalidError("the value is empty", hint="a secret has a byte at least")
    if len(value) > MAX_VALUE_BYTES:
        raise InvalidError(f"the value is over the limit of {MAX_VALUE_BYTES:,} bytes")
    if value.endswith(b"\n"):
        warn("the value ends with a line break, which is part of it: printf %s writes none")
    return value


def _written(value: bytes) -> dict[str, str]:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        return {"value": base64.b64encode(value).decode(), "encoding": "base64"}
    return {"value": text}


def _scope(
    pipelines: list[str] | None,
    instances: list[str] | None,
    nodes: list[str] | None,
    labels: list[str] | None,
    everything: bool,
) -> dict[str, Any] | None:
    """None where no option of a scope is given. Raises InvalidError."""
    given = {"pipelines": pipelines or [], "instances": instances or [], "nodes": nodes or []}
    scope = {key: patterns for key, patterns in given.items() if patterns}
    if everything:
        if scope or labels:
            raise InvalidError("--all has no bounds: leave the other options of the scope out")
        return {"nodes": ["*"]}
    return (scope | ({"labels": pairs(labels, "--label")} if labels else {})) or None


def _kept(version: dict[str, Any]) -> str:
    if version["state"] == "destroyed":
        return f"destroyed by {version['destroyed_by']}"
    return version["reference"] or f"here, under {version['key_id']}"

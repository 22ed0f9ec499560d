"""The meaning of every key of the language, with an example: for editors' JSON Schema and for the page of keys.

Beside the models rather than in them, so that the language reads as one page. A test holds that no key lacks a line
here and that none is left over.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gamekeeper.domain.language.container import LONG_FORMS
from gamekeeper.domain.language.declared_input import Arg, Env
from gamekeeper.domain.language.pipeline import Pipeline

Keys = dict[str, tuple[str, Any]]

MODELS: dict[str, Keys] = {
    "Pipeline": {
        "version": ("Version of the language; without it a pipeline is of the time before it, see the language", 1),
        "name": ("What runs of it are called: a-z, 0-9 and '-', up to 63", "deploy-arena"),
        "description": ("For people, in one line", "Build, probe and publish an arena server."),
        "labels": ("Labels of each run, to search by", {"game": "arena"}),
        "args": (
            "Typed inputs of the call; a bare value is a default and gives the type, a list of names required strings",
            {"map": {"type": "string", "default": "dm1"}, "warmup": False},
        ),
        "envs": (
            "Environment of every container, given in the call or by default; a list of names means required strings."
            " Without a version they are for templates alone",
            {"ROOT": "/srv/games"},
        ),
        "timeout": ("Time limit of the whole run", "2h"),
        "concurrency": ("How many runs of a group may go on at once", {"group": "arena", "limit": 1}),
        "schedule": ("When runs start by themselves", [{"cron": "0 5 * * *", "timezone": "Europe/Berlin"}]),
        "defaults": ("Merged into every step that does not say otherwise", {"retry": {"attempts": 2}}),
        "steps": ("What runs, as a graph of needs", [{"name": "build", "container": {"image": "debian:12"}}]),
        "finally": (
            "Jobs that run after success, failure and cancel",
            [{"name": "notify", "container": {"image": "debian:12"}}],
        ),
    },
    "Arg": {
        "type": ("string, integer, number, boolean, array or object", "integer"),
        "required": ("Whether the call must give it; true without a default", True),
        "default": ("Its value when the call gives none", 8303),
        "enum": ("The only values it may have", ["quick", "full"]),
        "min": ("Least value of a number", 1024),
        "max": ("Greatest value of a number", 65535),
        "pattern": ("Regular expression that a string must match; ^ and $ tie it to its ends", "^[a-z0-9_]{1,32}$"),
        "description": ("For people", "First map"),
    },
    "Env": {
        "default": ("Its value when the call gives none", "hello"),
        "required": ("Whether the call must give it", False),
        "secret": ("Name of a secret that the agent fetches for the steps that name it", "s3-key"),
        "input": ("Whether it is for templates alone and reaches no container", True),
        "description": ("For people", "Shown to players"),
    },
    "StepDefaults": {
        "node": ("Node of every step", "gpu-01"),
        "retry": ("As of a step", {"attempts": 2, "on": ["pull"]}),
        "timeout": ("As of a step", "10m"),
        "continue_on_error": ("As of a step", False),
        "disconnect": ("As of a step", {"on_lost": "wait"}),
        "priority": ("As of a step", 20),
    },
    "Step": {
        "name": ("Unique in the pipeline, a DNS label; of a service, its host name", "build"),
        "type": ("job (ends), service (goes on when healthy), approval (somebody says yes) or pipeline", "job"),
        "lifetime": (
            "Of a service: run, the default, ends it with the run; node makes it an instance, which stays up",
            "node",
        ),
        "instance": (
            "Of a service with lifetime node: the instance that it ensures; by default pipeline and step",
            "arena-${{ args.port }}",
        ),
        "strategy": (
            "Of the same: recreate, the default, stops the old server once the new container is made; blue_green stops"
            " it once the new one is ready",
            "recreate",
        ),
        "auto_revert": (
            "Of the same: whether the revision before comes back when the new one isn't ready in time",
            True,
        ),
        "node": ("Id of the node, or labels of one; by default the call's", "gpu-01"),
        "needs": (
            "Steps that must have ended well; by default the one before, [] starts at once. Long form: {db: healthy},"
            " or {db: started} for a service whose container only has to run",
            ["fetch"],
        ),
        "if": ("A boolean expression; without a status function it also needs success()", "${{ args.full }}"),
        "matrix": (
            "Axes whose combinations each get a container of their own",
            {"map": ["dm1", "ctf1"], "bots": [4, 16]},
        ),
        "max_parallel": ("Cells of a matrix that run at once", 4),
        "fail_fast": ("Whether a cell that fails ends the others; true by default", False),
        "retry": ("Further tries after a failure", {"attempts": 3, "backoff": "5s"}),
        "continue_on_error": ("Whether the run goes on as if a failure had not been", True),
        "disconnect": ("What happens when the node is silent", {"lost_after": "2m", "on_lost": "wait"}),
        "on_failure": ("hold DURATION: a failed step waits for somebody to retry, skip or fail it", "hold 15m"),
        "timeout": ("Time limit of one try, the pull included; of a service, after its start_period", "30m"),
        "outputs": ("Values that the step writes to $STEP_OUTPUT, for later expressions", ["digest"]),
        "artifacts": ("Files to keep, or to take from another step", {"upload": ["*.bin"]}),
        "priority": ("Who starts first on a busy node, 0 to 100; 50 by default", 90),
        "approval": ("What is asked", {"message": "Publish it?", "expires": "24h"}),
        "pipeline": ("The stored pipeline to run", {"name": "announce", "version": 7}),
        "container": ("What runs on the node", {"image": "debian:12", "commands": ["echo hello"]}),
    },
    "Retry": {
        "attempts": ("Tries in all, 1 to 100", 3),
        "backoff": ("Wait before the second try", "5s"),
        "factor": ("By how much each further wait is longer", 2),
        "max_backoff": ("The longest wait", "1m"),
        "on": ("Causes to retry after: failure, timeout, oom, pull, engine, agent_lost", ["failure"]),
        "exit_codes": ("Of failures, only these; all by default", [75]),
    },
    "NodeSelector": {
        "labels": ("Labels that the node must have", {"pool": "arena"}),
        "spread": ("Label over whose values a group is spread, or node", "rack"),
        "pack": ("Label of which one value is filled before the next, or node", "rack"),
        "anti_affinity": ("Nothing is placed beside what has all these labels", {"game": "arena"}),
    },
    "Disconnect": {
        "lost_after": ("Silence after which the node counts as lost", "2m"),
        "on_lost": ("wait, retry or fail", "wait"),
    },
    "Artifacts": {
        "upload": ("Globs below /workspace", ["*.bin"]),
        "download": ("Steps whose files to take", ["fetch"]),
        "keep": ("How long they are kept", "7d"),
    },
    "Approval": {
        "message": ("The question, with templates", "Publish ${{ steps.fetch.outputs.digest }}?"),
        "allow": ("Who of those with `approve` may answer: roles, user:NAME, key:NAME", ["operators", "user:mia"]),
        "expires": ("Until when; then the step fails", "24h"),
    },
    "PipelineCall": {
        "name": ("Name of a stored pipeline", "announce"),
        "version": ("Of it; the newest by default", 7),
        "args": ("Its arguments, with templates", {"map": "dm1"}),
        "envs": ("Its environment", {"MOTD": "hello"}),
    },
    "Concurrency": {
        "group": ("Runs with the same text are one group", "arena-${{ args.port }}"),
        "limit": ("How many go on at once", 1),
        "on_busy": ("queue, cancel_old or reject", "queue"),
    },
    "ScheduleLine": {
        "cron": ("Five fields: minute, hour, day, month, weekday; or @hourly, @daily and the like", "0 5 * * *"),
        "timezone": ("IANA name", "Europe/Berlin"),
        "overlap": ("skip, queue, allow or cancel_old, while the run before goes on", "skip"),
        "catch_up": ("How late a run may still start after an outage", "1h"),
    },
    "Container": {
        "image": ("Image to run", "debian:12"),
        "pull": ("Credentials for the image's registry, kept as a secret", {"secret": "registry-login"}),
        "pull_policy": ("always, missing (if_not_present is the same) or never", "missing"),
        "commands": ("One `sh -ec` script; each line is echoed, templates reach it as variables", ["echo hello"]),
        "command": ("Arguments of the entrypoint, as a list or a string", ["play", "--seed", "1"]),
        "entrypoint": ("Instead of the image's", ["/bin/sh"]),
        "environment": (
            "Variables, which win over envs; one without a value is that of envs, or else the image's is taken away;"
            " {secret: NAME} is a secret, which the agent fetches",
            {"SV_MAP": "dm1", "S3_KEY": {"secret": "s3-key"}},
        ),
        "secrets": (
            "Secrets as files in memory, which it reads in /run/secrets; {secret: NAME, env: VARIABLE} is a variable",
            ["tls-key", {"secret": "rcon", "path": "/etc/arena/rcon", "mode": "0440", "gid": 1000}],
        ),
        "working_dir": ("Where the process starts", "/srv"),
        "user": ("User, or user and group, by name or number", "1000:1000"),
        "group_add": ("Further groups of the process, in the node's policy", ["video"]),
        "hostname": ("Host name inside", "arena"),
        "domainname": ("Domain of the host name inside", "example.org"),
        "container_name": ("One more name in the network of the run; Docker's own name stays that of the step", "mc"),
        "labels": ("Labels of the container", {"team": "arena"}),
        "init": ("Whether an init reaps zombies and passes signals on", True),
        "read_only": ("Whether the root file system is read-only", True),
        "stdin_open": ("Keeps input open, for `gamekeeper runs attach`", True),
        "tty": ("Whether the process has a terminal; its output is one stream then", True),
        "privileged": ("All devices and capabilities, where the node's policy allows it", False),
        "network_mode": ("bridge, none, or host where the node's policy allows it", "none"),
        "pid": ("host, where the node's policy allows it", "host"),
        "ipc": ("private, shareable, or host where the node's policy allows it", "shareable"),
        "runtime": ("Runtime instead of the Engine's default, in the node's policy", "nvidia"),
        "shm_size": ("Size of /dev/shm", "1g"),
        "ulimits": ("Limits by name, one number or soft and hard", {"nofile": {"soft": 1024, "hard": 4096}}),
        "sysctls": ("Kernel parameters, in the node's policy", {"net.core.somaxconn": 1024}),
        "cpuset": ("The CPUs that it may use", "0-3"),
        "cpu_shares": ("Weight among containers when CPUs are short, 2 to 262144; 1024 is usual", 512),
        "oom_score_adj": ("Who is killed first when memory is short, -1000 to 1000; below 0 by the node's policy", 500),
        "extra_hosts": ("NAME:ADDRESS for /etc/hosts, as a list or a mapping", ["backend:10.0.0.7"]),
        "dns": ("Name servers", ["1.1.1.1"]),
        "dns_search": ("Domains that a bare name is looked for in", ["example.org"]),
        "dns_opt": ("Options of the resolver", ["ndots:1"]),
        "volumes": (
            "SOURCE:/TARGET[:ro], of host paths in the node's policy or of volumes, which are the pipeline's own;"
            " external:NAME:/TARGET is one of others, in the node's policy; /TARGET goes with the container",
            ["/srv/games:/games:ro", "saves:/var/lib/game", {"type": "tmpfs", "target": "/cache"}],
        ),
        "ports": (
            "[ADDRESS:]HOST:CONTAINER[/udp] or ranges of one length, published on the node; host port 0 is a free one,"
            " which an instance keeps; later steps read a service's as steps.NAME.ports.PORT",
            ["8303:8303/udp", "2456-2458:2456-2458/udp", {"target": 80, "published": 8080}],
        ),
        "expose": ("Ports that the container says it serves; steps of a run reach all of them anyway", ["25575"]),
        "tmpfs": ("/PATH[:OPTIONS] in memory", ["/tmp:size=64m"]),
        "devices": ("HOST[:CONTAINER], in the node's policy", ["/dev/dri:/dev/dri"]),
        "device_cgroup_rules": ("TYPE MAJOR:MINOR rwm, in the node's policy", ["c 13:* rmw"]),
        "gpus": ("all, or a list as deploy's devices; in the node's policy", "all"),
        "cap_add": ("Capabilities to add, in the node's policy", ["SYS_NICE"]),
        "cap_drop": ("Capabilities to take away", ["ALL"]),
        "security_opt": ("Options as of Docker, in the node's policy", ["no-new-privileges:true"]),
        "healthcheck": (
            "When a service counts as healthy; what is left out is as the image says",
            {"test": ["CMD", "arena-probe"], "interval": "5s"},
        ),
        "restart": ("Of a service with lifetime node: no, always, unless-stopped, on-failure[:N]", "on-failure:5"),
        "stop_signal": ("Asks the process to end", "SIGINT"),
        "stop_grace_period": ("From the stop signal to the kill", "30s"),
        "deploy": ("Resources", {"resources": {"limits": {"cpus": "1.5", "memory": "512m"}}}),
    },
    "NamedSecret": {
        "secret": ("Its name", "rcon"),
        "env": ("The variable that it becomes, instead of a file", "RCON_PASSWORD"),
        "path": ("The file that it becomes; /run/secrets/NAME by default", "/etc/arena/rcon"),
        "mode": ("Permissions of the file, octal; 0444 by default", "0440"),
        "uid": ("Owner of the file, a number; 0 by default", 1000),
        "gid": ("Group of the file, a number; 0 by default", 1000),
    },
    "Pull": {
        "secret": ("Name of a secret that holds USER:PASSWORD, or JSON with username and password", "registry-login"),
        "registry": ("The only registry that it is for; by default that of the image", "registry.example.org"),
    },
    "Healthcheck": {
        "test": ("[CMD, ...], [CMD-SHELL, text], [NONE], or a string for the shell", ["CMD", "arena-probe"]),
        "interval": ("Between two checks", "5s"),
        "timeout": ("Of one check", "10s"),
        "retries": ("Failures in a row that make it unhealthy", 3),
        "start_period": ("After the start, when failures do not count; a service's timeout begins after it", "20s"),
        "disable": ("Whether the image's own check is switched off", True),
    },
    "Ulimit": {"soft": ("What the process gets", 1024), "hard": ("What it may raise it to", 4096)},
    "Deploy": {"resources": ("Limits and reservations", {"limits": {"memory": "512m"}})},
    "Resources": {
        "limits": ("What it may use at most", {"cpus": "1.5", "memory": "512m", "pids": 256}),
        "reservations": ("What it must have", {"devices": [{"capabilities": ["gpu"]}]}),
    },
    "ResourceLimits": {
        "cpus": ("CPUs, with a fraction", "1.5"),
        "memory": ("Memory; over it the container is killed", "512m"),
        "pids": ("Processes", 256),
    },
    "ResourceReservations": {
        "memory": ("Memory to keep for it when the node is short", "256m"),
        "devices": ("Devices, as GPUs", [{"capabilities": ["gpu"], "count": 1}]),
    },
    "DeviceReservation": {
        "capabilities": ("What the device can do", ["gpu"]),
        "driver": ("Driver of it", "nvidia"),
        "count": ("How many, or all", 1),
        "device_ids": ("Which", ["0"]),
        "options": ("Of the driver", {"virtualization": "false"}),
    },
    "Port": {
        "target": ("Port or range in the container", 80),
        "published": ("Port or range on the node; a free one by default", "8080-8090"),
        "host_ip": ("Address of the node", "127.0.0.1"),
        "protocol": ("tcp, udp or sctp", "udp"),
        "name": ("Of an instance: the port's name in GAMEKEEPER_PORT_NAME; elsewhere for people", "web"),
        "same_number": ("Of an instance: the port in the container is that of the node, whichever it is given", True),
        "app_protocol": ("For people", "http"),
        "mode": ("host or ingress, which mean the same without a swarm", "host"),
    },
    "VolumeForm": {
        "type": ("bind, volume or tmpfs", "bind"),
        "source": ("Path on the node, or name of the volume", "/srv/games"),
        "target": ("Path in the container", "/games"),
        "read_only": ("Whether it is read-only", True),
        "consistency": ("Means nothing on Linux", "cached"),
        "bind": ("Of a path on the node", {"propagation": "rslave"}),
        "volume": ("Of a volume", {"nocopy": True}),
        "tmpfs": ("Of a file system in memory", {"size": "64m"}),
    },
    "BindOptions": {
        "propagation": ("Whether later mounts are seen: private, rprivate, shared, rshared, slave, rslave", "rslave"),
        "create_host_path": ("true: Docker makes a path that is missing", True),
        "selinux": ("z to share the label, Z for one of its own", "z"),
    },
    "VolumeOptions": {"nocopy": ("Whether a new volume stays empty, without the image's files", True)},
    "TmpfsOptions": {"size": ("Limit", "64m"), "mode": ("Permissions, octal", "1777")},
    "Device": {
        "source": ("Path on the node", "/dev/dri"),
        "target": ("Path in the container; the same by default", "/dev/dri"),
        "permissions": ("Of r, w and m; all by default", "rwm"),
    },
}


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the language, version 1, as served at ``/schema/pipeline-v1.json``."""
    schema = Pipeline.model_json_schema(by_alias=True)
    for key, named in (("args", Arg), ("envs", Env)):  # whose short forms are beyond what pydantic can tell
        schema["$defs"][named.__name__] = named.model_json_schema(by_alias=True)
        schema["properties"][key] = _named_values(named.__name__)
    container = schema["$defs"]["Container"]["properties"]
    container["ulimits"]["additionalProperties"] = {
        "anyOf": [{"type": ["integer", "string"]}, {"$ref": "#/$defs/Ulimit"}]
    }
    for key, form in LONG_FORMS.items():
        schema["$defs"] |= {form.__name__: (model := form.model_json_schema(by_alias=True))} | model.pop("$defs", {})
        entry = {"anyOf": [{"type": ["string", "number"]}, {"$ref": f"#/$defs/{form.__name__}"}]}
        container[key] = {"anyOf": [{"type": ["string", "number"]}, {"type": "array", "items": entry}]}
    for name, model in _models(schema):
        for key, (description, example) in MODELS.get(name, {}).items():
            known = model["properties"][key]
            # beside a $ref stands nothing else in older readers, so it goes into an allOf
            model["properties"][key] = ({"allOf": [known]} if "$ref" in known else known) | {
                "description": description,
                "examples": [example],
            }
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Gamekeeper pipeline v1"}
    return head | {key: value for key, value in schema.items() if key != "title"}


def _named_values(name: str) -> dict[str, Any]:
    bare = {"type": ["string", "number", "boolean", "array", "null"]}
    values = {"type": "object", "additionalProperties": {"anyOf": [{"$ref": f"#/$defs/{name}"}, bare]}}
    return {"anyOf": [values, {"type": "array", "items": {"type": "string"}}]}


def _models(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "Pipeline", schema
    for name, definition in schema["$defs"].items():
        if "properties" in definition:
            yield name, definition

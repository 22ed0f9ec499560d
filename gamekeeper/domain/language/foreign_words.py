"""Words of GitHub Actions, GitLab and Kubernetes, and of Compose outside a container, where a key of the language could
stand, and what to write instead. The keys of Compose's services are in ``compose_keys.py``."""

from __future__ import annotations

from gamekeeper.domain.language.compose_keys import INSTEAD
from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.step import Step

_STEPS = "write steps, a list: steps: [{name: build, container: {image: debian:12, commands: [make]}}]"
_SERVICES = "write each as a step: {name: db, type: service, lifetime: node, container: {image: mysql:8}}"
_COMMANDS = "write a container: {image: debian:12, commands: [make]}"
_ENVIRONMENT = "write container: {environment: {NAME: value}}"
_NETWORK = "leave it out: a service is reached by its step's name"
_ANCHORS = "write an anchor below a key of your own, x-base: &base, and merge it: <<: *base"
_SECRET = "write it in the container that gets it: container: {secrets: [s3-key]}; `gamekeeper secret set` keeps it"
_ONE = "leave it out: each service is a step of its own, and a job of many cells a matrix"
_NODE = "write node on the step: node: gpu-01"
_HEALTH = "write container: {healthcheck: {test: [CMD, probe]}}"
_LIMITS = "write deploy: {resources: {limits: {cpus: '1.5', memory: 512m}}}"

# By the model in whose place they stand. A word matches in any case, with "-", "_" or nothing between its parts.
WORDS: dict[str, dict[str, str]] = {
    "Pipeline": {
        "services": _SERVICES,
        "jobs": _STEPS,
        "job": _STEPS,
        "stages": _STEPS,
        "tasks": _STEPS,
        "step": _STEPS,
        "on": "write schedule: [{cron: '0 5 * * *'}] for times; a run is started by `gamekeeper run`",
        "triggers": "write schedule: [{cron: '0 5 * * *'}] for times; a run is started by `gamekeeper run`",
        "cron": "write schedule: [{cron: '0 5 * * *'}]",
        "env": "write envs: {NAME: value}",
        "environment": "write envs: {NAME: value}",
        "env_file": "write envs: {NAME: value}",
        "inputs": "write args: {map: {type: string, default: dm1}}",
        "parameters": "write args: {map: {type: string, default: dm1}}",
        "variables": "write args for typed inputs, or envs: {NAME: value}",
        "vars": "write args for typed inputs, or envs: {NAME: value}",
        "volumes": "write it in the container that mounts it: volumes: [data:/data]; it is made at its first use",
        "networks": _NETWORK,
        "secrets": _SECRET,
        "configs": "mount a file of the node: volumes: [/srv/game.cfg:/etc/game.cfg:ro]",
        "include": _ANCHORS,
        "extends": _ANCHORS,
        "runs_on": "write defaults: {node: gpu-01}",
        "permissions": "leave it out: a step may do what its node's policy allows",
        "run_name": "write labels: {title: text}",
        "api_version": "write version: 1, name and steps",
        "kind": "write version: 1, name and steps",
        "metadata": "write name and labels at the top",
        "spec": _STEPS,
        "template": _STEPS,
        "containers": _SERVICES,
        "replicas": _ONE,
        "restart_policy": "write restart in a container: container: {image: debian:12, restart: always}",
        "restart": "write restart in a container: container: {image: debian:12, restart: always}",
        "after_script": "write finally: [{name: clean, container: {image: debian:12, commands: [make clean]}}]",
        "on_exit": "write finally: [{name: clean, container: {image: debian:12, commands: [make clean]}}]",
        "timeout_minutes": "write timeout: 30m",
    },
    "Step": {
        "run": _COMMANDS,
        "script": _COMMANDS,
        "shell": "leave it out: commands are one sh script; for another write command: [bash, -ec, text]",
        "uses": "write type: pipeline and pipeline: {name: announce}, or a container with commands",
        "with": "write pipeline: {name: announce, args: {map: dm1}}, or container: {environment: {NAME: value}}",
        "env": _ENVIRONMENT,
        "envs": _ENVIRONMENT,
        "environment": _ENVIRONMENT,
        "variables": _ENVIRONMENT,
        "env_file": _ENVIRONMENT,
        "env_from": _ENVIRONMENT,
        "args": "write container: {command: [a, b]}, or pipeline: {name: announce, args: {map: dm1}}",
        "runs_on": _NODE,
        "node_selector": _NODE,
        "node_name": _NODE,
        "affinity": _NODE,
        "tags": _NODE,
        "depends_on": "write needs: [db]",
        "dependencies": "write needs: [db]",
        "after": "write needs: [db]",
        "id": "write name: build",
        "working_directory": "write container: {working_dir: /srv}",
        "continue_on_failure": "write continue_on_error: true",
        "allow_failure": "write continue_on_error: true",
        "timeout_minutes": "write timeout: 30m",
        "active_deadline_seconds": "write timeout: 30m",
        "backoff_limit": "write retry: {attempts: 3}",
        "retries": "write retry: {attempts: 3}",
        "restart_policy": "write container: {restart: always} with lifetime: node, or retry: {attempts: 3} for a job",
        "steps": _STEPS.replace("write", "each step has one container; write"),
        "services": "write a service as a step before this one: {name: db, type: service, container: {image: mysql:8}}",
        "containers": "write one container a step: container: {image: debian:12}",
        "spec": "write container: {image: debian:12}",
        "metadata": "write name on the step",
        "when": "write if: ${{ args.full }}",
        "only": "write if: ${{ args.full }}",
        "rules": "write if: ${{ args.full }}",
        "condition": "write if: ${{ args.full }}",
        "schedule": "write schedule at the top: schedule: [{cron: '0 5 * * *'}]",
        "concurrency": "write concurrency at the top: concurrency: {group: arena}",
        "secrets": _SECRET,
        "networks": _NETWORK,
        "replicas": _ONE,
        "liveness_probe": _HEALTH,
        "readiness_probe": _HEALTH,
        "resources": "write container: {deploy: {resources: {limits: {cpus: '1.5', memory: 512m}}}}",
    },
    "Container": {
        "env": "write environment: {NAME: value}",
        "envs": "write environment: {NAME: value}",
        "env_from": "write environment: {NAME: value}",
        "args": "write command: [a, b]",
        "run": "write commands: [make]",
        "script": "write commands: [make]",
        "resources": _LIMITS,
        "limits": _LIMITS,
        "image_pull_policy": "write pull_policy: missing",
        "volume_mounts": "write volumes: [data:/data]",
        "security_context": "write user, cap_add, cap_drop, read_only or privileged",
        "termination_grace_period_seconds": "write stop_grace_period: 30s",
        "host_network": "write network_mode: host",
        "network": "write network_mode: none, bridge or host",
        "restart_policy": "write restart: always",
        "liveness_probe": "write healthcheck: {test: [CMD, probe]}",
        "readiness_probe": "write healthcheck: {test: [CMD, probe]}",
        "cpu": _LIMITS,
        "memory": _LIMITS,
        "options": "leave it out: options of docker run are keys of the container here",
        "credentials": "log in on the node: docker login",
    },
    "Retry": {
        "max": "write attempts: 3",
        "max_attempts": "write attempts: 3",
        "limit": "write attempts: 3",
        "count": "write attempts: 3",
        "delay": "write backoff: 5s",
        "when": "write on: [failure]",
    },
    "Concurrency": {"cancel_in_progress": "write on_busy: cancel_old"},
    "ScheduleLine": {"concurrency_policy": "write overlap: skip", "schedule": "write cron: '0 5 * * *'"},
    "Arg": {"options": "write enum: [quick, full]", "choices": "write enum: [quick, full]"},
    "Env": {"value": "write default: text"},
}


def _bare(word: str) -> str:
    return word.replace("-", "").replace("_", "").lower()


_ANSWERS = {model: {_bare(word): hint for word, hint in words.items()} for model, words in WORDS.items()}


def instead_of(model: str, key: str) -> str:
    """The words to write instead of a key that the model does not have; empty where nobody knows."""
    found = INSTEAD.get(model, {}).get(key) or _ANSWERS.get(model, {}).get(_bare(key))
    return found or _misplaced(model, key)


def _misplaced(model: str, key: str) -> str:
    """A key that stands at the wrong level, of the language or of a service of Compose."""
    if model in _LEVELS and key in INSTEAD["Container"]:
        return f"in the container of a step: {INSTEAD['Container'][key]}"
    if model != "Container" and key in Container.model_fields:
        return f"write {key} in the container of a step: container: {{{key}: ...}}" if model in _LEVELS else ""
    if model == "Container" and key in _STEP_KEYS:
        return f"write {key} on the step, beside container"
    if model == "Pipeline" and key in _STEP_KEYS:
        return f"write {key} on a step"
    return ""


_LEVELS = ("Pipeline", "Step")
_STEP_KEYS = {info.alias or name for name, info in Step.model_fields.items()} - {"name"}

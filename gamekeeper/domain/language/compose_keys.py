"""Compose's keys that the language spells otherwise or does not have: what to write instead, by the model around them.

Data alone. A test walks the keys of Compose's own schema, so that none is answered without a word.
"""

from __future__ import annotations

_ONE_CONTAINER = "leave it out: a step is one container; write a step for each"
_ENGINES_OWN = "leave it out: it is the setting of the node's Docker Engine"
_WINDOWS = "leave it out: it is for Windows"
_CPUS = 'write deploy: {resources: {limits: {cpus: "1.5"}}}'
_REAL_TIME = "write cap_add: [SYS_NICE] and ulimits: {rtprio: 99}"
_UPDATES = "leave it out: a new run replaces what runs"

INSTEAD: dict[str, dict[str, str]] = {
    "Container": {
        "annotations": 'write them as labels: {name: "value"}',
        "attach": "leave it out: every line is kept; read them with gamekeeper runs logs",
        "blkio_config": _ENGINES_OWN,
        "build": "build and push the image first, then name it: image: NAME:TAG",
        "cgroup": _ENGINES_OWN,
        "cgroup_parent": _ENGINES_OWN,
        "configs": 'put the file on the node and mount it: volumes: ["/srv/file:/file:ro"]',
        "cpu_count": _WINDOWS,
        "cpu_percent": _WINDOWS,
        "cpu_period": _CPUS,
        "cpu_quota": _CPUS,
        "cpu_rt_period": _REAL_TIME,
        "cpu_rt_runtime": _REAL_TIME,
        "cpus": _CPUS,
        "credential_spec": _WINDOWS,
        "depends_on": "write needs on the step, beside container: needs: [db]",
        "develop": "leave it out: it is for the building of images",
        "env_file": "write its lines in environment, or in envs of the pipeline",
        "extends": "write what they share once, below x-NAME, and merge it: <<: *NAME",
        "external_links": 'write extra_hosts: ["NAME:ADDRESS"]',
        "isolation": _WINDOWS,
        "label_file": "write its lines in labels",
        "links": "leave it out: a step is reached by its name; for one more name of it write container_name there",
        "logging": "leave it out: logs are kept by the server and bounded on the node",
        "mac_address": "leave it out: Docker chooses one",
        "mem_limit": "write deploy: {resources: {limits: {memory: 512m}}}",
        "mem_reservation": "write deploy: {resources: {reservations: {memory: 256m}}}",
        "mem_swappiness": _ENGINES_OWN,
        "memswap_limit": "leave it out: with limits.memory Docker allows as much swap again",
        "models": "run the model as a step of its own, type: service",
        "networks": "leave it out: the steps of a run share one network; for one more name write container_name",
        "oom_kill_disable": "write oom_score_adj: -500, where the node's policy allows it",
        "pids_limit": "write deploy: {resources: {limits: {pids: 256}}}",
        "platform": "leave it out: an image is pulled for the platform of its node; choose that with node",
        "post_start": "write what is to happen as a step that needs this one",
        "pre_stop": "let the process do it on its stop_signal, or write a finally step",
        "profiles": "write a condition on the step, beside container: if: ${{ args.backup }}",
        "provider": "leave it out: what a plugin of Compose does is no container",
        "pull_refresh_after": "write pull_policy: always",
        "scale": _ONE_CONTAINER,
        "storage_opt": _ENGINES_OWN,
        "use_api_socket": "leave it out: no step may have the Docker socket",
        "userns_mode": _ENGINES_OWN,
        "uts": "leave it out: a step has a host name of its own, by hostname",
        "volumes_from": "name the same volume in both steps: volumes: [NAME:/path]",
    },
    "Deploy": {
        "endpoint_mode": _ONE_CONTAINER,
        "labels": "write labels of the container",
        "mode": _ONE_CONTAINER,
        "placement": "write node on the step, beside container: node: NODE",
        "replicas": _ONE_CONTAINER,
        "restart_policy": "write restart of the container: restart: on-failure:5",
        "rollback_config": _UPDATES,
        "update_config": _UPDATES,
    },
    "ResourceReservations": {
        "cpus": "write cpu_shares on the container: Docker reserves no CPUs, it weighs them",
        "generic_resources": "write devices: [{capabilities: [gpu]}]",
    },
    "Healthcheck": {
        "start_interval": "write interval: Docker before 25.0 has one for all of its life",
    },
    "VolumeForm": {
        "image": "copy the files into the step's own image, or into a named volume",
    },
    "BindOptions": {
        "recursive": "leave it out: what is mounted below the path is mounted too",
    },
    "VolumeOptions": {
        "labels": "leave it out: a volume has the labels of its owner",
        "subpath": "mount the whole volume: Docker before 26.0 mounts no part of one",
    },
}

"""Each key of Compose is taken, or answered with what to write instead."""

from __future__ import annotations

import re

import pytest

from gamekeeper.domain.language.check import check_document
from gamekeeper.domain.language.compose_keys import INSTEAD
from gamekeeper.domain.language.key_docs import MODELS
from gamekeeper.domain.language.source import Document, parse_text
from gamekeeper.errors import SpecError

# The keys of a service in Compose's JSON Schema (compose-spec.json), by our name of the object that they stand in.
COMPOSE = {
    "Container": """
        annotations attach blkio_config build cap_add cap_drop cgroup cgroup_parent command configs container_name
        cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset credential_spec
        depends_on deploy develop device_cgroup_rules devices dns dns_opt dns_search domainname entrypoint env_file
        environment expose extends external_links extra_hosts gpus group_add healthcheck hostname image init ipc
        isolation label_file labels links logging mac_address mem_limit mem_reservation mem_swappiness memswap_limit
        models network_mode networks oom_kill_disable oom_score_adj pid pids_limit platform ports post_start pre_stop
        privileged profiles provider pull_policy pull_refresh_after read_only restart runtime scale secrets
        security_opt shm_size stdin_open stop_grace_period stop_signal storage_opt sysctls tmpfs tty ulimits
        use_api_socket user userns_mode uts volumes volumes_from working_dir""",
    "Deploy": "endpoint_mode labels mode placement replicas resources restart_policy rollback_config update_config",
    "Resources": "limits reservations",
    "ResourceLimits": "cpus memory pids",
    "ResourceReservations": "cpus devices generic_resources memory",
    "DeviceReservation": "capabilities count device_ids driver options",
    "Healthcheck": "disable interval retries start_interval start_period test timeout",
    "Port": "app_protocol host_ip mode name protocol published target",
    "VolumeForm": "bind consistency image read_only source target tmpfs type volume",
    "BindOptions": "create_host_path propagation recursive selinux",
    "VolumeOptions": "labels nocopy subpath",
    "TmpfsOptions": "mode size",
    "Device": "permissions source target",
    "Ulimit": "hard soft",
}
ALL = [(model, key) for model, keys in COMPOSE.items() for key in keys.split()]
# The place of each object in a container.
PLACES = {
    "Container": "{key}",
    "Deploy": "deploy.{key}",
    "ResourceReservations": "deploy.resources.reservations.{key}",
    "Healthcheck": "healthcheck.{key}",
    "VolumeForm": "volumes[0].{key}",
    "BindOptions": "volumes[0].bind.{key}",
    "VolumeOptions": "volumes[0].volume.{key}",
}


@pytest.mark.parametrize(("model", "key"), ALL)
def test_it_is_taken_or_answered(model: str, key: str) -> None:
    assert (key in MODELS[model]) != (key in INSTEAD.get(model, {}))


def test_no_other_key_is_answered() -> None:
    assert {(model, key) for model, keys in INSTEAD.items() for key in keys} <= set(ALL)


@pytest.mark.parametrize(("model", "key"), [(model, key) for model, keys in INSTEAD.items() for key in keys])
def test_the_answer_stands_at_the_key(model: str, key: str) -> None:
    path = PLACES[model].format(key=key)
    container: dict[str, object] = {"image": "image"}
    at: object = container
    *parents, last = path.replace("[0]", "").split(".")
    for name in parents:
        below: dict[str, object] = {"type": "bind", "source": "/a", "target": "/a"} if name == "volumes" else {}
        assert isinstance(at, dict)
        at[name] = [below] if name == "volumes" else below
        at = below
    assert isinstance(at, dict)
    at[last] = {"any": "thing"}
    with pytest.raises(SpecError) as caught:
        check_document(Document({"name": "x", "steps": [{"name": "a", "container": container}]}))
    (problem,) = caught.value.problems
    assert (problem.path, problem.code) == (f"steps[0].container.{path}", "unknown_key")
    assert problem.hint == INSTEAD[model][key]


FORMS = """\
version: 1
name: forms
steps:
  - name: s
    type: service
    lifetime: node
    container:
      image: standin
      container_name: mc
      tty: true
      ports:
        - "2456-2458:2456-2458/udp"
        - {target: 80, published: 8080, protocol: tcp}
        - "${PORT:-25565}:25565"
        - "25575"
      volumes:
        - ./data:/data
        - ~/saves:/saves
        - /anonymous
        - {type: bind, source: ./x, target: /x}
        - "${DATA:-./data}:/d"
        - world:/world:rw,rshared
      env_file: .env
      depends_on: {db: {condition: service_healthy}}
      networks: [default]
      mem_limit: 4g
      cpus: 2
      sysctls: {net.core.somaxconn: 1024}
      group_add: [video]
      logging: {driver: json-file, options: {max-size: 10m}}
      network_mode: service:vpn
      stop_grace_period: 90
      extra_hosts: {backend: 10.0.0.7}
      cap_add: [sys_nice]
      profiles: [backup]
      runtime: nvidia
      expose: ["25575"]
      secrets: [rcon]
      platform: linux/amd64
      deploy: {replicas: 1, restart_policy: {condition: any}, resources: {reservations: {cpus: "0.5", memory: 1g}}}
      healthcheck: {start_interval: 5s, test: "true"}
      security_opt: ["seccomp:unconfined"]
      userns_mode: host
      oom_score_adj: -500
      mac_address: 02:42:ac:11:65:43
      links: [db]
      device_cgroup_rules: ["c 13:* rmw"]
      build: .
      domainname: example.org
      restart: on-failure
      shm_size: 2GB
      ulimits: {nofile: 65536, memlock: {soft: -1, hard: -1}}
"""


def test_a_service_of_compose_with_all_its_forms() -> None:
    """Each line is taken, or answered there with what to write; taken alone, all that is taken is right."""
    with pytest.raises(SpecError) as caught:
        check_document(parse_text(FORMS))
    problems = caught.value.problems
    assert [problem.line for problem in problems] == sorted(problem.line for problem in problems)
    refused = sorted({problem.path.removeprefix("steps[0].container.") for problem in problems})
    assert refused == sorted(
        """build cpus depends_on deploy.replicas deploy.resources.reservations.cpus deploy.restart_policy
        env_file healthcheck.start_interval links logging mac_address mem_limit network_mode networks platform
        ports[2] profiles stop_grace_period userns_mode volumes[0] volumes[1] volumes[3] volumes[4]
        volumes[5]""".split()
    )
    for problem in problems:
        assert re.search("write|leave|use|mount|name it", problem.hint + problem.message), problem
    wrong = {problem.line for problem in problems}
    rest = [line for number, line in enumerate(FORMS.splitlines(), 1) if number not in wrong or "deploy" in line]
    right = "\n".join(rest).replace("replicas: 1, restart_policy: {condition: any}, ", "").replace('cpus: "0.5", ', "")
    assert check_document(parse_text(right)).pipeline.steps[0].container

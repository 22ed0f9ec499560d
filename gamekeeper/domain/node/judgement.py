"""The parts of a container, each held against what it may have."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.device import is_cdi
from gamekeeper.domain.language.problem import Path
from gamekeeper.domain.language.project_volume import EXTERNAL, INSTANCE_PREFIX, PREFIX
from gamekeeper.domain.language.published_port import parse_entry
from gamekeeper.domain.language.units import parse_bytes
from gamekeeper.domain.language.values import has_template
from gamekeeper.domain.language.volume import split_volume
from gamekeeper.domain.node.engine_folders import SOCKETS, reached_engine
from gamekeeper.domain.node.host_folder import host_folder, is_at_or_below, real_spelling
from gamekeeper.domain.node.patterns import device_matches, full_name, image_matches, matches, port_allowed

if TYPE_CHECKING:
    from gamekeeper.domain.node.policy import Allowances, Limits

DOCKER_DEFAULT_CAPABILITIES = frozenset(
    "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID"
    " SYS_CHROOT".split()
)
GPU = "gpu"  # the word for all of them, in devices
OWN_PROJECT = "own"
LABEL_PREFIX = "gamekeeper."
RESERVED_VOLUMES = "gk-"
_STRICTER_SECURITY = frozenset({"no-new-privileges", "no-new-privileges=true"})
_SHARED = frozenset({"shared", "rshared"})
FilesOf = Callable[[str], Sequence[str]]


@dataclass(frozen=True)
class Violation:
    """A part of a container that a policy forbids: ``path`` is its place in the container, ``message`` names it.
    ``line`` is the line of the policy file that would allow it; empty where no policy can."""

    path: Path
    message: str
    line: str = ""

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Subject:
    """The owner of a container, as the rules of a policy name it. ``caller`` is the actor who asked for its run, or who
    wrote its instance's revision. None is not known where it is asked, so that the node alone judges it; an empty text
    is none at all."""

    pipeline: str | None = None
    instance: str | None = None
    caller: str | None = None


NOBODY = Subject()


def has_no_value_yet(violation: Violation) -> bool:
    return has_template(violation.message)


def judge(
    container: Container, allowed: Allowances, limits: Limits, subject: Subject, files_of: FilesOf | None
) -> list[Violation]:
    return [
        *_image(container, allowed),
        *_mounts(container, allowed, subject),
        *_clashes(container),
        *_ports(container, allowed),
        *_devices(container, allowed, files_of),
        *_privileges(container, allowed),
        *_kernel(container, allowed),
        *_host(container, allowed),
        *_sizes(container, limits),
        *_reserved_labels(container),
    ]


def _image(container: Container, allowed: Allowances) -> Iterator[Violation]:
    if not image_matches(container.image, allowed.images):
        name = full_name(container.image)
        yield _missing(("image",), f"image {name}", f'images: ["{name}"]')
    user = container.user
    if not allowed.root and (user is None or user.partition(":")[0].strip() in ("", "root") or _is_zero(user)):
        yield _missing(
            ("user",) if user is not None else ("image",), f"user {user or 'of the image'} as root", "root: true"
        )


def _is_zero(user: str) -> bool:
    name = user.partition(":")[0].strip()
    return name.isdecimal() and int(name[-20:]) == 0


def _mounts(container: Container, allowed: Allowances, subject: Subject) -> Iterator[Violation]:
    for index, volume in enumerate(container.volumes):
        place: Path = ("volumes", index)
        try:
            source, _, mode = split_volume(volume)
        except ValueError as error:
            yield Violation(place, str(error))
            continue
        if volume.startswith(EXTERNAL):
            yield from _external(source, allowed, place)
        elif source.startswith("/"):
            yield from _host_path(real_spelling(source), mode.split(","), allowed, place)
        elif source.startswith(RESERVED_VOLUMES) and not _is_own(source, subject):
            yield Violation(
                place, f"volume {source} is another one's: names with {RESERVED_VOLUMES} are Gamekeeper's own"
            )


def _is_own(volume: str, subject: Subject) -> bool:
    """An instance goes on with the volumes of the pipeline whose service it was, which its server looks at."""
    if subject.pipeline is None or subject.instance is None:
        return True
    own = [f"{INSTANCE_PREFIX}{subject.instance}.", PREFIX] if subject.instance else [f"{PREFIX}{subject.pipeline}-"]
    return volume.startswith((*own, "gk-u-"))


def _external(name: str, allowed: Allowances, place: Path) -> Iterator[Violation]:
    """A name of Gamekeeper's own has to stand there in full: a pattern that is as wide never meant it."""
    named = name in allowed.volumes if name.startswith(RESERVED_VOLUMES) else matches(name, allowed.volumes)
    if not named:
        yield _missing(place, f"external volume {name}", f"volumes: [{name}]")


def _host_path(path: str, modes: list[str], allowed: Allowances, place: Path) -> Iterator[Violation]:
    if path in SOCKETS:
        yield from _engine_socket(path, modes, allowed, place)
        return
    if engine := reached_engine(path):
        yield Violation(place, f"host path {path} reaches {engine}, the engine's own, which no container may have")
        return
    if _SHARED & set(modes):
        yield Violation(place, f"host path {path} can't be shared with the machine both ways; use rslave")
    found = [entry for entry in allowed.host_paths if is_at_or_below(path, real_spelling(entry.removesuffix(":ro")))]
    if not found:
        yield _missing(place, f"host path {path}", f"host_paths: [{path}]")
    elif "ro" not in modes and all(entry.endswith(":ro") for entry in found):
        yield _missing(place, f"host path {path} to write", f"host_paths: [{path}]")


def _engine_socket(path: str, modes: list[str], allowed: Allowances, place: Path) -> Iterator[Violation]:
    """A container never gets it: where that is allowed, it has a socket of the agent's in its place."""
    if _SHARED & set(modes):
        yield Violation(place, f"host path {path} can't be shared with the machine both ways; leave the mode out")
    elif allowed.engine_socket != OWN_PROJECT:
        line = f"engine_socket: {OWN_PROJECT}"
        words = f"host path {path} is the engine's own, which no container may have"
        yield Violation(place, f"{words}; `{line}` in the policy gives a view of its own project in its place", line)


def _clashes(container: Container) -> Iterator[Violation]:
    """A container may replace all that is in a folder to which it writes, the source of another mount as well."""
    found_at = {index: host_folder(volume) for index, volume in enumerate(container.volumes)}
    placed = [(index, folder) for index, folder in found_at.items() if folder is not None]
    folders = [folder for _, folder in placed]
    for index, folder in placed:
        if found := next((outer for outer in folders if outer.spoils(folder)), None):
            message = f"host path {folder.source} is in {found.source}, which the container may write to"
            yield Violation(
                ("volumes", index), f"{message}: it could replace it; mount one of them, or {found.source}:ro"
            )


def _ports(container: Container, allowed: Allowances) -> Iterator[Violation]:
    for index, text in enumerate(container.ports):
        with suppress(ValueError):  # a template
            entry = parse_entry(text)
            wrong = [port for port in entry.outside or () if not port_allowed(port, entry.protocol, allowed.ports)]
            if wrong:
                yield _missing(
                    ("ports", index), f"port {wrong[0]}/{entry.protocol} of the node", f'ports: ["{wrong[0]}"]'
                )


def _devices(container: Container, allowed: Allowances, files_of: FilesOf | None) -> Iterator[Violation]:
    for index, device in enumerate(container.devices):
        path = device if is_cdi(device) else real_spelling(device.split(":")[0])
        real = [path] if files_of is None or is_cdi(device) or has_template(path) else list(files_of(path))
        if not device_matches(path, allowed.devices):
            yield _missing(("devices", index), f"device {path}", f"devices: [{path}]")
        elif wrong := next((file for file in real if not device_matches(file, allowed.devices)), ""):
            yield _missing(("devices", index), f"device {wrong}, which {path} means,", f"devices: [{wrong}]")
    if container.device_requests and GPU not in allowed.devices:
        place: Path = ("gpus",) if container.gpus else ("deploy", "resources", "reservations", "devices")
        yield _missing(place, 'device "gpu"', "devices: [gpu]")
    for index, rule in enumerate(container.device_cgroup_rules):
        if not any(_covers(wide, rule) for wide in allowed.device_cgroup_rules):
            line = f'device_cgroup_rules: ["{rule}"]'
            yield _missing(("device_cgroup_rules", index), f'device cgroup rule "{rule}"', line)


def _privileges(container: Container, allowed: Allowances) -> Iterator[Violation]:
    if container.privileged and not allowed.privileged:
        yield _missing(("privileged",), "privileged", "privileged: true")
    known = DOCKER_DEFAULT_CAPABILITIES | {name.upper().removeprefix("CAP_") for name in allowed.capabilities}
    for index, name in enumerate(container.cap_add):
        if (bare := name.removeprefix("CAP_")) not in known:
            yield _missing(("cap_add", index), f"capability {name}", f"capabilities: [{bare}]")
    weaker = _STRICTER_SECURITY | {_with_equals(option) for option in allowed.security_opt}
    for index, option in enumerate(container.security_opt):
        if (spelled := _with_equals(option)) not in weaker:
            yield _missing(("security_opt", index), f"security_opt {option}", f'security_opt: ["{spelled}"]')
    for index, group in enumerate(container.group_add):
        if not any(fnmatch.fnmatchcase(group, pattern) for pattern in allowed.groups):
            yield _missing(("group_add", index), f"group {group}", f'groups: ["{group}"]')


def _kernel(container: Container, allowed: Allowances) -> Iterator[Violation]:
    if container.runtime and container.runtime not in allowed.runtimes:
        yield _missing(("runtime",), f"runtime {container.runtime}", f"runtimes: [{container.runtime}]")
    for name in container.sysctls:
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in allowed.sysctls):
            yield _missing(("sysctls", name), f"sysctl {name}", f"sysctls: [{name}]")
    score = container.oom_score_adj
    if isinstance(score, int) and score < allowed.oom_score_adj:
        yield _missing(("oom_score_adj",), f"oom_score_adj {score}", f"oom_score_adj: {score}")


def _host(container: Container, allowed: Allowances) -> Iterator[Violation]:
    if container.network_mode == "host" and not allowed.host_network:
        yield _missing(("network_mode",), "host network", "host_network: true")
    for namespace in ("pid", "ipc"):
        if getattr(container, namespace) == "host" and namespace not in allowed.host_namespaces:
            yield _missing((namespace,), f"host namespace {namespace}", f"host_namespaces: [{namespace}]")
    for index, host in enumerate(container.extra_hosts):
        if host.endswith(":host-gateway") and not allowed.host_gateway:
            yield _missing(("extra_hosts", index), "host-gateway", "host_gateway: true")


def _sizes(container: Container, limits: Limits) -> Iterator[Violation]:
    asked, place = container.deploy.resources.limits, ("deploy", "resources", "limits")
    yield from _too_large((*place, "memory"), "memory", asked.memory, limits.memory)
    yield from _too_large(("shm_size",), "shm", container.shm_size, limits.shm)
    for index, text in enumerate(container.tmpfs):
        for option in text.partition(":")[2].split(","):
            if option.startswith("size="):
                yield from _too_large(("tmpfs", index), "tmpfs", option.removeprefix("size="), limits.tmpfs)
    if limits.cpus and asked.cpus and not has_template(asked.cpus) and float(asked.cpus) > limits.cpus:
        yield _missing((*place, "cpus"), f"{asked.cpus} CPUs", f"limits: {{cpus: {asked.cpus}}}")
    if limits.pids and isinstance(asked.pids, int) and asked.pids > limits.pids:
        yield _missing((*place, "pids"), f"{asked.pids} processes", f"limits: {{pids: {asked.pids}}}")


def _too_large(place: Path, name: str, asked: str | None, most: str | None) -> Iterator[Violation]:
    if not asked or not most or has_template(asked):
        return
    try:
        is_over = asked.endswith("%") or parse_bytes(asked) > parse_bytes(most)
    except ValueError:
        is_over = True
    if is_over:
        yield _missing(place, f"{name} of {asked[:40]} (over {most})", f'limits: {{{name}: "{asked[:40]}"}}')


def _missing(place: Path, what: str, line: str) -> Violation:
    return Violation(place, f"{what} is not in the policy", line)


def _covers(allowed: str, rule: str) -> bool:
    """True when a rule of the devices cgroup asks for nothing beyond one that is allowed."""
    kind, _, rights = rule.rpartition(" ")
    allowed_kind, _, allowed_rights = " ".join(allowed.split()).rpartition(" ")
    return fnmatch.fnmatchcase(kind, allowed_kind) and set(rights) <= set(allowed_rights)


def _with_equals(option: str) -> str:
    """``seccomp=unconfined`` of ``seccomp:unconfined``, its older spelling."""
    name, mark, value = option.partition("=") if "=" in option else option.partition(":")
    return f"{name}={value}" if mark else name


def _reserved_labels(container: Container) -> Iterator[Violation]:
    for name in container.labels:
        if name.startswith(LABEL_PREFIX):
            message = f'label "{name}" is reserved: labels that begin with "{LABEL_PREFIX}" say who owns a container'
            yield Violation(("labels", name), message)

"""Containers that want the machine: each is refused by the policy of a node whose owner has written no file."""

from __future__ import annotations

from typing import Any

Fields = dict[str, Any]

_ENGINE_PATHS = (
    *("/", "//", "/.", "/run", "/var", "/var/run", "/var/lib", "/run/", "/srv/..", "/srv/../run", "//run", "/run/."),
    *("/var/run/docker.sock", "/run/docker.sock", "/run/docker", "/run/docker/containerd", "/run/docker.pid"),
    *("/run/docker/containerd/containerd.sock", "/run/docker/plugins", "/run/docker/netns", "/run/docker-proxy.sock"),
    *("/run/containerd", "/run/containerd/containerd.sock", "/var/run/containerd/containerd.sock"),
    *("/run/podman", "/run/podman/podman.sock", "/var/run/podman/podman.sock", "/run/crio/crio.sock"),
    *("/run/user", "/run/user/1000", "/run/user/1000/docker.sock", "/run/user/1000/podman/podman.sock"),
    *("/run/user/1000/docker", "/run/user/0/containerd", "/run/buildkit/buildkitd.sock", "/run/k3s/containerd"),
    *("/run/gamekeeper", "/run/gamekeeper/mounts", "/run/gamekeeper/mounts/n/c/0", "/var/run/gamekeeper"),
    *("/var/lib/docker", "/var/lib/docker/volumes/x/_data", "/var/lib/docker/overlay2", "/var/lib/containerd"),
    *("/var/lib/containers/storage", "/var/lib/gamekeeper-agent", "/var/lib/gamekeeper-agent/policy.yaml"),
    *("/root/.local/share/docker", "/home/me/.local/share/containers", "/home", "/root", "/var/lib/kubelet"),
)
_HOST_PATHS = (
    *("/etc", "/etc/shadow", "/etc/cron.d", "/boot", "/dev", "/dev/sda", "/proc", "/proc/1/root", "/sys", "/usr"),
    *("/proc/sys/kernel/core_pattern", "/sys/fs/cgroup", "/home/me", "/root/.ssh", "/tmp", "/opt", "/lib", "/bin"),
    *("/srvx", "/srv/../etc", "/srv/games/../../etc", "/SRV", "/mnt", "/media", "/var/log", "/usr/local/bin"),
)
_CAPABILITIES = (
    *(
        "ALL",
        "SYS_ADMIN",
        "CAP_SYS_ADMIN",
        "sys_admin",
        "SYS_PTRACE",
        "SYS_MODULE",
        "SYS_RAWIO",
        "SYS_BOOT",
        "SYS_TIME",
    ),
    *("DAC_READ_SEARCH", "NET_ADMIN", "BPF", "PERFMON", "SYSLOG", "MAC_ADMIN", "MAC_OVERRIDE", "IPC_LOCK", "SYS_NICE"),
    *("SYS_RESOURCE", "LINUX_IMMUTABLE", "CHECKPOINT_RESTORE", "AUDIT_CONTROL", "WAKE_ALARM", "SYS_PACCT", "LEASE"),
)
_OPTIONS = (
    *("seccomp=unconfined", "seccomp:unconfined", "apparmor=unconfined", "apparmor:unconfined", "label=disable"),
    *("label:disable", "systempaths=unconfined", "no-new-privileges=false", "no-new-privileges:false"),
    *("seccomp=/etc/x.json", "label=type:spc_t", "writable-cgroups=true", "NO-NEW-PRIVILEGES=false"),
)
_DEVICES = (
    *(
        "/dev/sda",
        "/dev/mem",
        "/dev/kmem",
        "/dev/kvm",
        "/dev/dri",
        "/dev/dri/card0",
        "/dev",
        "/dev/fuse",
        "/dev/net/tun",
    ),
    *("/dev/input/event0", "/dev/net/../sda", "//dev/sda", "/dev/mapper/control", "/dev/loop-control:/dev/x:r"),
    *("/dev/uinput", "/dev/nvidia0", "/dev/vfio/vfio", "/srv/x", "nvidia.com/gpu=all", "vendor.com/class=0"),
)
_PORTS = (
    *("22:22", "1:80", "80:80", "443:443", "53:53/udp", "1023:1", "0.0.0.0:22:22", "127.0.0.1:1:1", "[::]:111:1"),
    *("1000-1100:1000-1100", "80-1079:80", "7233:80", "7380:80", "7381:7381", "7382:80", "8233:80", "2375:2375"),
    *("2376:80", "7379-7381:7379-7381/udp", "ssh=22:22"),
)

HOSTILE: list[Fields] = [
    *({"volumes": [f"{path}:/x"]} for path in (*_ENGINE_PATHS, *_HOST_PATHS)),
    *({"volumes": [f"{path}:/x:ro"]} for path in ("/run", "/var/run/docker.sock", "/etc", "/", "/proc")),
    *({"volumes": [{"type": "bind", "source": path, "target": "/x"}]} for path in ("/etc", "/run/docker.sock")),
    {"volumes": ["/srv/a:/x", "/srv/a/b:/y"]},
    {"volumes": ["/srv/a/b:/y:ro", "/srv/a:/x:rw"]},
    {"volumes": ["/srv:/x", "/srv/a/b/c:/y:ro"]},
    {"volumes": ["/srv//a/:/x", "/srv/./a/b:/y"]},
    {"volumes": ["/srv/a:/x:rshared"]},
    {"volumes": ["/srv/a:/x:ro,shared"]},
    *({"volumes": [f"external:{name}:/x"]} for name in ("theirs", "gk-run", "gk-p-other-data", "gk-i-other.data")),
    *({"cap_add": [name]} for name in _CAPABILITIES),
    *({"security_opt": [option]} for option in _OPTIONS),
    *({"devices": [device]} for device in _DEVICES),
    {"devices": [{"source": "/dev/sda", "target": "/dev/null"}]},
    *({"ports": [port]} for port in _PORTS),
    {"ports": [{"target": 22, "published": "22"}]},
    *({"device_cgroup_rules": [rule]} for rule in ("a *:* rwm", "b *:* r", "c 1:1 w", "c *:* m", "b 8:0 rwm")),
    *(
        {"sysctls": {name: "1"}}
        for name in ("kernel.core_pattern", "vm.swappiness", "net.ipv4.ip_forward", "fs.mqueue.x")
    ),
    *({"group_add": [group]} for group in ("docker", "0", "root", "disk", "video")),
    *({"runtime": name} for name in ("nvidia", "runc-debug", "crun")),
    *({"oom_score_adj": score} for score in (-1, -500, -1000)),
    *({"shm_size": size} for size in ("17g", "1000g", "1000000000000")),
    *({"tmpfs": [f"/x:size={size}"]} for size in ("17g", "1000g", "99999999m", "80%")),
    *({"labels": {name: "x"}} for name in ("gamekeeper.run", "gamekeeper.node", "gamekeeper.folders")),
    {"privileged": True},
    {"network_mode": "host"},
    {"pid": "host"},
    {"ipc": "host"},
    {"gpus": "all"},
    {"gpus": [{"count": 1}]},
    {"deploy": {"resources": {"reservations": {"devices": [{"capabilities": ["gpu"]}]}}}},
]

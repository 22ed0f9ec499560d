#!/bin/sh
# Leaves a Docker Engine that answers: the one that runs, else the installed one, else the distribution's docker.io.
set -eu
socket=${DOCKER_HOST:-unix:///var/run/docker.sock}
log=/var/log/gamekeeper-dockerd.log
fail() { echo "gamekeeper: $*" >&2; exit 1; }
answers() {
    "$(dirname "$0")/../.venv/bin/python" -c 'import sys, docker
try: docker.DockerClient(base_url=sys.argv[1], timeout=5).ping()
except Exception: sys.exit(1)' "$socket"
}
wait_for_it() {
    for _ in $(seq 60); do answers && return 0; sleep 0.5; done
    return 1
}

answers && exit 0
[ "$socket" = unix:///var/run/docker.sock ] || fail "DOCKER_HOST is $socket, where no Docker Engine answers"
if [ "$(id -u)" != 0 ]; then
    fail "no Docker Engine answers at /var/run/docker.sock for this user; start it (sudo systemctl start docker)," \
        "install it (sudo apt-get install docker.io), or add yourself to its group (sudo usermod -aG docker \$USER)"
fi
if ! command -v dockerd >/dev/null; then
    command -v apt-get >/dev/null || fail "Docker is missing and this is no Debian; install Docker Engine, then try again"
    echo "gamekeeper: no Docker Engine here: installing docker.io"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io iptables ca-certificates >/dev/null
fi
wait=0
if [ -d /run/systemd/system ]; then
    echo "gamekeeper: starting Docker (systemctl start docker)"
    systemctl start docker || fail "docker did not start; see: journalctl -u docker"
else
    # A pid file that a dead machine left would stop dockerd from starting.
    for file in /var/run/docker.pid /var/run/docker/containerd/containerd.pid; do
        if [ -f "$file" ] && ! grep -qE '^(dockerd|containerd)$' "/proc/$(cat "$file")/comm" 2>/dev/null; then
            rm -f "$file"
        fi
    done
    echo "gamekeeper: starting dockerd (its log: $log)"
    setsid nohup dockerd >>"$log" 2>&1 </dev/null &
fi
wait_for_it || fail "Docker Engine does not answer after 30 s; see $log or journalctl -u docker"

#!/bin/sh
# Installs the agent of the folder that holds this file. join.sh runs it; by hand:
#   GAMEKEEPER_AGENT_TOKEN=KEY sh install.sh SERVER        install, or bring an installed agent to this version
#   sh install.sh --start | --stop                 where no systemd does that
#   sh install.sh --uninstall [--purge]            --purge also removes the node's identity and settings
# Files: /opt/gamekeeper-agent (the program), /etc/gamekeeper-agent (settings), /var/lib/gamekeeper-agent (the identity).
set -eu
umask 022

here=$(cd "$(dirname "$0")" && pwd -P)
root=${DESTDIR:-}
case $here in */opt/gamekeeper-agent/*) root=${here%/opt/gamekeeper-agent/*} ;; esac
home=$root/opt/gamekeeper-agent
settings=$root/etc/gamekeeper-agent
state=$root/var/lib/gamekeeper-agent
unit=$root/etc/systemd/system/gamekeeper-agent.service
pid_file=$root/run/gamekeeper-agent.pid
log_file=$root/var/log/gamekeeper-agent.log
JOIN_SECONDS=${JOIN_SECONDS:-60}

say() { printf 'gamekeeper: %s\n' "$@"; }

fail() {
    say "$@" >&2
    exit 1
}

has_systemd() { [ -d "$root/run/systemd/system" ] && command -v systemctl >/dev/null; }

check() {
    [ "$(id -u)" = 0 ] || fail "this must run as root"
    "$here/python/bin/python3" -I -c 'import agent_worker.__main__' ||
        fail "the agent does not run on this machine; see the lines above" \
            "it was built for: $(tr '\n' ' ' <"$here/VERSION")" "nothing was installed"
    "$here/python/bin/python3" -I - <<'PYTHON' || fail "an agent needs Docker Engine; see the line above" \
        "install it (apt-get install docker.io, or https://docs.docker.com/engine/install/), then run this again" \
        "nothing was installed"
import sys
import docker
try:
    docker.from_env(timeout=20).ping()
except docker.errors.DockerException as error:
    sys.exit(f"gamekeeper: Docker Engine does not answer: {error}")
PYTHON
}

place() {
    version=$(sed -n 's/^version //p' "$here/VERSION")
    name=$version-$(sed -n 's/^content //p' "$here/VERSION")
    mkdir -p "$home" "$settings"
    if [ "$here" != "$home/$name" ]; then
        rm -rf "$home/.old"
        if [ -e "$home/$name" ]; then mv "$home/$name" "$home/.old"; fi
        mv "$here" "$home/$name"
        rm -rf "$home/.old"
    fi
    ln -sfn "$name" "$home/.current" && mv -Tf "$home/.current" "$home/current"
}

# What is quoted so is the same to a shell.
quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

configure() {
    mkdir -p "$state"
    chmod 700 "$state"
    {
        echo "# Written by the installer at each run; give settings of your own in agent.env."
        echo "GAMEKEEPER_AGENT_SERVER=$(quoted "$1")"
    } >"$settings/server.env"
    [ -e "$settings/agent.env" ] || {
        echo "# Settings of the agent, as GAMEKEEPER_AGENT_LOG_LEVEL=DEBUG; then: systemctl restart gamekeeper-agent"
        [ -z "${DOCKER_HOST:-}" ] || echo "DOCKER_HOST=$(quoted "$DOCKER_HOST")"
        [ -z "${GAMEKEEPER_AGENT_NODE:-}" ] || echo "GAMEKEEPER_AGENT_NODE=$(quoted "$GAMEKEEPER_AGENT_NODE")"
    } >"$settings/agent.env"
    if [ -n "${GAMEKEEPER_AGENT_TOKEN:-}" ]; then
        (umask 077 && printf '%s\n' "$GAMEKEEPER_AGENT_TOKEN" >"$state/token.new" && mv "$state/token.new" "$state/token")
    fi
}

# The process that the file tells of, if it is the agent: the number may be another's by now.
running() {
    pid=$(cat "$pid_file" 2>/dev/null) && case $(readlink "/proc/$pid/exe" 2>/dev/null) in "$home"/*) ;; *) return 1 ;; esac
}

stop() {
    if has_systemd && [ -e "$unit" ]; then systemctl stop gamekeeper-agent; fi
    if running; then
        kill "$pid"
        waited=0
        while running && [ "$waited" -lt 30 ]; do sleep 1 && waited=$((waited + 1)); done
        if running; then kill -9 "$pid"; fi
    fi
    rm -f "$pid_file"
}

start() {
    mkdir -p "$root/run" "$root/var/log"
    : >"$root/run/gamekeeper-agent.started"
    if has_systemd; then
        mkdir -p "${unit%/*}"
        cp "$home/current/gamekeeper-agent.service" "$unit"
        systemctl daemon-reload
        systemctl enable --quiet gamekeeper-agent
        systemctl restart --no-block gamekeeper-agent  # it says itself when it has begun, or with which words it ends
    else
        if [ -e "$log_file" ]; then mv -f "$log_file" "$log_file.1"; fi
        nohup env -i PATH="$PATH" "$home/current/bin/gamekeeper-agent" >>"$log_file" 2>&1 </dev/null 9>&- &
        echo $! >"$pid_file"
    fi
}

has_ended() {
    if has_systemd; then
        [ "$(systemctl show -p NRestarts --value gamekeeper-agent)" != 0 ]
    else
        if running; then return 1; fi
    fi
}

last_words() {
    if has_systemd; then
        journalctl -u gamekeeper-agent -n 5 -o cat --no-pager
    else
        tail -n 5 "$log_file"
    fi
}

# The agent writes its identity when it joins, and what it was told of the control plane whenever a session begins.
has_session() {
    [ -n "$(find "$state" -name identity.json -newer "$root/run/gamekeeper-agent.started")" ] &&
        ! grep -q '"temporal_namespace":""' "$state/identity.json"
}

wait_for_session() {
    waited=0
    until has_session; do
        if [ "$waited" -ge "$JOIN_SECONDS" ]; then
            last_words >&2
            say "the agent runs, and has not joined in $JOIN_SECONDS s; it tries on. Its last words are above" >&2
            look >&2
            exit 1
        fi
        sleep 1
        waited=$((waited + 1))
        case $(last_words) in
        *"waits for an approval"*)
            last_words | tail -n 1
            say "the agent is installed, and goes on by itself when an operator has approved this machine"
            look
            exit 0
            ;;
        esac
        if has_ended; then
            last_words >&2
            stop
            fail "the agent ended: its last words are above" "the agent is installed and stopped; run the line again with a good key"
        fi
    done
    rm -f "$state/token"
}

look() {
    if has_systemd; then
        say "look at it: systemctl status gamekeeper-agent; journalctl -u gamekeeper-agent -f"
    else
        say "there is no systemd here: the agent is a plain process (pid $(cat "$pid_file")), which nobody starts again" \
            "after a reboot or a crash: sh $home/current/install.sh --start" "look at it: tail -f $log_file"
    fi
}

clean() {
    for old in "$home"/*; do
        case ${old##*/} in "$name" | current) ;; *) rm -rf "$old" ;; esac
    done
}

install() {
    check
    place
    configure "$1"
    stop
    start
    wait_for_session
    clean
    say "this machine is node $(sed -n 's/.*"node_id":"\([^"]*\)".*/\1/p' "$state/identity.json") of $1 (agent $version)" \
        "program: $home, settings: $settings, identity: $state"
    look
    say "remove it: sh $home/current/install.sh --uninstall"
}

uninstall() {
    stop
    if has_systemd && [ -e "$unit" ]; then
        systemctl disable --quiet gamekeeper-agent
        rm -f "$unit"
        systemctl daemon-reload
    fi
    if [ "${1:-}" = --purge ]; then
        rm -rf "$state" "$settings" "$log_file" "$log_file.1"
        say "the node's identity is gone: remove the node on the control plane too (gamekeeper node rm NODE)"
    else
        say "the node's identity stays in $state, its settings in $settings (--purge removes both)"
    fi
    say "the agent is removed; the containers that it ran go on (docker ps --filter label=gamekeeper.node)"
    rm -rf "$home"
}

main() {
    case ${1:-} in
    --uninstall) uninstall "${2:-}" ;;
    --start) stop && start && look ;;
    --stop) stop ;;
    '' | -*) fail "usage: GAMEKEEPER_AGENT_TOKEN=KEY sh install.sh SERVER, or --start, --stop, --uninstall [--purge]" ;;
    *) install "$1" ;;
    esac
}

main "$@"

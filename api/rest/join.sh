#!/bin/sh
# Makes this machine a node of Gamekeeper:  sh join.sh SERVER KEY
#
# `gamekeeper` prints the line that runs this, with the SHA-256 of this file in it: no one can alter it on its way. KEY
# carries the pin of the control plane's root. What is downloaded here comes from a server that this root vouches for,
# and is checked; the rest is done by install.sh of the archive. Until then nothing is left on this machine.
# Keep this file as it is: each change makes the lines void that were printed before.
set -eu
umask 077

fail() {
    for line in "$@"; do printf 'gamekeeper: %s\n' "$line" >&2; done
    exit 1
}

# Sets host, port and scheme of a server that is given as HOST, HOST:PORT or a URL: plain HTTP on loopback alone.
read_server() {
    rest=${1%/} scheme='' port=''
    case $rest in *://*) scheme=${rest%%://*} rest=${rest#*://} ;; esac
    case $rest in
    \[*[!0-9A-Fa-f:.]*\]*) host='' ;; # an address of IPv6 that is none
    \[*\]) host=$rest port=7380 ;;
    \[*\]:*) host=${rest%:*} port=${rest##*:} ;;
    *[!A-Za-z0-9._:-]* | *:*:*) host='' ;;
    *:*) host=${rest%:*} port=${rest#*:} ;;
    *) host=$rest port=7380 ;;
    esac
    case $port in '' | *[!0-9]*) host='' ;; esac
    [ -n "$host" ] ||
        fail "\"$1\" is no server" "give HOST or HOST:PORT, as it stands in the line that gamekeeper printed"
    case $scheme:$host in
    https:*) ;;
    *:127.* | *:localhost | *:\[::1\]) scheme=http ;;
    *) scheme=https ;;
    esac
}

# The pin of a key, base64url, as hexadecimal digits.
pin_of_key() {
    case $1 in ?*.?*) ;; *) return 1 ;; esac
    printf '%s=' "${1##*.}" | tr '_-' '/+' | base64 -d 2>/dev/null | od -An -v -tx1 | tr -d ' \n'
}

# Writes to the file $3 the certificate among those of the file $1 whose SHA-256 is $2.
pick_root() {
    body='' text='' inside=''
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
        '-----BEGIN CERTIFICATE-----') inside=1 body='' text=$line ;;
        '-----END CERTIFICATE-----')
            digest=$(printf '%s' "$body" | base64 -d 2>/dev/null | sha256sum)
            if [ -n "$inside" ] && [ "${digest%% *}" = "$2" ]; then
                printf '%s\n%s\n' "$text" "$line" >"$3"
                return 0
            fi
            inside=''
            ;;
        *) [ -z "$inside" ] || body=$body$line text="$text
$line" ;;
        esac
    done <"$1"
    return 1
}

# Downloads the path $1 into the file $2 from the server that the root vouches for. Sets status.
get() {
    if [ "$scheme" = http ]; then
        status=$(ask "http://$host:$port$1" "$2")
        return
    fi
    result=0
    status=$(ask "https://gamekeeper$1" "$2" --cacert "$new/root.pem" --connect-to "gamekeeper:443:$host:$port") || result=$?
    [ "$result" = 60 ] || return "$result"
    printf 'gamekeeper: trying the public certificate authorities of this machine\n' >&2
    status=$(ask "https://$host:$port$1" "$2")
}

ask() {
    address=$1 file=$2
    shift 2
    curl -sS --connect-timeout 15 --speed-time 60 --speed-limit 100 --retry 100 --retry-max-time 300 \
        -o "$file" -w '%{http_code}' "$@" "$address"
}

check_machine() {
    [ "$(id -u)" = 0 ] || fail "this must run as root, to install the agent" "run the line as root, or put sudo before sh"
    [ "$(uname -s)" = Linux ] || fail "an agent runs on Linux, and this is $(uname -s)"
    for tool in curl base64 sha256sum od tr tar gzip; do
        command -v "$tool" >/dev/null || fail "$tool is missing on this machine" "install it: apt-get install curl coreutils tar gzip"
    done
}

# The version of the C library, as 2.36; nothing where it is another one, as on Alpine.
glibc() {
    found=$(getconf GNU_LIBC_VERSION 2>/dev/null) || found=$(ldd --version 2>/dev/null | sed -n 1p) || true
    case $found in *[Gg][Ll][Ii][Bb][Cc]* | *"GNU libc"*) printf '%s' "${found##* }" ;; esac
}

fetch_root() {
    pin=$(pin_of_key "$1") && [ "${#pin}" = 64 ] ||
        fail "the key is not whole: it does not end in the pin of the control plane" "copy the whole line that gamekeeper printed"
    curl -fsSk --connect-timeout 15 --max-time 60 "$scheme://$host:$port/api/v1/roots" >"$new/roots" ||
        fail "$host:$port does not answer as Gamekeeper's REST" "is it up, and does this machine reach that port?"
    pick_root "$new/roots" "$pin" "$new/root.pem" ||
        fail "$host:$port is not the control plane that made this key: none of its roots has the key's pin" \
            "check the address, and that nobody is in between; nothing was installed"
}

# Sets file, sha256, glibc_wanted and version from the server's note about the archive for this machine.
fetch_note() {
    machine=$(uname -m)
    get "/agent/$machine.txt" "$new/note" || fail "$host:$port can't be trusted, or went away; see the line above"
    if [ "$status" != 200 ]; then
        told=$(sed -n 's/.*"detail":"\([^"]*\)".*/\1/p' "$new/note")
        advice=$(sed -n 's/.*"hint":"\([^"]*\)".*/\1/p' "$new/note")
        fail "$host:$port has no agent for this machine ($machine): ${told:-it answers $status}" ${advice:+"$advice"}
    fi
    file='' sha256='' glibc_wanted='' version=''
    while read -r name value; do
        case $name in
        file) file=$value ;;
        sha256) sha256=$value ;;
        glibc) glibc_wanted=$value ;;
        version) version=$value ;;
        esac
    done <"$new/note"
    case $file in '' | *[!A-Za-z0-9._+-]*) fail "$host:$port answers with something that is no note of an archive" ;; esac
    have=$(glibc)
    minor=${have#2.} wanted=${glibc_wanted#2.}
    [ -n "$have" ] || fail "the agent needs glibc $glibc_wanted or newer, and this machine has another C library" \
        "run the agent as a container instead: deploy/agent/compose.yaml"
    [ "${minor%%.*}" -ge "${wanted:-0}" ] || fail "the agent needs glibc $glibc_wanted or newer, and this machine has $have" \
        "build the bundle on a machine as old as this one (make agent-bundle), or run the agent as a container"
}

fetch_archive() {
    printf 'gamekeeper: downloading the agent %s for %s\n' "$version" "$machine"
    get "/agent/$file" "$new/archive" && [ "$status" = 200 ] ||
        fail "the download of $file from $host:$port did not end well" "run the line again; nothing was installed"
    digest=$(sha256sum <"$new/archive")
    [ "${digest%% *}" = "$sha256" ] ||
        fail "$file is not what $host:$port said it would be: its SHA-256 is ${digest%% *}" "run the line again; nothing was installed"
    gzip -dc "$new/archive" | tar -xf - -C "$new" ||
        fail "$file can't be unpacked in $new" "is there room for 250 MB? nothing was installed"
    rm "$new/archive"
}

main() {
    home=${DESTDIR:-}/opt/gamekeeper-agent
    if [ "${1:-}" = --uninstall ]; then
        [ -f "$home/current/install.sh" ] || fail "no agent is installed in $home"
        exec sh "$home/current/install.sh" "$@"
    fi
    [ $# = 2 ] || fail "usage: sh join.sh SERVER KEY, or --uninstall"
    read_server "$1"
    check_machine
    mkdir -p "${DESTDIR:-}/run" "${home%/*}"
    exec 9>"${DESTDIR:-}/run/gamekeeper-join.lock"
    if command -v flock >/dev/null; then
        flock -n 9 || fail "another join of this machine is under way" "wait for its end, then run the line again"
    fi
    new=$home/.new
    rm -rf "$new"
    mkdir -p "$new"
    trap 'rm -rf "$new"; rmdir "$home" 2>/dev/null || true' EXIT
    trap 'exit 130' INT TERM HUP
    fetch_root "$2"
    fetch_note
    fetch_archive
    case $scheme in https) address=https://$host:$port ;; *) address=$host:$port ;; esac
    GAMEKEEPER_AGENT_TOKEN=$2 sh "$new/gamekeeper-agent/install.sh" "$address" </dev/null
}

main "$@"

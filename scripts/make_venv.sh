#!/bin/sh
# Makes .venv from a lock file, once for each content of it: scripts/make_venv.sh requirements.lock
set -eu
cd "$(dirname "$0")/.."
lock=$1
fail() { echo "gamekeeper: $*" >&2; exit 1; }

python=$(command -v python3 || true)
[ -n "$python" ] || fail "python3 is missing; install it: apt-get install python3 python3-venv"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$python is older than 3.11"

stamp=".venv/.made-from-$(cat "$lock" pyproject.toml | sha256sum | cut -c1-16)"
[ -f "$stamp" ] && exit 0
[ "$lock" = requirements.lock ] &&
    [ -f ".venv/.made-from-$(cat requirements-dev.lock pyproject.toml | sha256sum | cut -c1-16)" ] && exit 0

if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    [ "$(id -u)" = 0 ] || fail "python3-venv is missing; install it: sudo apt-get install python3-venv"
    echo "gamekeeper: installing python3-venv (this Python has no ensurepip)"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
fi
[ -x .venv/bin/pip ] || { echo "gamekeeper: making .venv"; "$python" -m venv --clear .venv; }
echo "gamekeeper: installing $lock"
.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
rm -f .venv/.made-from-*
touch "$stamp"

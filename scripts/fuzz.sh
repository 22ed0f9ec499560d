#!/bin/sh
# Installs what fuzzing needs beside the virtual environment, then runs it: scripts/fuzz.sh --seed 7 --messages 1000000
set -eu
cd "$(dirname "$0")/.."
if ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
    [ "$(id -u)" = 0 ] || { echo "gamekeeper: fuzzing needs postgresql; install it: sudo apt-get install postgresql" >&2; exit 1; }
    echo "gamekeeper: installing postgresql"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >/dev/null
fi
scripts/make_tools.sh fuzz fuzz
export GRPC_VERBOSITY=NONE
exec .venv/bin/python -m fuzz.run "$@"

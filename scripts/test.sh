#!/bin/sh
# Installs what the tests need beside the virtual environment, then runs them all, side by side. No part is skipped:
# what can't be had is named, and fails. Arguments are pytest's: scripts/test.sh -n 0 tests/api runs some, one by one.
set -eu
cd "$(dirname "$0")/.."
fail() { echo "gamekeeper: $*" >&2; exit 1; }

missing=""
command -v busybox >/dev/null || missing="$missing busybox-static"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
command -v ip >/dev/null || missing="$missing iproute2"
command -v iptables >/dev/null || missing="$missing iptables"
command -v docker-compose >/dev/null || missing="$missing docker-compose"
command -v docker-registry >/dev/null || missing="$missing docker-registry"
command -v pebble >/dev/null || missing="$missing pebble"
ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || missing="$missing libfaketime"
command -v npm >/dev/null || missing="$missing npm"
command -v chromium >/dev/null || missing="$missing chromium"
if [ -n "$missing" ]; then
    [ "$(id -u)" = 0 ] || fail "the tests need$missing; install them: sudo apt-get install$missing"
    echo "gamekeeper: installing$missing"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
[ "$(id -u)" = 0 ] || fail "the tests mount small file systems to fill them, which needs root"
scripts/ensure_docker.sh
scripts/make_tools.sh clients tests/clients
.venv/bin/python -m scripts.web
# They wait most of the time, so there are more of them than processors. tests/order.py is the order.
tests() { .venv/bin/pytest -n "$((2 * $(nproc)))" --dist loadgroup --no-loadscope-reorder --durations 20 "$@"; }
if [ $# -gt 0 ]; then
    tests "$@"
    exit
fi
# Those that share a stack first, and by themselves: stacks that stay up took half of the machine from all the others.
stacked="tests/chaos tests/e2e tests/scenarios"
failed=0
# shellcheck disable=SC2086
tests $stacked || failed=1
# shellcheck disable=SC2046
tests $(printf -- '--ignore=%s ' $stacked) || failed=1
exit $failed

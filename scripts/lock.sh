#!/bin/sh
# Locks pyproject.toml's requirements with hashes; what is locked stays until it must change (pass --upgrade to renew).
set -eu
cd "$(dirname "$0")/.."
compile() { .venv/bin/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-header --no-annotate "$@"; }
compile --extra build -o requirements.lock "$@" pyproject.toml
compile --extra build --extra dev -c requirements.lock -o requirements-dev.lock "$@" pyproject.toml
# Of the tests' generated clients, in an environment of their own; npm's is renewed by hand: in tests/clients,
# npm install --package-lock-only --omit-lockfile-registry-resolved
compile -o tests/clients/requirements.lock "$@" tests/clients/requirements.in
# Of the fuzzers, in an environment of their own too.
compile -o fuzz/requirements.lock "$@" fuzz/requirements.in
# Node for machines that have none or an old one. npm's lock is renewed by hand: in web, npm update
compile -o web/requirements.lock "$@" web/requirements.in

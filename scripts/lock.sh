#!/bin/sh
# Locks pyproject.toml's requirements with hashes; what is locked stays until it must change (pass --upgrade to renew).
set -eu
cd "$(dirname "$0")/.."
compile() { .venv/bin/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-header --no-annotate \
    "$@" pyproject.toml; }
compile --extra build -o requirements.lock "$@"
compile --extra build --extra dev -c requirements.lock -o requirements-dev.lock "$@"

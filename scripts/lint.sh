#!/bin/sh
# Everything that can be told without running the product.
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
echo "== format and lint"; ruff format --check .; ruff check .
echo "== types"; mypy
echo "== import rules"; lint-imports --no-cache
echo "== sizes"; python scripts/check_sizes.py
echo "== docstrings"; python scripts/check_docstrings.py
echo "== generated code"
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r gamekeeper/rpc/v1 "$copy/before"
scripts/gen_proto.sh 2>/dev/null
rm -rf gamekeeper/rpc/v1/__pycache__ "$copy/before/__pycache__"
diff -r "$copy/before" gamekeeper/rpc/v1 || { echo "gamekeeper/rpc/v1 differs from proto/: commit what make gen wrote" >&2; exit 1; }
echo "== generated pages"; python -m scripts.pages --check
echo "== web"; python -m scripts.web check
echo "== lock files"
locks="requirements.lock requirements-dev.lock tests/clients/requirements.lock fuzz/requirements.lock web/requirements.lock"
cp --parents $locks "$copy"
scripts/lock.sh
for lock in $locks; do
    diff "$copy/$lock" "$lock" || { echo "$lock differs from pyproject.toml: commit what make lock wrote" >&2; exit 1; }
done

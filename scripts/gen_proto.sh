#!/bin/sh
# Compiles proto/ into gamekeeper/rpc/v1. The path in proto/ equals the import path, so nothing is patched after.
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
python -m grpc_tools.protoc -Iproto --python_out=. --grpc_python_out=. --mypy_out=. --mypy_grpc_out=. \
    proto/gamekeeper/rpc/v1/*.proto

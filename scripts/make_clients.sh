#!/bin/sh
# Installs the generators of clients that tests/clients uses, once for each content of their lock files. They have an
# environment of their own: what they need would not fit beside what the product needs.
set -eu
cd "$(dirname "$0")/.."
home=.cache/clients
mkdir -p "$home"
exec 9>"$home/lock"
flock 9
stamp="$home/made-from-$(cat tests/clients/requirements.lock tests/clients/package-lock.json | sha256sum | cut -c1-16)"
[ -f "$stamp" ] && exit 0
echo "gamekeeper: installing the generators of clients"
python3 -m venv --clear "$home/python"
"$home/python/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r tests/clients/requirements.lock
mkdir -p "$home/node"
cp tests/clients/package.json tests/clients/package-lock.json "$home/node"
npm --prefix "$home/node" ci --silent --no-audit --no-fund --ignore-scripts
rm -f "$home"/made-from-*
touch "$stamp"

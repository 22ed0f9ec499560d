#!/bin/sh
# Installs tools that would not fit beside what the product needs, in an environment of their own (.cache/NAME), once
# for each content of their lock files: scripts/make_tools.sh fuzz fuzz, scripts/make_tools.sh clients tests/clients
set -eu
cd "$(dirname "$0")/.."
home=.cache/$1
folder=$2
mkdir -p "$home"
exec 9>"$home/lock"
flock 9
locks="$folder/requirements.lock"
[ -f "$folder/package-lock.json" ] && locks="$locks $folder/package-lock.json"
# shellcheck disable=SC2086
stamp="$home/made-from-$(cat $locks | sha256sum | cut -c1-16)"
[ -f "$stamp" ] && exit 0
echo "gamekeeper: installing the tools of $folder"
python3 -m venv --clear "$home/python"
"$home/python/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$folder/requirements.lock"
if [ -f "$folder/package-lock.json" ]; then
    mkdir -p "$home/node"
    cp "$folder/package.json" "$folder/package-lock.json" "$home/node"
    npm --prefix "$home/node" ci --silent --no-audit --no-fund --ignore-scripts
fi
rm -f "$home"/made-from-*
touch "$stamp"
